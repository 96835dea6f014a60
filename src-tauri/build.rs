//! Builds the interface where it is older than its sources, then lets Tauri prepare the shell.

#[path = "build/interface.rs"]
mod interface;

use std::path::Path;
use std::process::ExitCode;

macro_rules! commands {
    ($($file:ident :: $name:ident),+ $(,)?) => {
        /// The commands that exist. Without this list Tauri would let the window call every command; with it, a command can
        /// be called only where a file of `capabilities/` allows it.
        const COMMANDS: &[&str] = &[$(stringify!($name)),+];
    };
}

include!("src/commands/list.rs");

fn main() -> ExitCode {
    let ui = Path::new("../ui");
    for source in interface::SOURCES {
        println!("cargo::rerun-if-changed={}", ui.join(source).display());
    }
    // So that a dist that someone removed is built again.
    println!("cargo::rerun-if-changed={}", ui.join(interface::RESULT).display());
    if let Err(error) = interface::build_if_stale(ui) {
        println!("cargo::error={error}");
        return ExitCode::FAILURE;
    }
    let attributes = tauri_build::Attributes::new().app_manifest(tauri_build::AppManifest::new().commands(COMMANDS));
    if let Err(error) = tauri_build::try_build(attributes) {
        println!("cargo::error=The shell could not be prepared: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
