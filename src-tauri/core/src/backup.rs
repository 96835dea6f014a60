//! Backup and restore: one sealed file with the catalogue, the journal, the audit and all secrets of the keyring.
//!
//! The file has the format of age (<https://age-encryption.org/v1>), and inside of it is a tar archive: what Keywheel keeps can
//! be had without Keywheel. No secret is ever on a disk but sealed. docs/BACKUP.md tells it for people.

mod archive;
mod automatic;
mod create;
mod error;
mod file;
mod manifest;
mod preview;
mod read;
mod restore;
mod standing;
#[cfg(test)]
mod tests;

pub use self::create::Created;
pub use self::error::BackupError;
pub use self::file::{Identities, Lock, Proof, Recipients, Unlock};
pub use self::preview::{Comparison, NewerHere, PreviewRow, RestorePreview, SecretCounts, Target};
pub use self::read::Opened;
pub use self::restore::Restored;
pub use self::standing::BackupStanding;

/// How many characters the passphrase of a new backup must have.
pub const LEAST_PASSPHRASE: usize = 8;
