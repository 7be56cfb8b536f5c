//! `cargo fuzz run chunked`: see `mailtrail_fuzz::chunked`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::chunked(bytes));
