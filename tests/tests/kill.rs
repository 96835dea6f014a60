//! The real program killed at every step, and the power cut at every commit: what is left is whole, or can be made so.
//!
//! `make test` goes through every place once; `make torture` through every place with every ending, and thousands at random.

#![cfg(target_os = "linux")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "what fails here fails a test, and what was tried is told"
)]

#[path = "kill/again.rs"]
mod again;
#[path = "kill/full.rs"]
mod full;
#[path = "kill/power.rs"]
mod power;
#[path = "kill/random.rs"]
mod random;
#[path = "kill/scene.rs"]
mod scene;
#[path = "kill/steps.rs"]
mod steps;
