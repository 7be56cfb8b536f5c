//! `cargo fuzz run content_type`: see `mailtrail_fuzz::content_type`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::content_type(bytes));
