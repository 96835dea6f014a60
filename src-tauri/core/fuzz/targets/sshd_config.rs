//! [`keywheel_fuzz::sshd_config`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keywheel_fuzz::sshd_config(bytes));
