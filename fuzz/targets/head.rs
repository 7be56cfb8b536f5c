//! `cargo fuzz run head`: see `mailtrail_fuzz::head`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::head(bytes));
