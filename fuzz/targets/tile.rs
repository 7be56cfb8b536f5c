//! `cargo fuzz run tile`: see `mailtrail_fuzz::tile`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::tile(bytes));
