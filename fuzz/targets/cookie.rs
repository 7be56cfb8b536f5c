//! `cargo fuzz run cookie`: see `mailtrail_fuzz::cookie`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::cookie(bytes));
