//! [`keywheel_fuzz::csv_import`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keywheel_fuzz::csv_import(bytes));
