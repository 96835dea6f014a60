//! Restoring an opened backup: first the secrets into the keyring, then the catalogue in one transaction.
//!
//! Whoever is killed in between has a keyring with more items than the catalogue knows, which does no harm, and restores again.

use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use serde::Serialize;
use serde_json::json;

use super::preview::{self, Plan, Standing, Target, differs, is_empty};
use super::{BackupError, Opened, standing};
use crate::audit::{self, Action, Anchor};
use crate::catalogue::{CatalogueError, CredentialId, key_version, policy};
use crate::database::{self, DatabaseError};
use crate::error::{Error, Explain};
use crate::keywheel::Keywheel;
use crate::lock::{CredentialLock, Sharing};
use crate::vault::{ItemName, VaultError};

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(rename = "BackupRestored")]
pub struct Restored {
    /// The file.
    pub file: PathBuf,
    /// Target what it was restored.
    pub into: Target,
    /// How many people came.
    pub people: usize,
    /// How many devices came.
    pub devices: usize,
    /// How many credentials came.
    pub credentials: usize,
    /// How many keys came to credentials that were here.
    pub key_versions: usize,
    /// How many secrets were put into the keyring.
    pub secrets: usize,
    /// The credentials whose current secret is neither in the backup nor in the keyring.
    pub without_secret: Vec<String>,
}

impl Keywheel {
    /// Restores a backup that was opened: what the keyring and the catalogue lack comes, and nothing that is here is changed. An
    /// empty data directory becomes the backup's vault.
    ///
    /// # Errors
    /// The data directory is another than at the preview; a credential is being worked on; another process has an empty data
    /// directory open; the keyring or the database can't be used. It can be restored again then.
    pub async fn restore_backup(&self, opened: Opened) -> Result<Restored, Error> {
        let action = Action::new("backup-restore", "backup", opened.path.to_string_lossy());
        let done = self.restore_now(opened, action.clone()).await;
        if let Err(error) = &done {
            self.record(action, Some(error as &(dyn Explain + Sync))).await;
        }
        done
    }

    async fn restore_now(&self, opened: Opened, action: Action) -> Result<Restored, Error> {
        self.vault().check().await?;
        let _locks = self.lock_all(&opened)?;
        let plan = self.plan_restore(&opened.path, &opened.manifest, &opened.database).await?;
        if plan.into != opened.preview.into {
            return Err(BackupError::Changed.into());
        }
        let secrets = self.secrets_standing(&plan, &opened.secrets).await?;
        for place in &secrets.to_store {
            if let Some((listed, secret)) = opened.secrets.get(*place) {
                self.store_restored(&listed.item, secret).await?.ok_or_else(|| differs(listed))?;
            }
        }
        let restored = Restored {
            file: opened.path.clone(),
            into: plan.into,
            people: preview::taken(&plan.people).count(),
            devices: preview::taken(&plan.devices).count(),
            credentials: preview::taken(&plan.credentials).count(),
            key_versions: plan.versions.len(),
            secrets: secrets.to_store.len(),
            without_secret: secrets.lost.iter().map(|(_, name)| name.clone()).collect(),
        };
        let action = action.with(json!({
            "vault": opened.manifest.vault,
            "created": opened.manifest.created,
            "into": plan.into,
            "audit": opened.manifest.audit,
            "secrets": restored.secrets,
            "people": restored.people,
            "devices": restored.devices,
            "credentials": restored.credentials,
            "key_versions": restored.key_versions,
        }));
        let anchor = match plan.into {
            Target::Empty => self.anchor_of(&opened.manifest.vault).await?,
            _ => None,
        };
        let this = self.clone();
        self.database()
            .run(move |_| match plan.into {
                Target::Empty => this.become_the_backup(&opened, action, anchor),
                Target::Same => this.bring(&opened, &plan, &secrets, action),
            })
            .await?;
        self.look_for_newer_keys().await;
        Ok(restored)
    }

    /// Nobody changes a credential of the backup meanwhile, or destroys a key that is just being put back.
    fn lock_all(&self, opened: &Opened) -> Result<Vec<CredentialLock>, Error> {
        let mut credentials: Vec<(CredentialId, &str)> =
            opened.manifest.secrets.iter().map(|listed| (listed.id, listed.credential.as_str())).collect();
        credentials.dedup_by_key(|(id, _)| *id);
        let dir = self.database().dir();
        let lock = |(id, name)| Ok(CredentialLock::take(dir, id, name, Sharing::Exclusive)?);
        credentials.into_iter().map(lock).collect()
    }

