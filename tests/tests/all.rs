//! All end-to-end tests in one binary, so that it is linked once.

#[cfg(target_os = "linux")]
#[path = "all/keyring.rs"]
mod keyring;
