//! The fault matrix of a key change: every fault at every stage.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what fails here fails a test"
)]

#[macro_use]
#[path = "matrix/column.rs"]
mod column;
#[path = "matrix/complete.rs"]
mod complete;
#[path = "matrix/effect.rs"]
mod effect;
#[path = "matrix/files.rs"]
mod files;
#[path = "matrix/keyring.rs"]
mod keyring;
#[path = "matrix/network.rs"]
mod network;
#[path = "matrix/paused.rs"]
mod paused;
#[path = "matrix/place.rs"]
mod place;
#[path = "matrix/process.rs"]
mod process;
#[path = "matrix/server.rs"]
mod server;
#[path = "matrix/trial.rs"]
mod trial;
#[path = "matrix/truth.rs"]
mod truth;
