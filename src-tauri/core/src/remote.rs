//! SSH to a device.

pub mod sshd_config;
