//! `cargo fuzz run message`: see `mailtrail_fuzz::message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::message(bytes));
