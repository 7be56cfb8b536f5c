//! `cargo fuzz run received`: see `mailtrail_fuzz::received`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::received(bytes));
