//! End to end: devices with real servers, the real keyring and the real programs.

#[path = "all/embedded.rs"]
mod embedded;
#[path = "all/fleet.rs"]
mod fleet;
