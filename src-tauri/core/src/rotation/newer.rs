//! Keys that lie in the keyring and that the database doesn't know, as after an older copy of it was put back.
//!
//! The devices may have been changed to such a key since, so that the one which this database takes for the current one logs
//! in nowhere. The keys are taken into the catalogue as retired ones: each change enters a device with whichever version it
//! accepts, and takes all others out.

use rusqlite::Connection;
use serde_json::json;

use crate::{
    audit::{self, Action},
    catalogue::{CatalogueError, Credential, VersionState, credential, key_version},
    error::{Error, Report},
    key::{PrivateKey, PublicKey},
    keywheel::Keywheel,
    rotation::Problem,
    vault::{ItemName, ItemVersion},
};

/// After so many numbers in a row without an item there is none: a change that failed may have left a number out.
const MISSING_IN_A_ROW: u32 = 2;

impl Keywheel {
    /// Takes keys of a credential into the catalogue that only the keyring knows, and answers the credential as it is then.
    ///
    /// Where the current key's private half is gone meanwhile, the newest key found becomes the current one: the vault must
    /// hold one that can log in.
    ///
    /// # Errors
    ///
    /// The keyring can't be used; the database's own failure.
    pub(crate) async fn take_newer_keys(&self, credential: Credential) -> Result<Credential, Error> {
        let found = self.newer_keys(&credential).await?;
        if found.is_empty() {
            return Ok(credential);
        }
        let lost = match credential.current_key() {
            Some(current) => self.vault().read(&current.item).await?.is_none(),
            None => true,
        };
        let (id, name, now, actor) = (credential.id, credential.name.clone(), self.now(), self.actor().clone());
        let taken = self
            .database()
            .run_write(move |transaction| -> Result<Vec<u32>, Error> {
                let mut taken = Vec::new();
                for (number, public_key, item) in found {
                    let known = key_version::of(transaction, id)?;
                    // Another process may be storing it at this moment, or has found it too.
                    if known.iter().any(|known| known.item == item) {
                        continue;
                    }
                    let is_free = !known.iter().any(|known| known.version == number);
                    let version = if is_free { number } else { key_version::next_number(transaction, id)? };
                    key_version::insert_found(transaction, id, version, &public_key, &item, now)?;
                    let action = Action::new("key-found", "credential", name.clone()).with(json!({
                        "version": version,
                        "fingerprint": public_key.fingerprint(),
                        "item": item.to_string(),
                    }));
                    audit::append(transaction, &action.entry(now, &actor, None))?;
                    taken.push(version);
                }
                if let Some(newest) = taken.iter().max().filter(|_| lost) {
                    key_version::make_current(transaction, id, *newest, now)?;
                }
                Ok(taken)
            })
            .await?;
        for version in taken {
            let name = &credential.name;
            tracing::warn!("{}", newer_key(name, version).message);
        }
        self.read(move |connection| credential::by_id(connection, id)).await
    }

    /// The keys behind the newest known version, with their numbers and public halves.
    async fn newer_keys(&self, credential: &Credential) -> Result<Vec<(u32, PublicKey, ItemName)>, Error> {
        let mut number = credential.key_versions.iter().map(|known| known.version).max().unwrap_or(0);
        let mut found = Vec::new();
        let mut missing = 0;
        while missing < MISSING_IN_A_ROW {
            number += 1;
            missing += 1;
            let version = ItemVersion::new(&self.database().vault_id(), credential.id.0, number);
            for item in self.vault().find(&version).await? {
                missing = 0;
                match self.vault().read(&item).await?.map(|bytes| PrivateKey::from_secret_bytes(&bytes)) {
                    Some(Ok(key)) if key.public_key().fingerprint().to_string() == item.distinction() => {
                        found.push((number, key.public_key().clone(), item));
                    }
                    _ => tracing::warn!(item = %item, "the keyring holds an item that is not the key it is named for"),
                }
            }
        }
        Ok(found)
    }
}

/// The versions newer than the current one that no change of this database has made.
pub(super) fn newer_than_known(connection: &Connection, credential: &Credential) -> Result<Vec<u32>, CatalogueError> {
    let current = credential.current_key().map_or(0, |current| current.version);
    let mut made = connection
        .prepare_cached("SELECT DISTINCT to_version FROM change WHERE credential = ?1 AND to_version IS NOT NULL")?;
    let made: Vec<u32> = made.query_map([credential.id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let newer = credential.key_versions.iter().filter(|known| {
        known.version > current && known.state == VersionState::Retired && !made.contains(&known.version)
    });
    Ok(newer.map(|known| known.version).collect())
}

/// What is said of such a key.
pub(super) fn newer_key(credential: &str, version: u32) -> Report {
    Report::of(&Problem::NewerKeyFound { credential: credential.to_owned(), version })
}
