//! The half of a pair that is no secret.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use ssh_key::HashAlg;

use super::{Algorithm, Fingerprint, KeyError, comment};

/// A public key with its comment.
///
/// Two are equal if their blobs are: a comment is a label, and a server neither knows nor compares it.
#[derive(Clone)]
pub struct PublicKey {
    key: ssh_key::PublicKey,
    blob: Vec<u8>,
    comment: String,
    algorithm: Algorithm,
}

impl PublicKey {
    /// Reads a key from one line as in a `.pub` file: type, base64 text, comment.
    ///
    /// RSA keys of any length are read, since host keys are read here as well.
    ///
    /// # Errors
    /// [`KeyError::NotAPublicKey`], and for a type that is not used here [`KeyError::DsaNotSupported`],
    /// [`KeyError::CertificateGiven`] or [`KeyError::UnsupportedType`].
    pub fn from_openssh(line: &str) -> Result<Self, KeyError> {
        let line = line.trim();
        if line.contains(['\n', '\r']) {
            return Err(KeyError::NotAPublicKey);
        }
        refuse_type(line.split_ascii_whitespace().next().unwrap_or_default())?;
        let key = ssh_key::PublicKey::from_openssh(line).map_err(|_| KeyError::NotAPublicKey)?;
        Self::from_ssh_key(&key)
    }

    /// The key in one line as in a `.pub` file, without an end of line.
    pub fn to_openssh(&self) -> String {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let mut line = format!("{} {}", self.key_type(), STANDARD.encode(&self.blob));
        if !self.comment.is_empty() {
            line.push(' ');
            line.push_str(&self.comment);
        }
        line
    }

    /// The name of the type as in `authorized_keys`: `ssh-ed25519`.
    pub fn key_type(&self) -> &str {
        self.algorithm.key_type()
    }

    /// The key in the encoding of RFC 4253, section 6.6: what stands as base64 in `authorized_keys`.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The comment; empty if there is none.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// The algorithm, with its size.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The SHA-256 fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.blob)
    }

    /// The picture that `ssh-keygen -lv` draws of the fingerprint.
    pub fn randomart(&self) -> String {
        let header = format!("[{} {}]", self.algorithm.family(), self.algorithm.bits());
        self.key.fingerprint(HashAlg::Sha256).to_randomart(&header)
    }

    /// The same key with another comment; control characters in it become spaces.
    #[must_use]
    pub fn with_comment(&self, text: &str) -> Self {
        let comment = comment::clean(text);
        let mut key = self.key.clone();
        key.set_comment(comment.as_str());
        Self { key, comment, blob: self.blob.clone(), algorithm: self.algorithm }
    }

    /// Takes over a key that `ssh-key` or russh has read.
    ///
    /// # Errors
    /// As [`PublicKey::from_openssh`].
    pub(crate) fn from_ssh_key(key: &ssh_key::PublicKey) -> Result<Self, KeyError> {
        let algorithm = Algorithm::of(key.key_data()).ok_or_else(|| {
            let name = key.algorithm().to_string();
            refuse_type(&name).err().unwrap_or(KeyError::UnsupportedType { name })
        })?;
        let blob = key.to_bytes().map_err(|_| KeyError::NotAPublicKey)?;
        let comment = comment::clean(&String::from_utf8_lossy(key.comment().as_bytes()));
        let mut key = ssh_key::PublicKey::from(key.key_data().clone());
        key.set_comment(comment.as_str());
        Ok(Self { key, blob, comment, algorithm })
    }

    pub(crate) fn as_ssh_key(&self) -> &ssh_key::PublicKey {
        &self.key
    }
}

/// Refuses the key types that are known by name and never used here.
pub(super) fn refuse_type(name: &str) -> Result<(), KeyError> {
    if name.ends_with("-cert-v01@openssh.com") || name.ends_with("-cert-v00@openssh.com") {
        Err(KeyError::CertificateGiven)
    } else if name == "ssh-dss" {
        Err(KeyError::DsaNotSupported)
    } else if name.starts_with("sk-") || name.starts_with("webauthn-") || name == "ssh-ed448" {
        Err(KeyError::UnsupportedType { name: name.to_owned() })
    } else {
        Ok(())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.blob == other.blob
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.blob.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {} {:?})", self.algorithm, self.fingerprint(), self.comment)
    }
}
