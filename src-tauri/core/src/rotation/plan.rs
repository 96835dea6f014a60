//! What a change will go by: the devices in order, the ways to them, the keys and logins.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::mpsc::UnboundedSender;

use super::{
    ConnectWith, RotationError, Work,
    event::Event,
    work,
    work::{Noting, VersionKey},
};
use crate::{
    catalogue::{
        Authentication, Credential, CredentialId, DeviceId, Kind as CredentialKind, Settings, VersionState, credential,
        device,
    },
    error::Error,
    journal::{ChangeId, Kind, Snapshot, SnapshotDevice, SnapshotJump},
    key::{Algorithm, PrivateKey, PublicKey},
    keywheel::Keywheel,
    remote::{Connector, Secret, Timeouts},
};

impl Keywheel {
    /// A credential that may be worked with: a key, and not switched off.
    pub(super) async fn key_credential(&self, name: &str) -> Result<Credential, Error> {
        usable(self.find_credential(name).await?)
    }

    /// As [`Keywheel::key_credential`], by its number.
    pub(super) async fn key_credential_of(&self, id: CredentialId) -> Result<Credential, Error> {
        usable(self.credential(id).await?)
    }

    /// The credential that authenticates; none: the key itself.
    pub(super) async fn authenticating(
        &self,
        changed: &Outline,
        connect_with: &ConnectWith,
    ) -> Result<Option<Credential>, Error> {
        let other = match (connect_with, changed.authentication) {
            (ConnectWith::Credential(name), _) => Some(self.find_credential(name).await?),
            (ConnectWith::AsStored, Authentication::Credential(id)) => Some(self.credential(id).await?),
            (ConnectWith::AsStored | ConnectWith::Itself, _) => None,
        };
        match other {
            Some(other) if other.id == changed.id => {
                Err(RotationError::AuthWithItself { credential: other.name }.into())
            }
            Some(other) if !other.enabled => Err(RotationError::Disabled { credential: other.name }.into()),
            other => Ok(other),
        }
    }

    /// Takes down what a change will go by.
    pub(super) async fn snapshot(
        &self,
        changed: &Outline,
        auth: Option<&Credential>,
        chosen: Option<&[DeviceId]>,
        options: Option<&str>,
    ) -> Result<Snapshot, Error> {
        let mut devices = Vec::new();
        for id in changed.devices.iter().copied() {
            if chosen.is_none_or(|chosen| chosen.contains(&id)) {
                devices.push(self.snapshot_device(id, changed, auth).await?);
            }
        }
        Ok(Snapshot {
            credential: changed.name.clone(),
            username: changed.username.clone(),
            auth_with: auth.map(|auth| auth.id),
            options: options.map(str::to_owned),
            devices,
        })
    }

    pub(super) async fn snapshot_device(
        &self,
        id: DeviceId,
        changed: &Outline,
        auth: Option<&Credential>,
    ) -> Result<SnapshotDevice, Error> {
        let found = self.read(move |connection| device::by_id(connection, id)).await?;
        let jump = match found.jump {
            None => None,
            Some(jump) => {
                let device = Box::pin(self.snapshot_device(jump, changed, auth)).await?;
                // The credential being used is the preset, where the jump device is one of its devices.
                let preset = match auth {
                    Some(auth) if auth.devices.contains(&jump) => Some(auth.id),
                    _ => changed.devices.contains(&jump).then_some(changed.id),
                };
                let credential = found.jump_with.or(preset).ok_or_else(|| RotationError::NoJumpCredential {
                    device: found.name.clone(),
                    jump: device.name.clone(),
                })?;
                Some(Box::new(SnapshotJump { device, credential }))
            }
        };
        Ok(SnapshotDevice {
            id: found.id,
            name: found.name,
            address: found.address,
            port: found.port,
            jump,
            authorized_keys_path: found.authorized_keys_path,
            enabled: found.enabled,
        })
    }

    /// One version of a credential's key with its private half.
    pub(super) async fn version_key(&self, credential: &Credential, version: u32) -> Result<VersionKey, Error> {
        let known = credential
            .key_version(version)
            .ok_or_else(|| RotationError::NoCurrentKey { credential: credential.name.clone() })?;
        let private = self.read_key(credential, known).await?;
        Ok(VersionKey { version, public: known.public_key.clone(), private: Arc::new(private) })
    }

    /// The secret of a credential that authenticates, as a password also for `sudo`.
    async fn login_secret(&self, credential: &Credential) -> Result<(Secret, Option<SecretString>), Error> {
        if credential.kind == CredentialKind::Password {
            let bytes = self.read_password(credential).await?;
            let password = SecretString::from(String::from_utf8_lossy(&bytes).into_owned());
            return Ok((Secret::Password(Arc::new(password.clone())), Some(password)));
        }
        let key = self.usable_key(credential).await?;
        Ok((Secret::Key(Arc::new(key)), None))
    }

