//! People, devices, credentials, policies, key versions and settings, as they lie in the database.
//!
//! This module knows the rules of each and the SQL; the operations with their audit rows are methods of
//! [`Keywheel`](crate::keywheel::Keywheel). Functions take a connection, so that a caller joins several in one transaction.

pub mod credential;
pub mod device;
mod error;
mod id;
pub mod key_version;
pub mod password_version;
pub mod person;
pub mod policy;
pub mod setting;
pub mod text;
mod words;

pub use self::credential::{Authentication, Credential, Kind};
pub use self::device::{Device, HostKey};
pub use self::error::{CatalogueError, Noun};
pub use self::id::{CredentialId, DeviceId, PersonId, PolicyId};
pub use self::key_version::{Happening, Installed, KeyVersion, VersionState};
pub use self::password_version::PasswordVersion;
pub use self::person::Person;
pub use self::policy::{AfterInterruption, OnFailure, Policy, Strategy, Weekday};
pub use self::setting::Settings;
pub use self::words::UnknownWord;
pub(crate) use self::words::words;
