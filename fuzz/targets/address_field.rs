//! `cargo fuzz run address_field`: see `mailtrail_fuzz::address_field`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailtrail_fuzz::address_field(bytes));
