//! The real window over a real keyring and real SSH servers; `make window` gives it a display.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this file is a test, but clippy takes only the functions marked as tests for it"
)]

#[path = "window/automatic.rs"]
mod automatic;
#[path = "window/boundary.rs"]
mod boundary;
#[path = "window/change.rs"]
mod change;
#[path = "window/crowd.rs"]
mod crowd;
#[path = "window/destroy.rs"]
mod destroy;
#[path = "window/emergency.rs"]
mod emergency;
#[path = "window/files.rs"]
mod files;
#[path = "window/first_change.rs"]
mod first_change;
#[path = "window/interrupted.rs"]
mod interrupted;
#[path = "window/keyboard.rs"]
mod keyboard;
#[path = "window/keyring.rs"]
mod keyring;
#[path = "window/memory.rs"]
mod memory;
#[path = "window/paste.rs"]
mod paste;
#[path = "window/policies.rs"]
mod policies;
#[path = "window/program.rs"]
mod program;
#[path = "window/scene.rs"]
mod scene;
#[path = "window/screens.rs"]
mod screens;
#[path = "window/words.rs"]
mod words;
