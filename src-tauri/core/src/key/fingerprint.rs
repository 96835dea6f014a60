//! The short name of a public key.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

use super::KeyError;

const PREFIX: &str = "SHA256:";

/// The SHA-256 fingerprint of a public key, in the form `SHA256:…` that OpenSSH shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, ts_rs::TS)]
#[ts(as = "String")]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a key in the encoding of RFC 4253, section 6.6.
    pub(crate) fn of(blob: &[u8]) -> Self {
        Self(format!("{PREFIX}{}", STANDARD_NO_PAD.encode(Sha256::digest(blob))))
    }

    /// The fingerprint as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix(PREFIX)
            .and_then(|digest| STANDARD_NO_PAD.decode(digest).ok())
            .filter(|digest| digest.len() == Sha256::output_size())
            .map(|_| Self(text.to_owned()))
            .ok_or_else(|| KeyError::NotAFingerprint { given: text.to_owned() })
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_from_its_text() {
        let fingerprint = Fingerprint::of(b"any blob");
        assert_eq!(fingerprint.to_string().parse::<Fingerprint>().unwrap(), fingerprint);
    }

    #[test]
    fn refuses_what_is_no_sha256_fingerprint() {
        let good = Fingerprint::of(b"any blob").to_string();
        let cut = &good[..good.len() - 1];
        for text in ["", "SHA256:", "MD5:00:11", cut, &format!("{good}="), &format!("{good}A"), &good[7..]] {
            assert!(
                matches!(text.parse::<Fingerprint>(), Err(KeyError::NotAFingerprint { .. })),
                "{text:?} must not pass for a fingerprint: a comparison with it could never be true"
            );
        }
    }
}
