//! The kinds of keys, by the names that users and programs see.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use ssh_key::{EcdsaCurve, public::KeyData};

use super::KeyError;

/// The algorithm of a key, with its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, ts_rs::TS)]
#[ts(as = "String")]
pub enum Algorithm {
    /// Ed25519 (RFC 8709).
    #[default]
    Ed25519,
    /// ECDSA over the curve nistp256 (RFC 5656).
    EcdsaP256,
    /// ECDSA over the curve nistp384.
    EcdsaP384,
    /// ECDSA over the curve nistp521.
    EcdsaP521,
    /// RSA with a modulus of so many bits.
    Rsa(u32),
}

impl Algorithm {
    /// The algorithms that keys can be generated for, the default first.
    pub const GENERATED: [Self; 7] = [
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Rsa(2048),
        Self::Rsa(3072),
        Self::Rsa(4096),
    ];

    /// The name of the key type in `authorized_keys` and in the protocol.
    pub const fn key_type(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384",
            Self::EcdsaP521 => "ecdsa-sha2-nistp521",
            Self::Rsa(_) => "ssh-rsa",
        }
    }

    /// The number of bits, as `ssh-keygen -l` shows it.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Ed25519 | Self::EcdsaP256 => 256,
            Self::EcdsaP384 => 384,
            Self::EcdsaP521 => 521,
            Self::Rsa(bits) => bits,
        }
    }

    /// The name of the family, as `ssh-keygen -l` shows it.
    pub(super) const fn family(self) -> &'static str {
        match self {
            Self::Ed25519 => "ED25519",
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 => "ECDSA",
            Self::Rsa(_) => "RSA",
        }
    }

    pub(super) fn of(key: &KeyData) -> Option<Self> {
        match key {
            KeyData::Ed25519(_) => Some(Self::Ed25519),
            KeyData::Ecdsa(key) => Some(match key.curve() {
                EcdsaCurve::NistP256 => Self::EcdsaP256,
                EcdsaCurve::NistP384 => Self::EcdsaP384,
                EcdsaCurve::NistP521 => Self::EcdsaP521,
            }),
            KeyData::Rsa(key) => Some(Self::Rsa(key.key_size())),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519 => f.write_str("ed25519"),
            Self::EcdsaP256 => f.write_str("ecdsa-p256"),
            Self::EcdsaP384 => f.write_str("ecdsa-p384"),
            Self::EcdsaP521 => f.write_str("ecdsa-p521"),
            Self::Rsa(bits) => write!(f, "rsa-{bits}"),
        }
    }
}

impl FromStr for Algorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let algorithm = match text {
            "ed25519" => Some(Self::Ed25519),
            "ecdsa-p256" => Some(Self::EcdsaP256),
            "ecdsa-p384" => Some(Self::EcdsaP384),
            "ecdsa-p521" => Some(Self::EcdsaP521),
            _ => text.strip_prefix("rsa-").and_then(|bits| bits.parse().ok()).map(Self::Rsa),
        };
        // The number must be written the one way it is shown: "rsa-+3072" would parse as well.
        algorithm
            .filter(|algorithm| algorithm.to_string() == text)
            .ok_or_else(|| KeyError::UnknownAlgorithm { given: text.to_owned() })
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_generated_algorithm_is_read_back_from_its_name() {
        for algorithm in Algorithm::GENERATED {
            assert_eq!(algorithm.to_string().parse::<Algorithm>().unwrap(), algorithm, "a stored name must read back");
            let json = serde_json::to_string(&algorithm).unwrap();
            assert_eq!(json, format!("{:?}", algorithm.to_string()), "programs see the name, not the variant");
            assert_eq!(serde_json::from_str::<Algorithm>(&json).unwrap(), algorithm);
        }
        assert_eq!(Algorithm::GENERATED[0], Algorithm::default(), "the default stands first");
    }

    #[test]
    fn refuses_names_that_are_no_algorithm() {
        for text in ["", "dsa", "ED25519", "rsa", "rsa-", "rsa-+3072", "rsa-03072", "ecdsa", "ed25519 "] {
            assert!(
                matches!(text.parse::<Algorithm>(), Err(KeyError::UnknownAlgorithm { given }) if given == text),
                "{text:?} must not pass for an algorithm"
            );
        }
    }
}
