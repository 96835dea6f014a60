//! The `known_hosts` files of OpenSSH, read only when a person asks for it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::catalogue::Device;
use crate::error::{Class, Explain};
use crate::key::PublicKey;
use crate::remote::scan::{KnownHost, matches_known_hosts};

/// No `known_hosts` is larger; a file named by mistake is not read whole.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Why a `known_hosts` file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KnownHostsError {
    /// It can't be read.
    #[error("The file {} can't be read: {source}.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// It is larger than any is.
    #[error("The file {} is larger than {LARGEST} bytes.", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

impl Explain for KnownHostsError {
    crate::sentences! {
        Unreadable { path = path.display(), source } => "file-unreadable" as "known-hosts-unreadable",
        TooLarge { path = path.display() } with most = LARGEST => "file-too-large" as "known-hosts-too-large",
    }

    fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "Make it readable for you, or scan without known_hosts.".to_owned(),
            Self::TooLarge { .. } => "Make sure that it is a known_hosts file, or scan without it.".to_owned(),
        }
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::Unreadable { path, .. } | Self::TooLarge { path } => Some(path.display().to_string()),
        }
    }

    fn class(&self) -> Class {
        Class::BadInput
    }
}

/// What `known_hosts` files say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownHosts {
    texts: Vec<Vec<u8>>,
}

impl KnownHosts {
    /// Reads files; one that does not exist says nothing.
    ///
    /// # Errors
    /// One exists and can't be read, or is too large to be one.
    pub fn read(paths: &[&Path]) -> Result<Self, KnownHostsError> {
        let mut texts = Vec::new();
        for path in paths {
            let unreadable = |source| KnownHostsError::Unreadable { path: (*path).to_owned(), source };
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unreadable(error)),
            };
            let mut text = Vec::new();
            let read = file.take(LARGEST + 1).read_to_end(&mut text).map_err(unreadable)?;
            if u64::try_from(read).unwrap_or(u64::MAX) > LARGEST {
                return Err(KnownHostsError::TooLarge { path: (*path).to_owned() });
            }
            texts.push(text);
        }
        Ok(Self { texts })
    }

    /// Whether a file names this key for a device's address and port, and none revokes it.
    pub fn names(&self, device: &Device, key: &PublicKey) -> bool {
        let said: Vec<KnownHost> =
            self.texts.iter().map(|text| matches_known_hosts(text, &device.address, device.port, key)).collect();
        said.contains(&KnownHost::Matches) && !said.contains(&KnownHost::Revoked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::NewDevice;
    use crate::key::{Algorithm, PrivateKey};
    use crate::keywheel::testing::keywheel;

    #[tokio::test]
    async fn a_key_matches_where_one_file_names_it_and_none_revokes_it() {
        let (keywheel, dir) = keywheel();
        let device =
            keywheel.add_device(NewDevice { port: 2222, ..NewDevice::new("web-1", "web-1.example") }).await.unwrap();
        let key = PrivateKey::generate(Algorithm::Ed25519, "host").unwrap().public_key().clone();
        let other = PrivateKey::generate(Algorithm::Ed25519, "host").unwrap().public_key().clone();
        let (line, of_other) = (key.with_comment("").to_openssh(), other.with_comment("").to_openssh());
        let [user, system, revoking, missing] =
            ["user", "system", "revoking", "missing"].map(|name| dir.path().join(name));
        std::fs::write(&user, format!("\u{1}garbage\nweb-1.example {of_other}\n")).unwrap();
        std::fs::write(&system, format!("[web-1.example]:2222 {line}\n")).unwrap();
        std::fs::write(&revoking, format!("@revoked [web-1.example]:2222 {line}\n")).unwrap();
        let names = |paths: &[&Path], key| KnownHosts::read(paths).unwrap().names(&device, key);
        assert!(names(&[&user, &missing, &system], &key), "a known key would be shown as new");
        assert!(!names(&[&user, &missing, &system], &other), "the key of another port would be taken for this one's");
        assert!(!names(&[&system, &revoking], &key), "a revoked key would be pinned");
        assert!(!names(&[&missing], &key));
        let error = KnownHosts::read(&[dir.path()]).unwrap_err();
        assert_eq!(error.code(), "file-unreadable", "a folder is no file");
    }
}
