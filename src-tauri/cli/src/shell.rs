//! What every command has: the global options, the output, the opened data directory.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use keywheel_core::Keywheel;
use keywheel_core::audit::Actor;
use keywheel_core::clock::SystemClock;
use keywheel_core::data_dir::default_data_dir;
use keywheel_core::error::Explain;
use keywheel_core::vault::{AnchorName, ItemName, ItemVersion, OsKeyring, Vault, VaultError};
use zeroize::Zeroizing;

use crate::arguments::Global;
use crate::error::{Ending, ErrorLine, Failure, ShellError};
use crate::output::{Form, Output};

/// The shell around one command.
#[derive(Debug)]
pub(crate) struct Shell {
    global: Global,
    output: Arc<Output>,
    opened: OnceLock<Keywheel>,
}

impl Shell {
    pub(crate) fn new(global: Global) -> Self {
        let output = Arc::new(Output::new(if global.json { Form::Json } else { Form::Text }));
        Self { global, output, opened: OnceLock::new() }
    }

    /// Where data goes.
    pub(crate) fn output(&self) -> &Arc<Output> {
        &self.output
    }

    /// Whether every question is answered with yes.
    pub(crate) fn yes(&self) -> bool {
        self.global.yes
    }

    /// Whether more is told on standard error.
    pub(crate) fn is_verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// The data directory, where one is given.
    pub(crate) fn data_dir(&self) -> Option<&Path> {
        self.global.data_dir.as_deref()
    }

    /// Opens the data directory. The keyring is not asked yet.
    ///
    /// # Errors
    /// It can't be used, or nobody says where it lies.
    pub(crate) fn open(&self) -> Result<Keywheel, Failure> {
        let dir: PathBuf = match &self.global.data_dir {
            Some(dir) => dir.clone(),
            None => default_data_dir().ok_or(ShellError::NoDataDir)?,
        };
        if self.is_verbose() {
            self.output.message(&format!("Data directory: {}", dir.display()));
        }
        let vault: Arc<dyn Vault> = match OsKeyring::open() {
            Ok(keyring) => Arc::new(keyring),
            Err(error) => Arc::new(NoKeyring(error)),
        };
        let keywheel = Keywheel::open(&dir, vault, Arc::new(SystemClock), Actor::current())?;
        // A command opens it once.
        Ok(self.opened.get_or_init(|| keywheel).clone())
    }

    /// The data directory, if the command opened it.
    pub(crate) fn opened(&self) -> Option<&Keywheel> {
        self.opened.get()
    }

    /// Anchors what the command wrote into the audit.
    pub(crate) async fn anchor(&self) {
        if let Some(keywheel) = self.opened.get() {
            keywheel.anchor_audit().await;
        }
    }

    /// Tells how the command ended, and answers it.
    pub(crate) fn end(&self, done: Result<Ending, Failure>) -> Ending {
        let ending = match done {
            Ok(ending) => ending,
            Err(failure) => {
                self.tell(failure.explain());
                self.output.error(&ErrorLine::of(failure.explain()));
                failure.ending()
            }
        };
        match self.output.failure() {
            Some(source) => {
                let error = ShellError::Output { source };
                self.tell(&error);
                // What is left on devices counts more than what could not be shown.
                if ending == Ending::Done { Ending::of(&error) } else { ending }
            }
            None => ending,
        }
    }

    /// Tells an error's two sentences on standard error.
    pub(crate) fn tell(&self, error: &dyn Explain) {
        self.output.message(&format!("error: {error}\n  {}", error.hint()));
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source.filter(|_| self.is_verbose()) {
            self.output.message(&format!("  cause: {cause}"));
            source = cause.source();
        }
    }
}

/// A keyring that could not even be opened: what needs no secret works without.
#[derive(Debug)]
struct NoKeyring(VaultError);

impl NoKeyring {
    fn error(&self) -> VaultError {
        VaultError::Missing { source: self.0.to_string().into() }
    }
}

#[async_trait]
impl Vault for NoKeyring {
    async fn check(&self) -> Result<(), VaultError> {
        Err(self.error())
    }

    async fn store(&self, _: &ItemName, _: &[u8]) -> Result<(), VaultError> {
        Err(self.error())
    }

    async fn replace(&self, _: &AnchorName, _: &[u8]) -> Result<(), VaultError> {
        Err(self.error())
    }

    async fn read(&self, _: &ItemName) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        Err(self.error())
    }

    async fn find(&self, _: &ItemVersion) -> Result<Vec<ItemName>, VaultError> {
        Err(self.error())
    }

    async fn remove(&self, _: &ItemName) -> Result<(), VaultError> {
        Err(self.error())
    }
}

/// Reads a file that was named on the command line, up to a size that nothing of its kind exceeds.
///
/// It may hold a private key, so what is read is wiped.
///
/// # Errors
/// It can't be read, or is larger.
pub(crate) fn read_file(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let unreadable = |source| ShellError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    // The whole length at once: a buffer that grows leaves its old copies behind. A pipe has no length.
    let length = file.metadata().map_err(unreadable)?.len().clamp(64 * 1024, most.max(64 * 1024));
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(ShellError::TooLarge { path: path.to_owned(), most }.into());
    }
    Ok(bytes)
}
