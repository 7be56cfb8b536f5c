//! `cargo fuzz run time`: see `mailtrail_fuzz::time`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::time(bytes));
