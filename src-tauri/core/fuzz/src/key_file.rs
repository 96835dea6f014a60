//! Importing a private key from any bytes.

use keywheel_core::error::Explain as _;
use keywheel_core::key::{KeyError, PrivateKey};
use secrecy::SecretString;

/// The passphrase of the sealed keys in the corpus.
const PASSPHRASE: &str = "correct horse";

/// What a keyring takes at most (Windows Credential Manager, `CRED_MAX_CREDENTIAL_BLOB_SIZE`).
const KEYRING_BYTES: usize = 2560;

/// Imports any bytes as a key file, and uses what comes of it in every form.
///
/// # Panics
///
/// A key that was taken is another one when it is stored, or written to a file, and read again.
pub fn key_file(bytes: &[u8]) {
    let passphrase = SecretString::from(PASSPHRASE);
    let key = match PrivateKey::import(bytes, None) {
        Err(KeyError::PassphraseNeeded) => PrivateKey::import(bytes, Some(&passphrase)),
        done => done,
    };
    let key = match key {
        Ok(key) => key,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.hint().is_empty(), "a refusal without a reason");
            return;
        }
    };
    let fingerprint = key.public_key().fingerprint();
    let stored = key.to_secret_bytes();
    assert!(stored.len() <= KEYRING_BYTES, "a keyring does not take {} bytes", stored.len());
    let read = PrivateKey::from_secret_bytes(&stored).unwrap();
    assert_eq!(read.public_key().fingerprint(), fingerprint, "another key came back from the keyring");
    let written = key.write_openssh(None).unwrap();
    let read = PrivateKey::import(written.as_bytes(), None).unwrap();
    assert_eq!(read.public_key().fingerprint(), fingerprint, "another key was written");
    assert!(!format!("{key:?}").contains(written.as_str()), "a key shows itself");
}
