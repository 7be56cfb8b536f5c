//! `cargo fuzz run query`: see `mailtrail_fuzz::query`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::query(bytes));
