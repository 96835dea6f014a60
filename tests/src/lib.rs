//! Real hosts and a real keyring on one machine, for tests, the demonstration and measurements.

#[cfg(target_os = "linux")]
pub mod keyring;
