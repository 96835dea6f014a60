//! The secret of a new credential: generated, from a file, or typed.

use std::path::Path;

use keywheel_core::credential::NewSecret;
use keywheel_core::key::{Algorithm, KeyError, PrivateKey};

use super::{AddCredential, KindArgument};
use crate::error::{Failure, ShellError};
use crate::prompt;
use crate::shell::read_file;

/// No key file is larger; a file given by mistake is not read whole.
const LARGEST_KEY: u64 = 1024 * 1024;

/// Makes, reads or asks for the secret that the arguments want.
///
/// # Errors
/// The arguments don't fit together, or the file or what is typed can't be used.
pub(super) async fn new(arguments: &AddCredential) -> Result<NewSecret, Failure> {
    let kind = match (arguments.kind, arguments.password_stdin) {
        (Some(kind), _) => kind,
        (None, true) => KindArgument::Password,
        (None, false) => KindArgument::SshKey,
    };
    match kind {
        KindArgument::Password if arguments.generate || arguments.import.is_some() || arguments.algorithm.is_some() => {
            Err(usage("A password is neither generated nor imported.", "Give --password-stdin, or another --kind."))
        }
        KindArgument::Password if arguments.password_stdin => Ok(NewSecret::Password(prompt::secret_from_stdin()?)),
        KindArgument::Password => {
            let what = format!("The password of \"{}\"", arguments.username);
            Ok(NewSecret::Password(prompt::new_secret(&what, "--password-stdin")?))
        }
        KindArgument::SshKey if arguments.password_stdin => {
            Err(usage("A key has no password.", "Leave --password-stdin out, or give --kind password."))
        }
        KindArgument::SshKey => match &arguments.import {
            Some(file) => import(file, arguments.passphrase_stdin).await,
            None if arguments.generate => generate(arguments).await,
            None => Err(usage("It is not said where the key comes from.", "Give --generate, or --import with a file.")),
        },
    }
}

fn usage(message: &str, hint: &'static str) -> Failure {
    ShellError::Usage { message: message.to_owned(), hint }.into()
}

async fn generate(arguments: &AddCredential) -> Result<NewSecret, Failure> {
    let algorithm: Algorithm = match &arguments.algorithm {
        Some(name) => name.parse()?,
        None => Algorithm::default(),
    };
    let comment = arguments.name.trim().to_owned();
    // Large RSA primes take seconds.
    let made = off_thread(move || PrivateKey::generate(algorithm, &comment)).await;
    Ok(NewSecret::Generated(made?))
}

async fn import(file: &Path, passphrase_stdin: bool) -> Result<NewSecret, Failure> {
    let bytes = read_file(file, LARGEST_KEY)?;
    let mut passphrase = if passphrase_stdin { Some(prompt::secret_from_stdin()?) } else { None };
    let mut key = PrivateKey::import(&bytes, passphrase.as_ref());
    if matches!(key, Err(KeyError::PassphraseNeeded)) && prompt::can_ask() {
        passphrase = Some(prompt::secret(&format!("Passphrase of {}", file.display()), "--passphrase-stdin")?);
        key = PrivateKey::import(&bytes, passphrase.as_ref());
    }
    let key = key.map_err(|source| ShellError::Key { path: file.to_owned(), source })?;
    // As a whole path: where the command ran is not known later.
    let from = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    Ok(NewSecret::Imported { key, from: Some(from) })
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // It is never aborted, so it can only have panicked.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
