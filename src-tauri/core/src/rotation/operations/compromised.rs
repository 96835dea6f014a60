//! Letting a compromised key go: giving devices up by name, and destroying it as soon as no device accepts it any more.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use tokio::{sync::watch, time::sleep};

use super::Destroyed;
use crate::{
    audit::Action,
    catalogue::{CredentialId, DeviceId, Strategy, VersionState, key_version, key_version::Happening},
    error::Error,
    journal::{self, Change, ChangeId},
    keywheel::Keywheel,
    lock::LockError,
    rotation::{NotGivable, RotationError},
};

/// Whether to wait until a key may be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Waits, at most a minute, unless somebody asks to stop.
    Waits,
    /// Leaves to the next time what may not go yet.
    Leaves,
}

impl Keywheel {
    /// Gives a device up: a compromised key is destroyed though that device could not be seen to refuse it, and the change
    /// no longer works on it.
    ///
    /// # Errors
    ///
    /// [`RotationError::NotGivenUp`]; [`RotationError::NotItsDevice`]; another process works on the change.
    pub async fn give_up_device(&self, id: ChangeId, device: &str) -> Result<(), Error> {
        let action = Action::new("device-give-up", "device", device).with(json!({ "change": id.0 }));
        let done = self.give_up_device_now(id, device, action.clone()).await;
        if let Err(error) = &done {
            self.record(action, Some(error)).await;
        }
        done
    }

    async fn give_up_device_now(&self, id: ChangeId, device: &str, action: Action) -> Result<(), Error> {
        let change = self.find_change(id).await?;
        let refused = |reason| RotationError::NotGivenUp { device: device.to_owned(), id, reason };
        let (Strategy::Emergency, Some(version)) = (change.strategy, change.from_version) else {
            return Err(refused(NotGivable::NoEmergency).into());
        };
        let credential = self.credential_of_change(change.credential).await?;
        let _locks = self.locks(&credential, &change.snapshot)?;
        let change = self.find_change(id).await?;
        // Without a device on the new key the vault's current one would be the compromised one, and stay so.
        if change.no_return.is_none() {
            return Err(refused(NotGivable::NoneChanged).into());
        }
        let known = change.snapshot.devices.iter().find(|known| known.name == device || known.id.to_string() == device);
        let Some(known) = known else {
            return Err(RotationError::NotItsDevice { device: device.to_owned() }.into());
        };
        let (of, device, now) = (change.credential, known.id, self.now());
        self.change(action, move |transaction, _| {
            Ok(key_version::note(transaction, of, version, device, Happening::GivenUp, now)?)
        })
        .await
    }

    /// The devices of a change that were given up.
    pub(super) async fn given_up(&self, change: &Change) -> Result<Vec<DeviceId>, Error> {
        let (of, version) = (change.credential, change.from_version);
        let installed = self.read(move |connection| key_version::installed(connection, of)).await?;
        let given_up = installed.iter().filter(|known| Some(known.version) == version && known.given_up_at.is_some());
        Ok(given_up.map(|known| known.device).collect())
    }

    /// Destroys the compromised keys that an emergency has replaced: each once every device it ever stood on, just asked, has
    /// refused it, or was given up. The days of undo don't count, since it is never put back.
    ///
    /// What was broken off is done the next time. A credential that another process works on is left to it, and so is one
    /// whose change is not ended.
    ///
    /// # Errors
    ///
    /// The database or the vault can't be used.
    pub async fn destroy_compromised(
        &self,
        patience: Patience,
        stop: &watch::Receiver<bool>,
    ) -> Result<Vec<Destroyed>, Error> {
        let left = self.read(key_version::compromised_left).await?;
        let mut came_to = Vec::new();
        let mut failed = None;
        for (credential, version) in left {
            match self.let_go(credential, version, patience, stop).await {
                Ok(done) => came_to.extend(done),
                Err(Error::Lock(LockError::Busy { .. })) => {}
                // What is wrong with one key keeps no other.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(came_to),
        }
    }

    async fn let_go(
        &self,
        id: CredentialId,
        version: u32,
        patience: Patience,
        stop: &watch::Receiver<bool>,
    ) -> Result<Option<Destroyed>, Error> {
        if self.database().run_read(move |connection| journal::change::open_of(connection, id)).await?.is_some() {
            return Ok(None);
        }
        if patience == Patience::Waits
            && let Some(settled) = self.settled_at(id, version).await?
        {
            // A clock that was set back says nothing; then a minute is waited.
            let left = settled.duration_since(self.now()).min(SignedDuration::from_mins(1));
            waited(Duration::try_from(left).unwrap_or(Duration::ZERO), stop.clone()).await;
        }
        let credential = self.credential_of_change(id).await?;
        let known = credential.key_version(version).filter(|known| known.state == VersionState::Retired);
        let Some(known) = known else { return Ok(None) };
        self.vault().check().await?;
        let held_by = self.destroy_retired(&credential, known).await?;
        Ok(Some(Destroyed { credential: credential.name.clone(), version, held_by }))
    }
}

/// Sleeps so long; not to the end where somebody asks to stop.
async fn waited(time: Duration, mut stop: watch::Receiver<bool>) -> bool {
    let stopped = async {
        if stop.wait_for(|asked| *asked).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = stopped => false,
        () = sleep(time) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_when_its_time_is_over_or_somebody_asks() {
        let (ask, stop) = watch::channel(false);
        assert!(waited(Duration::from_millis(1), stop.clone()).await, "nobody has asked");
        ask.send(true).unwrap();
        assert!(!waited(Duration::from_secs(3600), stop).await, "a person would wait an hour");
        let (_, nobody) = watch::channel(false);
        assert!(waited(Duration::from_millis(1), nobody).await, "nobody is left who could ask");
    }
}