    /// Puts a secret into the keyring; none if another one has its name.
    async fn store_restored(&self, item: &ItemName, secret: &[u8]) -> Result<Option<()>, Error> {
        match self.vault().store(item, secret).await {
            Ok(()) => Ok(Some(())),
            Err(VaultError::ItemExists { .. }) => {
                let held = self.vault().read(item).await?;
                Ok(held.filter(|held| held.as_slice() == secret).map(drop))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the whole database of the backup in the place of an empty one.
    fn become_the_backup(&self, opened: &Opened, mut action: Action, anchor: Option<Anchor>) -> Result<(), Error> {
        let rows: i64 = self.database().read(|conn| {
            conn.query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).map_err(DatabaseError::from)
        })?;
        if let Some(detail) = action.detail.as_object_mut() {
            detail.insert("audit_rows_dropped".to_owned(), rows.into());
        }
        let items: Vec<ItemName> = opened.secrets.iter().map(|(listed, _)| listed.item.clone()).collect();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let mut conn = Connection::open_with_flags(&opened.database.path, flags).map_err(DatabaseError::from)?;
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(DatabaseError::from)?;
        standing::note(&tx, &opened.manifest.created, &opened.path, false, &items)?;
        // Rows that were written after the backup are lost, and told as lost.
        audit::begin_segment(&tx, self.now(), self.actor(), anchor.as_ref())?;
        audit::append(&tx, &action.entry(self.now(), self.actor(), None))?;
        tx.commit().map_err(DatabaseError::from)?;
        database::close_copy(conn)?;
        self.database().replace_with(&opened.database.path, |conn| {
            if is_empty(conn)? { Ok(()) } else { Err(Error::from(BackupError::Changed)) }
        })?;
        self.forget_what_is_anchored();
        Ok(())
    }

    /// Brings what this vault lacks.
    fn bring(&self, opened: &Opened, plan: &Plan, secrets: &Standing, action: Action) -> Result<(), Error> {
        let now = self.now();
        self.database().write_beside(&opened.database.path, |tx| {
            bring(tx, plan, now)?;
            make_found_keys_current(tx, plan, secrets, opened, now)?;
            audit::append(tx, &action.entry(now, self.actor(), None))?;
            Ok(())
        })
    }

    /// The keyring may have gone on after the backup: what only it knows is taken into the catalogue.
    async fn look_for_newer_keys(&self) {
        if let Err(error) = self.take_all_newer_keys().await {
            tracing::warn!(%error, "the keyring could not be searched for newer keys; the next check of a credential does it");
        }
    }
}

/// Copies the rows that come, with all that belongs to them.
fn bring(tx: &Transaction<'_>, plan: &Plan, now: Timestamp) -> Result<(), CatalogueError> {
    // Devices and credentials name each other; all is there at the end.
    tx.execute_batch("PRAGMA defer_foreign_keys = ON")?;
    let copy = |table: &str, column: &str, id: i64| {
        tx.prepare_cached(&format!("INSERT INTO main.{table} SELECT * FROM restored.{table} WHERE {column} = ?1"))?
            .execute([id])
    };
    for id in preview::taken(&plan.people) {
        copy("person", "id", id)?;
    }
    for id in preview::taken(&plan.devices) {
        copy("device", "id", id)?;
        copy("device_tag", "device", id)?;
        copy("host_key", "device", id)?;
    }
    for id in preview::taken(&plan.credentials) {
        copy("credential", "id", id)?;
        for table in ["credential_tag", "credential_device", "key_version", "password_version"] {
            copy(table, "credential", id)?;
        }
        // A device that is not here can hold no key that Keywheel could take out.
        tx.prepare_cached(
            "INSERT INTO main.installed_on SELECT * FROM restored.installed_on
             WHERE credential = ?1 AND device IN (SELECT id FROM main.device)",
        )?
        .execute([id])?;
        keep_policy(tx, id)?;
    }
    for (credential, version) in &plan.versions {
        let known = key_version::of(tx, *credential)?;
        let is_free = !known.iter().any(|known| known.version == version.version);
        let number = if is_free { version.version } else { key_version::next_number(tx, *credential)? };
        key_version::insert_found(tx, *credential, number, &version.public_key, &version.item, now)?;
        if version.compromised {
            key_version::compromised(tx, *credential, number)?;
        }
    }
    Ok(())
}

/// A credential keeps its policy where that is here under the same name, and else gets the standard one.
fn keep_policy(tx: &Transaction<'_>, credential: i64) -> Result<(), CatalogueError> {
    let name: String = tx.query_row(
        "SELECT policy.name FROM restored.policy JOIN restored.credential ON credential.policy = policy.id
         WHERE credential.id = ?1",
        [credential],
        |row| row.get(0),
    )?;
    let policy = match policy::by_name(tx, &name) {
        Ok(policy) => policy,
        Err(CatalogueError::Unknown { .. }) => policy::by_name(tx, policy::STANDARD)?,
        Err(error) => return Err(error),
    };
    tx.execute("UPDATE main.credential SET policy = ?2 WHERE id = ?1", (credential, policy.id))?;
    Ok(())
}

/// Where the current key of a credential is nowhere any more, the newest one that came takes its place: the vault must hold
/// one that can log in.
fn make_found_keys_current(
    tx: &Transaction<'_>,
    plan: &Plan,
    secrets: &Standing,
    opened: &Opened,
    now: Timestamp,
) -> Result<(), CatalogueError> {
    for (credential, _) in &secrets.lost {
        let current = key_version::of(tx, *credential)?;
        let came = plan.versions.iter().filter(|(id, version)| {
            id == credential && opened.secrets.iter().any(|(listed, _)| listed.item == version.item)
        });
        let newest = came
            .filter_map(|(_, version)| current.iter().find(|known| known.item == version.item))
            .filter(|known| !known.compromised)
            .map(|known| known.version)
            .max();
        if let Some(newest) = newest {
            key_version::make_current(tx, *credential, newest, now)?;
        }
    }
    Ok(())
}
