//! `cargo fuzz run note`: see `mailtrail_fuzz::note`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::note(bytes));
