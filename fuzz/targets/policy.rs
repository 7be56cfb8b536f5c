//! `cargo fuzz run policy`: see `mailtrail_fuzz::policy`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::policy(bytes));
