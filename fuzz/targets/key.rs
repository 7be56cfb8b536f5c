//! `cargo fuzz run key`: see `mailtrail_fuzz::key`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::key(bytes));
