//! `make demo`: a key change on five embedded devices, live, with nothing of the user's involved.
//!
//! `demo --window` opens the window on the same devices. `demo -- COMMAND…` runs a command with them in its place, to try
//! `keywheel` by hand.
//!
//! Everything it makes lies in one folder below the build folder, and everything it starts ends with it: after its end, by
//! itself or by a signal, nothing is left.

mod desk;
mod devices;
mod folder;
mod screen;
mod show;
mod track;
mod window;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use keywheel_fleet::Trouble;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::folder::Folder;
use crate::screen::Screen;
use crate::show::Shown;

/// How the demo ended.
#[derive(Debug)]
enum End {
    Shown(Shown),
    /// With the exit code of the command that was run in its place.
    Ran(u8),
    Failed(Trouble),
    /// With the signal's number.
    Stopped(u8),
}

/// Who heeds the terminal's Ctrl+C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interrupts {
    Heeded,
    LeftToCommand,
}

fn main() -> ExitCode {
    let mut folder = None;
    let mut screen = Screen::new();
    let end = run(&mut folder, &mut screen);
    // The cursor must not stay hidden; a terminal that is gone needs none.
    let _ = screen.keep();
    // By now the runtime has ended, and with it the devices and the keyring.
    let removed = folder.as_ref().map_or(Ok(()), Folder::remove);
    let code = match &end {
        End::Shown(Shown::Changed) => 0,
        End::Shown(Shown::NotChanged) | End::Failed(_) => 1,
        End::Ran(code) => *code,
        // What shells say of a program that a signal ended.
        End::Stopped(number) => 128 + number,
    };
    match tell_end(&end, &removed, &mut screen) {
        Ok(()) if removed.is_ok() => ExitCode::from(code),
        _ => ExitCode::from(code.max(1)),
    }
}

fn run(folder: &mut Option<Folder>, screen: &mut Screen) -> End {
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return End::Failed(error.into()),
    };
    let command: Vec<OsString> = std::env::args_os().skip_while(|argument| argument != "--").skip(1).collect();
    runtime.block_on(async {
        // Before anything is made, so that no signal finds something that nobody removes.
        let interrupts = if command.is_empty() { Interrupts::Heeded } else { Interrupts::LeftToCommand };
        let stopped = match stopped(interrupts) {
            Ok(stopped) => stopped,
            Err(error) => return End::Failed(error.into()),
        };
        let folder = match Folder::make() {
            Ok(made) => folder.insert(made),
            Err(error) => return End::Failed(error.into()),
        };
        let windowed = std::env::args_os().nth(1).is_some_and(|argument| argument == "--window");
        let work = async {
            if windowed {
                let status = window::run(folder.path(), screen).await?;
                return Ok(End::Ran(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
            }
            if command.is_empty() {
                return show::demo(folder.path(), screen).await.map(End::Shown);
            }
            let status = desk::run(folder.path(), &command).await?;
            Ok(End::Ran(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
        };
        tokio::select! {
            biased;
            number = stopped => End::Stopped(number),
            end = work => end.unwrap_or_else(End::Failed),
        }
    })
}

/// Waits for Ctrl+C and its like, and gives the signal's number.
///
/// A command that is run in the demo's place gets the terminal's Ctrl+C as well, and it is for the command to heed it.
fn stopped(interrupts: Interrupts) -> io::Result<impl Future<Output = u8>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv(), if interrupts == Interrupts::Heeded => 2,
            _ = terminate.recv() => 15,
            _ = hang_up.recv() => 1,
        }
    })
}

fn tell_end(end: &End, removed: &io::Result<()>, screen: &mut Screen) -> io::Result<()> {
    if let End::Failed(trouble) = end {
        let mut causes = format!("The demo failed: {trouble}");
        let mut cause = trouble.source();
        while let Some(source) = cause {
            causes += &format!(" {source}");
            cause = source.source();
        }
        writeln!(io::stderr(), "{causes}")?;
    }
    match removed {
        Ok(()) if matches!(end, End::Ran(_)) => Ok(()),
        Ok(()) if matches!(end, End::Stopped(_)) => {
            screen.line("\nStopped. Everything the demo made is removed again.")
        }
        Ok(()) => screen.line("  Everything the demo made is removed again: processes, keyring and files."),
        Err(error) => writeln!(io::stderr(), "The demo's folder could not be removed: {error}"),
    }
}
