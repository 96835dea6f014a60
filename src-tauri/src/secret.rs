//! What a person types that must not be seen again.

use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use ts_rs::TS;
use zeroize::Zeroizing;

/// A password or a passphrase on its way from the window to the core. It can be received, and not sent.
#[derive(TS)]
#[ts(type = "string")]
pub(crate) struct Secret(SecretString);

impl Secret {
    /// Hands the text on to the core.
    pub(crate) fn into_inner(self) -> SecretString {
        self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Copied into a place of its exact size: a String that shrinks leaves its old place behind unwiped.
        let text = Zeroizing::new(String::deserialize(from)?);
        Ok(Self(SecretString::from(text.as_str())))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_is_received_whole_and_not_printed() {
        let secret: Secret = serde_json::from_str("\"hunter 2\\u0000ä\"").unwrap();
        assert!(!format!("{secret:?}").contains("hunter"), "a log would hold it");
        assert_eq!(secret.into_inner().expose_secret(), "hunter 2\0ä");
    }
}
