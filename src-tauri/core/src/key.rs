//! Key pairs: making, reading and writing them; the only code that sees private bytes.
//!
//! `algorithm`, `public_key` and `fingerprint` hold no secret. `pem` finds the key in a file, `openssh`, `der` and `dek`
//! read the numbers out of it, `pair` makes a pair of them and proves that it is one, `locked` is where it is kept, and `stack`
//! wipes what working with it leaves.

mod algorithm;
mod comment;
mod dek;
mod der;
mod error;
mod fingerprint;
mod locked;
mod openssh;
mod pair;
mod pem;
mod public_key;
mod stack;

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer as _,
    error::Unspecified,
    rand, rsa,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair,
    },
};
use secrecy::{ExposeSecret, SecretString};
use ssh_key::{Cipher, Kdf, LineEnding, private::KeypairData};
use zeroize::Zeroizing;

use self::locked::LockedBytes;
pub use self::{
    algorithm::Algorithm,
    error::{Damage, KeyError},
    fingerprint::Fingerprint,
    public_key::PublicKey,
};

/// The rounds of `bcrypt_pbkdf` for a revealed key with a passphrase: what `ssh-keygen` has written since OpenSSH 9.4.
const WRITTEN_ROUNDS: u32 = 24;

/// A private key.
///
/// It can't be cloned, serialised or printed. Its bytes are locked in memory where the system allows it and zeroized when it
/// is dropped; a pair that signs is made of them for one signature at a time.
pub struct PrivateKey {
    secret: LockedBytes,
    public: PublicKey,
}

impl PrivateKey {
    /// Generates a key.
    ///
    /// # Errors
    /// [`KeyError::NotGenerated`] for what is not in [`Algorithm::GENERATED`], and [`KeyError::GenerationFailed`].
    pub fn generate(algorithm: Algorithm, comment: &str) -> Result<Self, KeyError> {
        stack::wiped(|| Self::generate_now(algorithm, comment))
    }

