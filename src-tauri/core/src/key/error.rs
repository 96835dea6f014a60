//! Why a key can't be read, made or written.

use aws_lc_rs::error::Unspecified;
use thiserror::Error;

use super::Algorithm;
use crate::error::{Class, Explain};

/// Why an operation on a key ended without its result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file has no content but white space.
    #[error("The key file is empty.")]
    Empty,
    /// Nothing in the file looks like a key.
    #[error("The file holds no private key.")]
    NotAPrivateKey,
    /// The file holds the public half.
    #[error("The file holds a public key, not a private key.")]
    PublicKeyGiven,
    /// The file holds a certificate.
    #[error("The file holds a certificate, not a private key.")]
    CertificateGiven,
    /// The file is in the format of PuTTY.
    #[error("The file is a PuTTY key file.")]
    PuttyFile,
    /// The key is of the type `ssh-dss`.
    #[error("The key is a DSA key.")]
    DsaNotSupported,
    /// The RSA modulus is too short to be safe.
    #[error("The RSA key has only {bits} bits.")]
    RsaTooShort {
        /// The length of the modulus.
        bits: u32,
    },
    /// The RSA modulus is longer than the signing code takes.
    #[error("The RSA key has {bits} bits, which is more than can be used.")]
    RsaTooLong {
        /// The length of the modulus.
        bits: u32,
    },
    /// The key is of a type, or the file of a format, that can't be used here.
    #[error("The key is of an unsupported type: {name}.")]
    UnsupportedType {
        /// The name that the file gives, or a description.
        name: String,
    },
    /// The file is encrypted in a way that can't be undone here.
    #[error("The key file is encrypted with an unsupported method: {name}.")]
    UnsupportedEncryption {
        /// The name or object identifier that the file gives.
        name: String,
    },
    /// Deriving the key from the passphrase would take minutes or fill the memory.
    #[error("The key file asks for too much work to try its passphrase.")]
    TooCostly,
    /// The file is encrypted and no passphrase was given.
    #[error("The key file is encrypted.")]
    PassphraseNeeded,
    /// The passphrase does not open the file.
    #[error("The passphrase does not open the key file.")]
    WrongPassphrase,
    /// The file is of a known format but its content is not whole.
    #[error("The key file is damaged.")]
    Damaged(#[source] Damage),
    /// The public half in the file is not that of the private half.
    #[error("The public and the private half in the key file do not belong together.")]
    HalvesDiffer,
    /// The text is no public key in OpenSSH's one-line form.
    #[error("The text is no public key.")]
    NotAPublicKey,
    /// The text is no SHA-256 fingerprint.
    #[error("{given:?} is no SHA-256 fingerprint.")]
    NotAFingerprint {
        /// The text.
        given: String,
    },
    /// The text names no algorithm.
    #[error("{given:?} is no key algorithm.")]
    UnknownAlgorithm {
        /// The text.
        given: String,
    },
    /// Keys of this algorithm and size are read, but not made.
    #[error("No key of the algorithm {0} can be generated.")]
    NotGenerated(Algorithm),
    /// The cryptographic library made no key.
    #[error("No key of the algorithm {algorithm} could be generated.")]
    GenerationFailed {
        /// The algorithm.
        algorithm: Algorithm,
        /// What the library says.
        #[source]
        source: Unspecified,
    },
    /// The key could not be written in OpenSSH's format.
    #[error("The key could not be written in the OpenSSH format.")]
    NotWritten(#[source] ssh_key::Error),
}

/// What is wrong with a damaged key file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Damage {
    /// The `END` line is missing: the file was cut off.
    #[error("The END line is missing.")]
    NoEnd,
    /// All lines were joined into one.
    #[error("The line breaks are missing.")]
    NoLineBreaks,
    /// The text between the `BEGIN` and `END` lines is not base64.
    #[error("The text between the BEGIN and END lines is not base64.")]
    Base64(#[source] base64::DecodeSliceError),
    /// The lines that tell how the file is encrypted can't be read.
    #[error("The encryption header can't be read.")]
    Header,
    /// A field is missing, too long, or not what the format says.
    #[error("The field {0:?} is missing or malformed.")]
    Field(&'static str),
    /// The ASN.1 structure can't be read.
    #[error("The ASN.1 structure can't be read.")]
    Asn1(#[source] pkcs8::der::Error),
    /// The numbers are no key pair of their algorithm.
    #[error("The numbers are no {0} key.")]
    Numbers(&'static str),
}

impl Damage {
    /// The stable word for it.
    fn word(&self) -> &'static str {
        match self {
            Self::NoEnd => "no-end",
            Self::NoLineBreaks => "no-line-breaks",
            Self::Base64(_) => "base64",
            Self::Header => "header",
            Self::Field(_) => "field",
            Self::Asn1(_) => "asn1",
            Self::Numbers(_) => "numbers",
        }
    }

    /// The field or algorithm that it names.
    fn part(&self) -> &'static str {
        match self {
            Self::Field(part) | Self::Numbers(part) => part,
            _ => "",
        }
    }
}

/// The algorithms to choose from, in one line.
fn choices() -> String {
    Algorithm::GENERATED.map(|algorithm| algorithm.to_string()).join(", ")
}

impl From<Damage> for KeyError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl Explain for KeyError {
    crate::sentences! {
        Empty => "key-file-empty",
        NotAPrivateKey => "not-a-private-key",
        PublicKeyGiven => "public-key-given",
        CertificateGiven => "certificate-given",
        PuttyFile => "putty-file",
        DsaNotSupported => "dsa-not-supported",
        RsaTooShort { bits } => "rsa-too-short",
        RsaTooLong { bits } => "rsa-too-long",
        UnsupportedType { name } => "key-type-not-supported",
        UnsupportedEncryption { name } => "key-encryption-not-supported",
        TooCostly => "key-derivation-too-costly",
        PassphraseNeeded => "passphrase-needed",
        WrongPassphrase => "wrong-passphrase",
        Damaged(damage = damage.word()) with part = damage.part() => "key-file-damaged",
        HalvesDiffer => "key-halves-differ",
        NotAPublicKey => "not-a-public-key",
        NotAFingerprint { given } => "not-a-fingerprint",
        UnknownAlgorithm { given } with choices = choices() => "unknown-algorithm",
        NotGenerated(algorithm) with choices = choices() => "algorithm-not-generated",
        GenerationFailed { algorithm } => "key-not-generated",
        NotWritten => "key-not-written",
    }

    fn hint(&self) -> String {
        match self {
            Self::Empty | Self::NotAPrivateKey => {
                "Choose a private key in the OpenSSH or PEM format, as ssh-keygen and openssl write it.".into()
            }
            Self::PublicKeyGiven => "Choose the private half: usually the file of the same name without .pub.".into(),
            Self::CertificateGiven => "Choose the private key that the certificate was issued for.".into(),
            Self::PuttyFile => {
                "In PuTTYgen, load it, export it as OpenSSH (Conversions, Export OpenSSH key), and import that file."
                    .into()
            }
            Self::DsaNotSupported => {
                "DSA keys are no longer accepted by OpenSSH servers; generate an Ed25519 key instead.".into()
            }
            Self::RsaTooShort { .. } => {
                "RSA keys under 2048 bits are not safe; generate an Ed25519 key or one of RSA 3072 instead.".into()
            }
            Self::RsaTooLong { .. } => "Generate a key of RSA 4096 or Ed25519 instead.".into(),
            Self::UnsupportedType { .. } => {
                "Use a key of the type Ed25519, ECDSA (P-256, P-384, P-521) or RSA in the OpenSSH or PEM format.".into()
            }
            Self::UnsupportedEncryption { .. } | Self::TooCostly => {
                "Encrypt a copy of the file anew with `ssh-keygen -p -f FILE`, and import that.".into()
            }
            Self::PassphraseNeeded => "Enter its passphrase.".into(),
            Self::WrongPassphrase => {
                "Enter the passphrase again; if it is right for sure, the file is damaged: use another copy.".into()
            }
            Self::Damaged(damage) => format!("{damage} Use another copy of the file."),
            Self::HalvesDiffer => "Use another copy of the file, or generate a new key.".into(),
            Self::NotAPublicKey => {
                "Give one line as in a .pub file: the type, the base64 text and a comment, without options.".into()
            }
            Self::NotAFingerprint { .. } => "Give it as ssh-keygen -l shows it: SHA256: and 43 characters.".into(),
            Self::UnknownAlgorithm { .. } | Self::NotGenerated(_) => {
                format!("Choose one of {}.", choices())
            }
            Self::GenerationFailed { .. } => "Try again; if it fails again, choose another algorithm.".into(),
            Self::NotWritten(_) => "Try again without a passphrase, and report this as a bug.".into(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::GenerationFailed { .. } | Self::NotWritten(_) => Class::NotDone,
            _ => Class::BadInput,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::PassphraseNeeded | Self::WrongPassphrase => Some("passphrase"),
            Self::UnknownAlgorithm { .. } | Self::NotGenerated(_) | Self::GenerationFailed { .. } => Some("algorithm"),
            Self::NotAFingerprint { .. } => Some("fingerprint"),
            Self::NotWritten(_) => None,
            _ => Some("key"),
        }
    }
}
