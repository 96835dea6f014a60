//! The name under which a secret is kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::VaultError;

/// The name of one secret: `vault/credential/version/fingerprint`.
///
/// The vault's random id keeps two data directories apart in one keyring. The fingerprint keeps two keys apart that were
/// given the same version, as after a database was restored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ItemName(String);

impl ItemName {
    /// Builds the name of a version of a credential.
    ///
    /// `vault` is the random id of the data directory and holds no slash. `distinction` is the public key's fingerprint,
    /// or for a password something as unique.
    pub fn new(vault: &str, credential: i64, version: u32, distinction: impl fmt::Display) -> Self {
        Self(format!("{vault}/{credential}/{version}/{distinction}"))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What keeps it apart from other items of the same version: the fingerprint.
    pub fn distinction(&self) -> &str {
        self.0.splitn(4, '/').last().unwrap_or_default()
    }

    /// The version of which it is an item.
    pub fn version(&self) -> ItemVersion {
        let end = self.0.len().saturating_sub(self.distinction().len() + 1);
        ItemVersion(self.0.get(..end).unwrap_or_default().to_owned())
    }
}

/// The name of the one item of a vault that is no secret and is replaced: the audit's anchor, `vault/audit/anchor`.
///
/// It is a type of its own, so that what replaces an item can't be given the name of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorName(ItemName);

impl AnchorName {
    /// Builds the name for the data directory of this random id.
    pub fn new(vault: &str) -> Self {
        Self(ItemName(format!("{vault}/audit/anchor")))
    }

    /// The name, to read the item by.
    pub fn item(&self) -> &ItemName {
        &self.0
    }
}

/// What the names of all items of one version of a credential begin with: `vault/credential/version`.
///
/// By it an item is found whose fingerprint stands nowhere, as after an older copy of the database was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemVersion(String);

impl ItemVersion {
    /// Builds what the names of a version's items begin with.
    pub fn new(vault: &str, credential: i64, version: u32) -> Self {
        Self(format!("{vault}/{credential}/{version}"))
    }

    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ItemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ItemName {
    type Err = VaultError;

    /// Reads a name that was written down before.
    fn from_str(text: &str) -> Result<Self, VaultError> {
        // The fingerprint is base64 and may itself hold slashes.
        let mut parts = text.splitn(4, '/');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(vault), Some(credential), Some(version), Some(distinction)) = parts else {
            return Err(VaultError::NotAnItemName { text: text.to_owned() });
        };
        let sound = !vault.is_empty()
            && credential.parse::<i64>().is_ok()
            && version.parse::<u32>().is_ok()
            && !distinction.is_empty()
            && !text.contains(char::is_control);
        if sound { Ok(Self(text.to_owned())) } else { Err(VaultError::NotAnItemName { text: text.to_owned() }) }
    }
}

impl TryFrom<String> for ItemName {
    type Error = VaultError;

    fn try_from(text: String) -> Result<Self, VaultError> {
        text.parse()
    }
}

impl From<ItemName> for String {
    fn from(name: ItemName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_written_down_is_read_back() {
        let name = ItemName::new("6f1c", 7, 3, "SHA256:ab/cd+ef");
        assert_eq!(name.to_string(), "6f1c/7/3/SHA256:ab/cd+ef", "items stored before could not be found again");
        assert_eq!(name.as_str().parse::<ItemName>().unwrap(), name, "recovery could not look up a journaled item");
        let json = serde_json::to_string(&name).unwrap();
        assert_eq!(serde_json::from_str::<ItemName>(&json).unwrap(), name);
    }

    #[test]
    fn refuses_a_text_that_is_no_item_name() {
        for text in ["", "a", "a/1/1", "/1/1/x", "a/x/1/x", "a/1/x/x", "a/1/-1/x", "a/1/1/", "a/1/1/x\0", "a/1/1/x\n"] {
            assert!(text.parse::<ItemName>().is_err(), "{text:?} would be looked up in the keyring");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<ItemName>(&json).is_err(), "{text:?} would be taken from a file");
        }
    }

    #[test]
    fn a_name_tells_its_version_and_its_fingerprint() {
        let name = ItemName::new("6f1c", 7, 3, "SHA256:ab/cd+ef");
        assert_eq!(name.version(), ItemVersion::new("6f1c", 7, 3), "its item would not be found by its version");
        assert_ne!(name.version(), ItemVersion::new("6f1c", 7, 33));
        assert_eq!(name.distinction(), "SHA256:ab/cd+ef", "a fingerprint may hold slashes");
    }

    #[test]
    fn the_name_of_an_anchor_is_never_that_of_a_key() {
        let anchor = AnchorName::new("6f1c");
        assert_eq!(anchor.item().as_str(), "6f1c/audit/anchor", "an anchor stored before could not be found again");
        assert!(anchor.item().as_str().parse::<ItemName>().is_err(), "an anchor would be taken for a key");
        assert_ne!(AnchorName::new("a"), AnchorName::new("b"));
    }

    #[test]
    fn names_of_two_vaults_differ() {
        assert_ne!(ItemName::new("a", 1, 1, "SHA256:x"), ItemName::new("b", 1, 1, "SHA256:x"));
    }
}
