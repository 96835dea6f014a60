//! Going on with a change that is there: resume, retry, roll back, undo.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::Begun;
use crate::{
    audit::Action,
    catalogue::{Credential, DeviceId, Strategy},
    error::Error,
    journal::{self, Change, ChangeId, ChangeState, JournalError, Kind, Origin},
    keywheel::Keywheel,
    rotation::{
        Finished, NotUndoable, RotationError, Watch, changes,
        decide::{Direction, Standing},
        driver::Driver,
        plan::{Outline, WorkPlan},
        work::{Noting, VersionKey},
    },
};

impl Keywheel {
    /// Goes on with a change that was broken off.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::rotate`]; [`JournalError::StateForbids`].
    pub async fn resume(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let allowed = |state| matches!(state, ChangeState::Interrupted);
        self.again(id, "change-resume", "resumed", allowed, None, watch).await
    }

    /// Goes on with the devices of a change that did not get through, with the same new key.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::resume`].
    pub async fn retry(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let allowed = |state| matches!(state, ChangeState::PartlyChanged);
        self.again(id, "change-retry", "retried", allowed, Some(Direction::Forward), watch).await
    }

    /// Puts every device of a change back on the old key.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::resume`].
    pub async fn roll_back(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let allowed = |state| matches!(state, ChangeState::Interrupted | ChangeState::PartlyChanged);
        self.again(id, "change-roll-back", "rolled back", allowed, Some(Direction::Back), watch).await
    }

    async fn again(
        &self,
        id: ChangeId,
        action: &'static str,
        participle: &'static str,
        allowed: impl Fn(ChangeState) -> bool + Send,
        direction: Option<Direction>,
        watch: Watch,
    ) -> Result<Finished, Error> {
        let done = self.again_now(id, participle, allowed, direction, watch).await;
        self.audited_end(Action::new(action, "change", id.to_string()), &done).await;
        done
    }

    async fn again_now(
        &self,
        id: ChangeId,
        participle: &'static str,
        allowed: impl Fn(ChangeState) -> bool + Send,
        direction: Option<Direction>,
        watch: Watch,
    ) -> Result<Finished, Error> {
        let change = self.find_change(id).await?;
        let credential = self.credential_of_change(change.credential).await?;
        let _locks = self.locks(&credential, &change.snapshot)?;
        // Whoever held the lock is gone; only now its state is certain.
        let change = self.find_change(id).await?;
        let state = if change.state == ChangeState::Running { ChangeState::Interrupted } else { change.state };
        if !allowed(state) {
            return Err(JournalError::StateForbids { id, state, action: participle }.into());
        }
        let back = direction == Some(Direction::Back);
        if back && change.strategy == Strategy::Emergency {
            return Err(RotationError::NeverPutBack { id }.into());
        }
        if back && change.kind == Kind::Uninstall && change.snapshot.auth_with.is_none() {
            // Going back would fail where the key is off, and bar the way forward.
            let devices = self.database().run_read(move |connection| journal::device::list(connection, id)).await?;
            if devices.iter().any(|device| device.standing == Standing::Changed) {
                return Err(RotationError::NoWayBack { id }.into());
            }
        }
        self.vault().check().await?;
        let credential = self.take_newer_keys(credential).await?;
        self.wait_for_late_writes(&change).await?;
        let old = match change.from_version {
            Some(version) => Some(self.version_key(&credential, version).await?),
            None => None,
        };
        let new = self.candidate(&change, &credential).await?;
        let stored = new.is_some() || change.to_version.is_none();
        let direction = match direction {
            // A new key that never reached the keyring is on no device either.
            _ if !stored => Direction::Back,
            Some(direction) => direction,
            None => change.direction,
        };
        let is_retry = state == ChangeState::PartlyChanged && direction == Direction::Forward;
        let (now, devices) = (self.now(), credential.devices.clone());
        let epoch = self
            .database()
            .run_write(move |transaction| -> Result<u32, JournalError> {
                let epoch = journal::change::take_up(transaction, id, direction)?;
                if is_retry {
                    // From here on they belong to it, also when it is broken off and resumed.
                    journal::device::bring_along(transaction, id, &devices, now)?;
                }
                if stored {
                    journal::change::set_stored(transaction, id, epoch, now)?;
                }
                Ok(epoch)
            })
            .await?;
        let change = self.find_change(id).await?;
        let snapshot = change.snapshot.clone();
        let taken_off = snapshot.devices.iter().map(|device| device.id).filter(|id| !credential.devices.contains(id));
        let mut given_up: Vec<DeviceId> = taken_off.collect();
        if change.strategy == Strategy::Emergency {
            given_up.extend(self.given_up(&change).await?);
        }
        let work = self
            .work(WorkPlan {
                change: Some((id, epoch)),
                kind: change.kind,
                credential: &Outline::of(&credential),
                snapshot: &snapshot,
                old,
                new,
                events: Some(watch.events.clone()),
                resumed: true,
                noting: Noting::Noted,
            })
            .await?;
        let work = Arc::new(work);
        self.tell_started(&work, &change);
        let mut driver = Driver::new(work, change, &given_up, Some(watch.stop));
        driver.take_up().await?;
        let done = driver.run().await;
        self.programs().due_after(id);
        done
    }

