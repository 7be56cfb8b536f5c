//! `cargo fuzz run license`: see `mailtrail_fuzz::license`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::license(bytes));
