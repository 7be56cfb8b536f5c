//! `cargo fuzz run authentication_results`: see `mailtrail_fuzz::authentication_results`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::authentication_results(bytes));
