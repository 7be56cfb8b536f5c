//! `cargo fuzz run redaction`: see `mailtrail_fuzz::redaction`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::redaction(bytes));