    /// The key that a change leads to, if it reached the keyring: by its name in the journal, not by what was noted last.
    async fn candidate(&self, change: &Change, credential: &Credential) -> Result<Option<VersionKey>, Error> {
        let Some(version) = change.to_version else { return Ok(None) };
        let Some(known) = credential.key_version(version) else { return Ok(None) };
        if change.stored.is_none() && change.kind == Kind::Rotate && self.vault().read(&known.item).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(self.version_key(credential, version).await?))
    }

    /// Waits until no program of a dead connection can still write.
    async fn wait_for_late_writes(&self, change: &Change) -> Result<(), Error> {
        let id = change.id;
        let last =
            self.database().run_read(move |connection| journal::effect::unanswered_write(connection, id, None)).await?;
        let Some(last) = last else { return Ok(()) };
        let limit = self.settings().await?.stage_timeout;
        let since = self.now().duration_since(last);
        // A clock that was set back says nothing; then the whole time is waited.
        let since = Duration::try_from(since).unwrap_or(Duration::ZERO);
        sleep(limit.saturating_sub(since)).await;
        Ok(())
    }

    /// Changes the key back to the version before the credential's newest change.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::rotate`]; [`RotationError::NoUndo`].
    pub async fn undo(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let done = self.undo_now(id, watch).await;
        self.audited_end(Action::new("change-undo", "change", id.to_string()), &done).await;
        done
    }

    async fn undo_now(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let change = self.find_change(id).await?;
        let forbidden = |reason| RotationError::NoUndo { id, reason };
        if change.strategy == Strategy::Emergency {
            return Err(RotationError::NeverPutBack { id }.into());
        }
        if change.state != ChangeState::Changed || !matches!(change.kind, Kind::Rotate | Kind::Undo) {
            return Err(forbidden(NotUndoable::NotChanged).into());
        }
        let credential = self.credential_of_change(change.credential).await?;
        let _locks = self.locks(&credential, &change.snapshot)?;
        let of = change.credential;
        let newest = self
            .database()
            .run_read(move |connection| journal::change::list_of(connection, of))
            .await?
            .into_iter()
            .find(changes::stands);
        if newest.is_some_and(|newest| newest.id != id) {
            return Err(forbidden(NotUndoable::NotNewest).into());
        }
        self.refuse_open_change(&credential).await?;
        let (Some(from), Some(to)) = (change.from_version, change.to_version) else {
            return Err(forbidden(NotUndoable::NoVersion).into());
        };
        if credential.key_version(from).is_some_and(|version| version.compromised) {
            return Err(forbidden(NotUndoable::Compromised).into());
        }
        if changes::is_destroyed(&credential, from) {
            return Err(forbidden(NotUndoable::Destroyed).into());
        }
        let days = self.settings().await?.days_of_undo;
        let ended = change.ended.unwrap_or(change.started);
        let limit = jiff::SignedDuration::from_hours(24 * i64::from(days));
        if days == 0 || self.now().duration_since(ended) > limit {
            return Err(forbidden(NotUndoable::Over).into());
        }
        self.vault().check().await?;
        let credential = self.take_newer_keys(credential).await?;
        let new = self.version_key(&credential, from).await?;
        let old = self.version_key(&credential, to).await?;
        let auth = match change.snapshot.auth_with {
            Some(id) => Some(self.credential(id).await?),
            None => None,
        };
        let outline = Outline::of(&credential);
        let snapshot = self.snapshot(&outline, auth.as_ref(), None, None).await?;
        let begin = Begun {
            kind: Kind::Undo,
            strategy: change.strategy,
            on_failure: change.on_failure,
            at_once: change.at_once,
            left_out: Vec::new(),
            origin: Origin::REQUEST,
            requested_by: None,
        };
        self.begin_and_run(&outline, snapshot, begin, Some(old), Some(new), watch).await
    }
}
