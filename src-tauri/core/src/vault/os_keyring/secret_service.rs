//! The Secret Service of Linux desktops: gnome-keyring, KWallet, KeePassXC.
//!
//! Source: the Secret Service API 0.2, <https://specifications.freedesktop.org/secret-service-spec/latest/>.
//! D-Bus is spoken without blocking, so no call holds a thread and a call that is given up leaves nothing behind. Each
//! operation agrees on a key of its own: the service may have been restarted since the last one, and a session of the old
//! one would be void. The connection to the bus is kept for a while, since gnome-keyring (42 to 50) may fall over where one client
//! goes while another comes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secret_service::{Collection, EncryptionType, Item, SearchItemsResult, SecretService};
use zbus::DBusError as _;
use zeroize::Zeroizing;

use super::SERVICE;
use crate::vault::{AnchorName, ItemName, ItemVersion, VaultError};

/// The way to the Secret Service on one bus.
#[derive(Debug)]
pub(super) struct SecretServiceKeyring {
    address: Option<String>,
    connection: Mutex<Option<Kept>>,
}

/// A connection that several operations use.
#[derive(Debug, Clone)]
struct Kept {
    connection: zbus::Connection,
    /// How many have agreed on a key over it.
    sessions: usize,
}

/// How many sessions one connection is used for: the service keeps each until its connection ends.
const SESSIONS: usize = 64;

impl SecretServiceKeyring {
    pub(super) fn open() -> Result<Self, VaultError> {
        Ok(Self { address: None, connection: Mutex::default() })
    }

    pub(super) fn open_at(address: &str) -> Self {
        Self { address: Some(address.to_owned()), connection: Mutex::default() }
    }

    pub(super) async fn check(&self) -> Result<(), VaultError> {
        self.connect().await?.unlocked_collection().await.map(drop)
    }

    pub(super) async fn store(&self, name: &ItemName, secret: &[u8]) -> Result<(), VaultError> {
        let session = self.connect().await?;
        let collection = session.unlocked_collection().await?;
        let there = session.find(name).await?;
        if !there.unlocked.is_empty() || !there.locked.is_empty() {
            return Err(VaultError::ItemExists { name: name.clone() });
        }
        // KWallet stores text only, so the bytes travel as base64.
        let text = Zeroizing::new(STANDARD.encode(secret));
        let label = format!("Keywheel: {name}");
        // Without `replace`, an item that another process stored since the look-up stays beside ours, and is seen below.
        let version = name.version();
        let mut attributes = attributes(name);
        attributes.insert(VERSION, version.as_str());
        let created =
            collection.create_item(&label, attributes, text.as_bytes(), false, "text/plain").await.map_err(explain)?;

        let found = session.find(name).await?;
        let read_back = match found.unlocked.as_slice() {
            [only] if *only == created => Some(only.get_secret().await.map(Zeroizing::new).map_err(explain)?),
            [] | [_] => None,
            _ => {
                created.delete().await.map_err(explain)?;
                return Err(VaultError::ItemExists { name: name.clone() });
            }
        };
        if read_back.and_then(|text| decode(&text)).is_some_and(|bytes| bytes.as_slice() == secret) {
            return Ok(());
        }
        // It was made by this call and nobody knows of it yet, so it can go; that it fails to go changes nothing for the
        // caller, who must not use it.
        let _ = created.delete().await;
        Err(VaultError::Mismatch { name: name.clone() })
    }

    pub(super) async fn replace(&self, name: &AnchorName, anchor: &[u8]) -> Result<(), VaultError> {
        let name = name.item();
        let session = self.connect().await?;
        let collection = session.unlocked_collection().await?;
        let text = STANDARD.encode(anchor);
        let label = format!("Keywheel: {name}");
        let stored = collection
            .create_item(&label, attributes(name), text.as_bytes(), true, "text/plain")
            .await
            .map_err(explain)?;
        // One that lies in another keyring, since the default one was another then, is not replaced.
        for earlier in session.find(name).await?.unlocked.iter().filter(|item| **item != stored) {
            earlier.delete().await.map_err(explain)?;
        }
        let read_back = stored.get_secret().await.map_err(explain)?;
        if read_back == text.as_bytes() { Ok(()) } else { Err(VaultError::Mismatch { name: name.clone() }) }
    }

