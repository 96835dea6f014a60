//! Free ports on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::error::FleetError;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// The lowest port given out.
const FIRST: u16 = 16_000;
/// How many are given out; the last stays below the ports that the kernel gives to outgoing connections, so that no
/// client takes the port of a device that is stopped for a while.
const COUNT: u16 = 16_000;

/// Chooses a port nobody listens on.
///
/// Test processes run side by side: each begins elsewhere, and the caller has to be ready for a port that is taken all
/// the same.
pub(crate) fn free() -> Result<u16, FleetError> {
    // Process numbers follow each other, so neighbours are put far apart.
    let start = u16::try_from(u64::from(std::process::id()) * 7919 % u64::from(COUNT)).unwrap_or(0);
    for _ in 0..2_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(FleetError::NoPort)
}
