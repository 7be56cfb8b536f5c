//! `cargo fuzz run proof`: see `mailtrail_fuzz::proof`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::proof(bytes));
