//! [`keywheel_fuzz::authorized_keys`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keywheel_fuzz::authorized_keys(bytes));
