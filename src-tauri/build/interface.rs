//! Builds `ui/` with npm, so that `cargo build` is all that a clean clone needs.
//!
//! Writes into `ui/node_modules` and `ui/dist` only.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// What the interface is made from, relative to `ui/`.
pub(crate) const SOURCES: &[&str] = &[
    "src",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "svelte.config.js",
    "tsconfig.json",
    ".npmrc",
];

/// The file that stands for the whole result, relative to `ui/`.
pub(crate) const RESULT: &str = "dist/index.html";

const INSTALL: &str =
    "install Node.js 20.19, 22.12 or 24 and newer with npm (https://nodejs.org/en/download) and build again";

/// Why the interface was not built.
#[derive(Debug)]
pub(crate) enum Error {
    /// A program can't be started.
    Missing { program: &'static str, source: io::Error },
    /// Vite does not run on this Node.js.
    Unfit { found: String },
    /// npm ended with an error.
    Failed { command: String, output: String },
    /// A file can't be looked at.
    Unreadable { path: String, source: io::Error },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program, source } => {
                write!(f, "The interface can't be built because {program} can't be started ({source}): {INSTALL}.")
            }
            Self::Unfit { found } => {
                write!(
                    f,
                    "The interface can't be built because of Node.js {found}, on which Vite does not run: {INSTALL}."
                )
            }
            // Cargo takes one line; npm's own words are what helps, so they are kept.
            Self::Failed { command, output } => {
                write!(f, "\"{command}\" failed in ui/: {}", output.trim().replace('\n', " | "))
            }
            Self::Unreadable { path, source } => write!(f, "{path} can't be read: {source}"),
        }
    }
}

/// Builds the interface unless the result is newer than everything it is made from.
pub(crate) fn build_if_stale(ui: &Path) -> Result<(), Error> {
    let built = modified(&ui.join(RESULT))?;
    let mut newest = None;
    for source in SOURCES {
        newest = newest.max(newest_below(&ui.join(source))?);
    }
    if built.is_some() && built >= newest {
        return Ok(());
    }
    require_node()?;
    // npm writes this file last, when everything is in place.
    let installed = modified(&ui.join("node_modules/.package-lock.json"))?;
    let locked = modified(&ui.join("package-lock.json"))?;
    if installed.is_none() || installed < locked {
        npm(ui, &["ci", "--no-fund", "--no-audit"])?;
    }
    npm(ui, &["run", "build"])
}

/// When a file or folder was last written; nothing if it does not exist.
fn modified(path: &Path) -> Result<Option<SystemTime>, Error> {
    match path.metadata().and_then(|metadata| metadata.modified()) {
        Ok(time) => Ok(Some(time)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Unreadable { path: path.display().to_string(), source }),
    }
}

/// The newest time in a tree, folders counted too: a removed file shows only in its folder's time.
fn newest_below(path: &Path) -> Result<Option<SystemTime>, Error> {
    let mut newest = modified(path)?;
    if path.is_dir() {
        let unreadable = |source| Error::Unreadable { path: path.display().to_string(), source };
        for entry in path.read_dir().map_err(unreadable)? {
            newest = newest.max(newest_below(&entry.map_err(unreadable)?.path())?);
        }
    }
    Ok(newest)
}

fn require_node() -> Result<(), Error> {
    let output =
        Command::new("node").arg("--version").output().map_err(|source| Error::Missing { program: "node", source })?;
    let found = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches('v').to_owned();
    let mut numbers = found.split('.').map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        // Vite's and jsdom's own condition: the releases with long-term support, from where they can load ES modules.
        (Some(20), Some(19..)) | (Some(22), Some(12..)) | (Some(24..), Some(_)) => Ok(()),
        _ => Err(Error::Unfit { found }),
    }
}

fn npm(ui: &Path, arguments: &[&str]) -> Result<(), Error> {
    // On Windows npm is a batch file, which is found only by its whole name.
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(program)
        .args(arguments.iter().map(OsStr::new))
        .current_dir(ui)
        .output()
        .map_err(|source| Error::Missing { program: "npm", source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        command: format!("npm {}", arguments.join(" ")),
        output: format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
    })
}