    /// Puts together what the devices of a change share.
    pub(super) async fn work(&self, plan: WorkPlan<'_>) -> Result<Work, Error> {
        let settings: Settings = self.settings().await?;
        let timeouts = Timeouts { connect: settings.connection_timeout, stage: settings.stage_timeout };
        let authentication = match plan.snapshot.auth_with {
            None => work::Authentication::Itself,
            Some(id) => {
                let other = self.credential(id).await?;
                let (secret, password) = self.login_secret(&other).await?;
                work::Authentication::Other { username: other.username, secret, password }
            }
        };
        let mut jumps = Vec::new();
        for id in jump_credentials(plan.snapshot) {
            if id != plan.credential.id {
                let other = self.credential(id).await?;
                let (secret, _) = self.login_secret(&other).await?;
                jumps.push((id, other.username, vec![secret]));
            }
        }
        let strategy = match plan.change {
            Some((id, _)) => Some(self.find_change(id).await?.strategy),
            None => None,
        };
        let others = match plan.credential.id {
            Outline::UNSAVED => Vec::new(),
            id => self.other_keys(id, [plan.old.as_ref(), plan.new.as_ref()]).await?,
        };
        let reached = plan.new.as_ref().map(|new| new.version);
        let older = plan.credential.versions.iter().filter(|(version, _)| Some(*version) != reached);
        Ok(Work {
            keywheel: self.clone(),
            change: plan.change,
            kind: plan.kind,
            credential: plan.credential.id,
            credential_name: plan.credential.name.clone(),
            username: plan.snapshot.username.clone(),
            older: older.map(|(_, public)| public.clone()).collect(),
            new: plan.new,
            old: plan.old,
            others,
            options: plan.snapshot.options.clone(),
            authentication,
            jumps,
            connector: Connector::new(timeouts),
            events: plan.events,
            resumed: plan.resumed,
            strategy,
            noting: plan.noting,
        })
    }

    /// The versions of a credential's key, but for these, whose private halves the vault holds, the newest first.
    async fn other_keys(
        &self,
        credential: CredentialId,
        but: [Option<&VersionKey>; 2],
    ) -> Result<Vec<VersionKey>, Error> {
        let credential = self.credential_of_change(credential).await?;
        let mut others = Vec::new();
        for known in credential.key_versions.iter().rev() {
            let is_one = but.iter().flatten().any(|key| key.version == known.version);
            // A compromised key is used for nothing but its own removal.
            if is_one || known.compromised || known.state == VersionState::Destroyed {
                continue;
            }
            match self.read_key(&credential, known).await {
                Ok(private) => others.push(VersionKey {
                    version: known.version,
                    public: known.public_key.clone(),
                    private: Arc::new(private),
                }),
                Err(Error::Vault(error)) => return Err(error.into()),
                Err(error) => tracing::info!(version = known.version, %error, "an older key can't be used"),
            }
        }
        Ok(others)
    }

    /// A new key, made off the async threads, since large RSA primes take seconds.
    pub(super) async fn generate(&self, algorithm: Algorithm, comment: String) -> Result<PrivateKey, Error> {
        let made = tokio::task::spawn_blocking(move || PrivateKey::generate(algorithm, &comment)).await;
        match made {
            Ok(key) => Ok(key?),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(crate::database::DatabaseError::Stopped.into()),
            },
        }
    }

    /// The credential of a change, also when it was removed since.
    pub(super) async fn credential_of_change(&self, id: CredentialId) -> Result<Credential, Error> {
        self.read(move |connection| credential::by_id(connection, id)).await
    }
}

fn usable(credential: Credential) -> Result<Credential, Error> {
    if credential.kind != CredentialKind::SshKey {
        return Err(RotationError::NotAKey { credential: credential.name }.into());
    }
    if !credential.enabled {
        return Err(RotationError::Disabled { credential: credential.name }.into());
    }
    Ok(credential)
}

/// What [`Keywheel::work`] puts together.
pub(super) struct WorkPlan<'a> {
    pub(super) change: Option<(ChangeId, u32)>,
    pub(super) kind: Kind,
    pub(super) credential: &'a Outline,
    pub(super) snapshot: &'a Snapshot,
    pub(super) old: Option<VersionKey>,
    pub(super) new: Option<VersionKey>,
    pub(super) events: Option<UnboundedSender<Event>>,
    pub(super) resumed: bool,
    pub(super) noting: Noting,
}

/// What a change, or a look, goes by of a credential: as it is saved, or as a form has it.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    pub(super) id: CredentialId,
    pub(super) name: String,
    pub(super) username: String,
    /// The devices in the order of change.
    pub(super) devices: Vec<DeviceId>,
    /// What it connects with where the person does not say otherwise.
    pub(super) authentication: Authentication,
    /// The versions of its key.
    pub(super) versions: Vec<(u32, PublicKey)>,
}

impl Outline {
    /// Stands for the number of a credential that was not saved yet; those that are saved count from 1.
    pub(super) const UNSAVED: CredentialId = CredentialId(0);

    /// A credential as it is saved.
    pub(super) fn of(credential: &Credential) -> Self {
        let versions = credential.key_versions.iter();
        Self {
            id: credential.id,
            name: credential.name.clone(),
            username: credential.username.clone(),
            devices: credential.devices_in_order(),
            authentication: match credential.authentication {
                other @ Authentication::Credential(_) if credential.automatic_change => other,
                _ => Authentication::Itself,
            },
            versions: versions.map(|version| (version.version, version.public_key.clone())).collect(),
        }
    }
}

/// The credentials that enter the jump devices of a change, each once.
pub(super) fn jump_credentials(snapshot: &Snapshot) -> Vec<CredentialId> {
    let mut found = Vec::new();
    for device in &snapshot.devices {
        let mut jump = device.jump.as_deref();
        while let Some(step) = jump {
            if !found.contains(&step.credential) {
                found.push(step.credential);
            }
            jump = step.device.jump.as_deref();
        }
    }
    found
}

/// The algorithm for a new key where none is asked for: the one the key has.
///
/// Keys that were imported may have other sizes than those that are made; they get the next larger one.
pub(super) fn algorithm_like(algorithm: Algorithm) -> Algorithm {
    match algorithm {
        Algorithm::Rsa(bits) if bits <= 2048 => Algorithm::Rsa(2048),
        Algorithm::Rsa(bits) if bits <= 3072 => Algorithm::Rsa(3072),
        Algorithm::Rsa(_) => Algorithm::Rsa(4096),
        algorithm => algorithm,
    }
}
