//! `cargo fuzz run forwarded_for`: see `mailtrail_fuzz::forwarded_for`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::forwarded_for(bytes));
