//! [`keywheel_fuzz::key_file`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keywheel_fuzz::key_file(bytes));
