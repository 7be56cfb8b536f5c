//! `cargo fuzz run html`: see `mailtrail_fuzz::html`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::html(bytes));
