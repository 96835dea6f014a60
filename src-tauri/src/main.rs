//! `keywheel-desktop`: the window onto keywheel-core.

// A release on Windows must not open a console beside the window.
#![cfg_attr(all(windows, not(debug_assertions)), windows_subsystem = "windows")]

mod arguments;
mod clipboard;
mod closing;
mod commands;
mod desk;
mod error;
mod files;
mod instance;
mod keyring;
mod notifications;
mod place;
mod secret;
mod tray;
#[cfg(test)]
mod types;
mod window;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use keywheel_core::error::Explain;

fn main() -> ExitCode {
    keywheel_core::process::harden();
    let arguments = arguments::Arguments::parse();
    match window::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed, the exit status is all that is left to tell.
            let _ = writeln!(std::io::stderr(), "{error} {}", error.hint());
            ExitCode::FAILURE
        }
    }
}
