//! `cargo fuzz run charset`: see `mailtrail_fuzz::charset`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::charset(bytes));