    pub(super) async fn read(&self, name: &ItemName) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let session = self.connect().await?;
        let mut secret: Option<Zeroizing<Vec<u8>>> = None;
        for item in session.find_unlocked(attributes(name)).await? {
            let text = item.get_secret().await.map(Zeroizing::new).map_err(explain)?;
            let bytes = decode(&text).ok_or_else(|| VaultError::Mismatch { name: name.clone() })?;
            if secret.as_ref().is_some_and(|other| *other != bytes) {
                return Err(VaultError::Ambiguous { name: name.clone() });
            }
            secret = Some(bytes);
        }
        Ok(secret)
    }

    pub(super) async fn find(&self, version: &ItemVersion) -> Result<Vec<ItemName>, VaultError> {
        let session = self.connect().await?;
        let wanted = HashMap::from([("service", SERVICE), (VERSION, version.as_str())]);
        let mut names = Vec::new();
        for item in session.find_unlocked(wanted).await? {
            let attributes = item.get_attributes().await.map_err(explain)?;
            let name = attributes.get("username").and_then(|name| name.parse::<ItemName>().ok());
            names.extend(name.filter(|name| name.version() == *version));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    pub(super) async fn remove(&self, name: &ItemName) -> Result<(), VaultError> {
        let session = self.connect().await?;
        for item in session.find_unlocked(attributes(name)).await? {
            item.delete().await.map_err(explain)?;
        }
        let left = session.find(name).await?;
        if left.unlocked.is_empty() && left.locked.is_empty() {
            Ok(())
        } else {
            Err(VaultError::NotRemoved { name: name.clone() })
        }
    }

    async fn connect(&self) -> Result<Session, VaultError> {
        let kept = self.take_a_session();
        if let Some(connection) = kept
            && let Ok(session) = Session::agree(connection).await
        {
            return Ok(session);
        }
        // There is none yet, or the bus or the service is another one now.
        let connection = self.new_connection().await?;
        *self.kept() = Some(Kept { connection: connection.clone(), sessions: 1 });
        Session::agree(connection).await
    }

    /// The connection that is kept, while it may be used for one session more.
    fn take_a_session(&self) -> Option<zbus::Connection> {
        let mut kept = self.kept();
        let one = kept.as_mut().filter(|kept| kept.sessions < SESSIONS)?;
        one.sessions += 1;
        Some(one.connection.clone())
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn new_connection(&self) -> Result<zbus::Connection, VaultError> {
        let builder = match &self.address {
            Some(address) => zbus::connection::Builder::address(address.as_str()),
            None => zbus::connection::Builder::session(),
        };
        // Whatever keeps us from the bus (no address, no socket, another user's bus), there is no keyring to be had.
        builder.map_err(VaultError::missing)?.build().await.map_err(VaultError::missing)
    }
}

/// A connection with the key that was agreed on it for one operation.
struct Session {
    service: SecretService<'static>,
}

impl Session {
    async fn agree(connection: zbus::Connection) -> Result<Self, VaultError> {
        // Encrypted with a key agreed for this session, so that secrets don't pass the bus in the clear.
        let service = SecretService::connect_with_existing(EncryptionType::Dh, connection).await.map_err(explain)?;
        Ok(Self { service })
    }

    /// Returns the keyring in which new items go, if it is unlocked.
    async fn unlocked_collection(&self) -> Result<Collection<'_>, VaultError> {
        let collection = self.service.get_default_collection().await.map_err(|error| match error {
            secret_service::Error::NoResult => VaultError::NoCollection,
            error => explain(error),
        })?;
        // The collection "session" lies in memory: a key in it would be gone at the next login.
        if collection.collection_path.as_str().ends_with("/collection/session") {
            return Err(VaultError::NoCollection);
        }
        if collection.is_locked().await.map_err(explain)? {
            return Err(VaultError::Locked);
        }
        Ok(collection)
    }

    /// Looks a name up in all keyrings of the service.
    async fn find(&self, name: &ItemName) -> Result<SearchItemsResult<Item<'_>>, VaultError> {
        self.service.search_items(attributes(name)).await.map_err(explain)
    }

    /// Looks items up; an empty answer means that there is none, as far as an unlocked keyring can tell.
    async fn find_unlocked(&self, attributes: HashMap<&str, &str>) -> Result<Vec<Item<'_>>, VaultError> {
        let found = self.service.search_items(attributes).await.map_err(explain)?;
        if !found.locked.is_empty() {
            return Err(VaultError::Locked);
        }
        if found.unlocked.is_empty() {
            // A locked keyring may not show what it holds, and "missing" would make recovery believe a key is lost.
            self.unlocked_collection().await?;
        }
        Ok(found.unlocked)
    }
}

/// The attribute by which an item is found whose fingerprint is not known.
const VERSION: &str = "version";

fn attributes(name: &ItemName) -> HashMap<&str, &str> {
    HashMap::from([("service", SERVICE), ("username", name.as_str())])
}

fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // The error would quote a byte of the secret, so it is dropped here.
    STANDARD.decode(text).ok().map(Zeroizing::new)
}

fn explain(error: secret_service::Error) -> VaultError {
    use secret_service::Error;

    match error {
        // The service wanted to ask a person and could not, or was refused.
        Error::Locked | Error::Prompt | Error::PromptDisconnected => VaultError::Locked,
        Error::Unavailable => VaultError::missing(error),
        Error::Zbus(zbus::Error::MethodError(ref name, _, _)) => {
            let name = name.clone();
            explain_named(name.as_str(), error)
        }
        Error::Zbus(zbus::Error::FDO(ref inner)) => explain_named(&inner.name().to_string(), error),
        Error::ZbusFdo(zbus::fdo::Error::ZBus(inner)) => explain(Error::Zbus(inner)),
        Error::ZbusFdo(ref inner) => explain_named(&inner.name().to_string(), error),
        error => VaultError::failed(error),
    }
}

/// Sorts an error by its D-Bus name, which is part of the protocol (its text is not).
fn explain_named(name: &str, error: secret_service::Error) -> VaultError {
    match name {
        "org.freedesktop.Secret.Error.IsLocked" => VaultError::Locked,
        "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner" => {
            VaultError::missing(error)
        }
        // The bus tried to start the service and could not.
        name if name.starts_with("org.freedesktop.DBus.Error.Spawn.") => VaultError::missing(error),
        _ => VaultError::failed(error),
    }
}
