//! What the window can ask for: one file per screen.
//!
//! Each command decodes its arguments, makes one call of the core and encodes the answer. A new command stands in `list.rs`
//! and, with its permission, in `capabilities/main.json`; without them the window's call is refused.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod changes;
pub(crate) mod checks;
pub(crate) mod credentials;
pub(crate) mod devices;
pub(crate) mod keys;
pub(crate) mod opening;
pub(crate) mod overview;
pub(crate) mod people;
pub(crate) mod policies;
pub(crate) mod reports;
pub(crate) mod settings;
#[cfg(test)]
mod tests;

use tauri::Runtime;
use tauri::ipc::Invoke;

macro_rules! commands {
    ($($file:ident :: $name:ident),+ $(,)?) => {
        /// The commands' names.
        #[cfg(test)]
        pub(crate) const COMMANDS: &[&str] = &[$(stringify!($name)),+];

        /// Answers the window's calls.
        pub(crate) fn handler<R: Runtime>() -> impl Fn(Invoke<R>) -> bool + Send + Sync + 'static {
            tauri::generate_handler![$($file::$name),+]
        }
    };
}

include!("commands/list.rs");

/// Computes off the threads that answer the window: a large key takes seconds.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // It is never aborted, so it can only have panicked.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