    fn generate_now(algorithm: Algorithm, comment: &str) -> Result<Self, KeyError> {
        let failed = |source: Unspecified| KeyError::GenerationFailed { algorithm, source };
        let pair = match algorithm {
            Algorithm::Ed25519 => {
                let made = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(failed)?;
                der::pkcs8(made.as_ref())
            }
            Algorithm::EcdsaP256 => generate_ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?,
            Algorithm::EcdsaP384 => generate_ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING).map_err(failed)?,
            Algorithm::EcdsaP521 => generate_ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING).map_err(failed)?,
            Algorithm::Rsa(2048) => generate_rsa(rsa::KeySize::Rsa2048).map_err(failed)?,
            Algorithm::Rsa(3072) => generate_rsa(rsa::KeySize::Rsa3072).map_err(failed)?,
            Algorithm::Rsa(4096) => generate_rsa(rsa::KeySize::Rsa4096).map_err(failed)?,
            Algorithm::Rsa(_) => return Err(KeyError::NotGenerated(algorithm)),
        }?;
        let key = Self::of(pair, comment)?;
        key.with_signer(|signer| pair::prove(signer, key.public.as_ssh_key()))?;
        Ok(key)
    }

    /// Reads a private key from a file's content: OpenSSH, PKCS#1, SEC 1 or PKCS#8, each also encrypted.
    ///
    /// Text before and after the key is passed over, and of several keys the first is read, as ssh does. A passphrase that
    /// is not needed is ignored; an empty one counts as none.
    ///
    /// # Errors
    /// Any of [`KeyError`] that concerns a file.
    pub fn import(bytes: &[u8], passphrase: Option<&SecretString>) -> Result<Self, KeyError> {
        stack::wiped(|| Self::import_now(bytes, passphrase))
    }

    fn import_now(bytes: &[u8], passphrase: Option<&SecretString>) -> Result<Self, KeyError> {
        let passphrase = passphrase.map(ExposeSecret::expose_secret).filter(|passphrase| !passphrase.is_empty());
        let block = pem::find(bytes)?;
        let unsealed = match &block.dek_info {
            Some(info) => Some(dek::decrypt(info, &block.data, passphrase)?),
            None => None,
        };
        let data = unsealed.as_deref().unwrap_or(&block.data);
        let damage = if unsealed.is_some() { der::after_decryption } else { |error| error };
        let (pair, comment) = match block.kind {
            pem::Kind::OpenSsh => {
                let opened = openssh::open(data, passphrase)?;
                (opened.pair, opened.comment)
            }
            pem::Kind::Rsa => (der::pkcs1(data).map_err(damage)?, String::new()),
            pem::Kind::Ec => (der::sec1(data).map_err(damage)?, String::new()),
            pem::Kind::Dsa => return Err(KeyError::DsaNotSupported),
            pem::Kind::Pkcs8 => (der::pkcs8(data).map_err(damage)?, String::new()),
            pem::Kind::EncryptedPkcs8 => (der::encrypted_pkcs8(data, passphrase)?, String::new()),
        };
        let key = Self::of(pair, &comment)?;
        key.with_signer(|signer| pair::prove(signer, key.public.as_ssh_key()))?;
        Ok(key)
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The bytes that the keyring stores: OpenSSH's container, unencrypted, without the text armour.
    ///
    /// At RSA 4096 they stay under the 2,560 bytes that the Windows Credential Manager takes.
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.secret.bytes().to_vec())
    }

    /// Reads a key from the bytes that the keyring stores.
    ///
    /// # Errors
    /// [`KeyError::Damaged`] and the others of a container in OpenSSH's format.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        stack::wiped(|| {
            let opened = openssh::open(bytes, None)?;
            Self::of(opened.pair, &opened.comment)
        })
    }

    /// Writes the key as a file in OpenSSH's format, encrypted if a passphrase is given.
    ///
    /// An empty passphrase counts as none, as for `ssh-keygen`.
    ///
    /// # Errors
    /// [`KeyError::NotWritten`].
    pub fn write_openssh(&self, passphrase: Option<&SecretString>) -> Result<Zeroizing<String>, KeyError> {
        let passphrase = passphrase.map(ExposeSecret::expose_secret).filter(|passphrase| !passphrase.is_empty());
        let Some(passphrase) = passphrase else {
            return self.with_signer(|signer| signer.to_openssh(LineEnding::LF)).map_err(KeyError::NotWritten);
        };
        let mut salt = vec![0; 16];
        let mut check = [0; 4];
        rand::fill(&mut salt)
            .and_then(|()| rand::fill(&mut check))
            .map_err(|_| KeyError::NotWritten(ssh_key::Error::RngFailure))?;
        let kdf = Kdf::Bcrypt { salt, rounds: WRITTEN_ROUNDS };
        self.with_signer(|signer| {
            signer
                .encrypt_with(Cipher::Aes256Ctr, kdf, u32::from_be_bytes(check), passphrase)
                .and_then(|sealed| sealed.to_openssh(LineEnding::LF))
        })
        .map_err(KeyError::NotWritten)
    }

    /// Lends the key as russh takes it to sign with, for one use; what comes of that must hold no private bytes.
    ///
    /// # Panics
    /// Never: `of` made the bytes.
    pub(crate) fn with_signer<T>(&self, work: impl FnOnce(&russh::keys::PrivateKey) -> T) -> T {
        stack::wiped(|| {
            #[expect(clippy::expect_used, reason = "the bytes are an encoding that `of` made of a pair")]
            let signer =
                russh::keys::PrivateKey::from_bytes(self.secret.bytes()).expect("an encoded pair can be decoded");
            work(&signer)
        })
    }

    fn of(pair: KeypairData, text: &str) -> Result<Self, KeyError> {
        let text = comment::clean(text);
        let pair = russh::keys::PrivateKey::new(pair, comment::cut(&text)).map_err(|_| KeyError::HalvesDiffer)?;
        let public = PublicKey::from_ssh_key(pair.public_key())?;
        let encoded = pair.to_bytes().map_err(KeyError::NotWritten)?;
        Ok(Self { secret: LockedBytes::copy_of(&encoded), public })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

fn generate_ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Result<Result<KeypairData, KeyError>, Unspecified> {
    let made = EcdsaKeyPair::generate(algorithm)?.to_pkcs8v1()?;
    Ok(der::pkcs8(made.as_ref()))
}

/// Generates with aws-lc-rs, since the crate `rsa` takes many times longer to find primes.
fn generate_rsa(size: rsa::KeySize) -> Result<Result<KeypairData, KeyError>, Unspecified> {
    let made = rsa::KeyPair::generate(size)?.as_der()?;
    Ok(der::pkcs8(made.as_ref()))
}

#[cfg(test)]
mod tests;
