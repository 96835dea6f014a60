//! How credentials stand, in one word each.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use crate::catalogue::credential::{Credential, Kind};
use crate::catalogue::{CredentialId, words};
use crate::database::column;
use crate::error::Error;
use crate::journal::{self, ChangeId, ChangeState};
use crate::keywheel::Keywheel;
use crate::schedule::Standing as KeyStanding;

words! {
    /// How a credential stands.
    CredentialState {
        /// Nobody works on a change that was begun; devices may hold two keys.
        Interrupted = "interrupted",
        /// A change has left some devices as they were.
        PartlyChanged = "partly-changed",
        /// The newest key change was broken off or taken back, with every device as before.
        LastChangeFailed = "last-change-failed",
        /// It should have changed by itself, and a whole window has passed in which it could have.
        Overdue = "overdue",
        /// The key is not known to be accepted by all its devices: not installed, or not checked.
        NotReady = "not-ready",
        /// The time has come at which it changes by itself.
        Due = "due",
        /// A live process changes it.
        Changing = "changing",
        /// It changes only when a person asks for it.
        OnRequest = "on-request",
        /// Nothing is to be done.
        UpToDate = "up-to-date",
        /// It is neither changed nor used to authenticate.
        Disabled = "disabled",
    }
}

impl CredentialState {
    /// All states, the worst first, as lists are sorted.
    pub const WORST_FIRST: [Self; 10] = [
        Self::Interrupted,
        Self::PartlyChanged,
        Self::LastChangeFailed,
        Self::Overdue,
        Self::NotReady,
        Self::Due,
        Self::Changing,
        Self::OnRequest,
        Self::UpToDate,
        Self::Disabled,
    ];

    /// The place in lists that are sorted worst first.
    pub(super) fn place(self) -> usize {
        Self::WORST_FIRST.iter().position(|state| *state == self).unwrap_or(Self::WORST_FIRST.len())
    }

    /// The one word where several could be said.
    ///
    /// A change that is not ended comes before all else, because devices may hold two keys. Then a person's own decision:
    /// of a disabled credential nothing is due. Then the worst of what keeps the next change from going well and of how late
    /// it is, and at last how it is begun. A password is never changed, so it is disabled or up to date.
    fn of(
        credential: &Credential,
        open: Option<ChangeState>,
        last: Option<ChangeState>,
        accepted: Accepted,
        standing: Option<KeyStanding>,
    ) -> Self {
        match open {
            Some(ChangeState::Running) => return Self::Changing,
            Some(ChangeState::Interrupted) => return Self::Interrupted,
            Some(ChangeState::PartlyChanged) => return Self::PartlyChanged,
            Some(_) | None => {}
        }
        if !credential.enabled {
            Self::Disabled
        } else if credential.kind == Kind::Password {
            Self::UpToDate
        } else if matches!(last, Some(ChangeState::Failed | ChangeState::RolledBack)) {
            Self::LastChangeFailed
        } else if standing == Some(KeyStanding::Overdue) {
            Self::Overdue
        } else if accepted == Accepted::NotByAll || credential.current_key().is_none() {
            Self::NotReady
        } else if standing == Some(KeyStanding::Due) {
            Self::Due
        } else if credential.automatic_change {
            Self::UpToDate
        } else {
            Self::OnRequest
        }
    }
}

/// Whether the devices of a key are known to accept its current version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepted {
    /// Every enabled one does, and at least one at all.
    ByAll,
    /// One is not known to.
    NotByAll,
}

/// What the states of credentials are made of, read in a few queries.
#[derive(Debug, Default)]
pub(super) struct States {
    /// The changes that are not ended.
    open: HashMap<CredentialId, ChangeState>,
    /// How the newest key changes stand, but for those that never began.
    last: HashMap<CredentialId, ChangeState>,
    /// The keys that are not known to be accepted by all their devices.
    not_accepted: HashSet<CredentialId>,
}

impl States {
    /// Reads what is needed for one credential, or for all.
    pub(super) fn read(keywheel: &Keywheel, conn: &Connection, only: Option<CredentialId>) -> Result<Self, Error> {
        let of = |column: &str| match only {
            Some(_) => format!("{column} = ?1"),
            None => "?1 IS NULL".to_owned(),
        };
        let mut states = Self::default();
        let mut running: Vec<ChangeId> = Vec::new();
        let mut open = conn.prepare_cached(&format!(
            "SELECT id, credential, state FROM change
             WHERE state IN ('running', 'interrupted', 'partly-changed') AND {}",
            of("credential")
        ))?;
        for row in open.query_map([only], |row| Ok((ChangeId(row.get(0)?), row.get(1)?, column::parsed(row, 2)?)))? {
            let (id, credential, state) = row?;
            if state == ChangeState::Running {
                running.push(id);
            }
            states.open.insert(credential, state);
        }
        for id in running {
            let change = journal::change::find(conn, id)?;
            let now = keywheel.state_now(&change, &change.snapshot.credential)?;
            states.open.insert(change.credential, now);
        }
        let mut last = conn.prepare_cached(&format!(
            "SELECT credential, state, max(place) FROM change
             WHERE kind IN ('rotate', 'undo') AND state NOT IN ('scheduled', 'cancelled') AND {}
             GROUP BY credential",
            of("credential")
        ))?;
        states.last = last
            .query_map([only], |row| Ok((row.get(0)?, column::parsed(row, 1)?)))?
            .collect::<Result<_, rusqlite::Error>>()?;
        // A device that was refused or given up since is one that does not accept. Each question ends at the first device
        // that answers it: counting them all takes four times as long where credentials stand on many.
        const ACCEPTED: &str = "SELECT 1 FROM installed_on
             WHERE installed_on.credential = key_version.credential AND installed_on.version = key_version.version
                 AND installed_on.device = credential_device.device
                 AND accepted_at IS NOT NULL AND refused_at IS NULL AND given_up_at IS NULL";
        let mut not_accepted = conn.prepare_cached(&format!(
            "SELECT credential FROM key_version WHERE state = 'current' AND {} AND (
                 NOT EXISTS (
                     SELECT 1 FROM credential_device
                     WHERE credential_device.credential = key_version.credential AND EXISTS ({ACCEPTED})
                 ) OR EXISTS (
                     SELECT 1 FROM credential_device
                     WHERE credential_device.credential = key_version.credential AND NOT EXISTS ({ACCEPTED})
                         AND (SELECT enabled FROM device WHERE id = credential_device.device) = 1
                 )
             )",
            of("key_version.credential")
        ))?;
        states.not_accepted =
            not_accepted.query_map([only], |row| row.get(0))?.collect::<Result<_, rusqlite::Error>>()?;
        Ok(states)
    }

    pub(super) fn of(&self, credential: &Credential, standing: Option<KeyStanding>) -> CredentialState {
        let id = credential.id;
        let accepted = if self.not_accepted.contains(&id) { Accepted::NotByAll } else { Accepted::ByAll };
        CredentialState::of(credential, self.open.get(&id).copied(), self.last.get(&id).copied(), accepted, standing)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::catalogue::DeviceId;
    use crate::catalogue::key_version::{self, Happening};
    use crate::credential::{Automatic, EditCredential, NewCredential, NewSecret, Standing};
    use crate::database::DatabaseError;
    use crate::device::{EditDevice, NewDevice};
    use crate::key::{Algorithm, PrivateKey};
    use crate::keywheel::testing::{keywheel, with_parts};
    use crate::lock::{CredentialLock, Sharing};

    async fn key(keywheel: &Keywheel, name: &str, devices: &[DeviceId]) -> CredentialId {
        let key = PrivateKey::generate(Algorithm::Ed25519, name).unwrap();
        let new = NewCredential::new(name, "deploy", devices[0], NewSecret::Generated(key));
        keywheel.add_credential(NewCredential { devices: devices.to_vec(), ..new }).await.unwrap().id
    }

    async fn state(keywheel: &Keywheel, id: CredentialId) -> CredentialState {
        let one = keywheel.credential_view(id).await.unwrap().state;
        let rows = keywheel.credential_rows().await.unwrap();
        let listed = rows.iter().find(|row| row.view.id == id).unwrap().view.state;
        assert_eq!(one, listed, "a credential's page would say something else than the list");
        one
    }

    fn note(keywheel: &Keywheel, id: CredentialId, device: DeviceId, happening: Happening) {
        let now = keywheel.now();
        keywheel.database().write(|tx| key_version::note(tx, id, 1, device, happening, now)).unwrap();
    }

    fn change(keywheel: &Keywheel, id: CredentialId, kind: &str, state: &str) {
        let written = keywheel.database().write(|tx| -> Result<(), DatabaseError> {
            tx.execute(
                r#"INSERT INTO change (credential, kind, state, direction, epoch, strategy, on_failure, at_once, snapshot,
                       requested_by, started_at)
                   VALUES (?1, ?2, ?3, 'forward', 1, 'two-phase', 'roll-back', 1,
                       '{"credential":"deploy","username":"deploy","auth_with":null,"options":null,"devices":[]}',
                       'ana@desk', '2026-11-24T08:00:00.000Z')"#,
                (id, kind, state),
            )?;
            Ok(())
        });
        written.unwrap();
    }

    #[test]
    fn every_state_has_its_place_in_the_order() {
        for word in [
            "interrupted",
            "partly-changed",
            "last-change-failed",
            "overdue",
            "not-ready",
            "due",
            "changing",
            "on-request",
            "up-to-date",
        ] {
            let state: CredentialState = word.parse().unwrap();
            assert!(state.place() < CredentialState::Disabled.place(), "{word} would stand behind what needs nothing");
        }
        assert_eq!(CredentialState::Disabled.place(), CredentialState::WORST_FIRST.len() - 1);
    }

    #[tokio::test]
    async fn a_key_is_ready_when_every_enabled_device_is_known_to_accept_it() {
        let (keywheel, _dir) = keywheel();
        let one = keywheel.add_device(NewDevice::new("web-1", "10.0.0.1")).await.unwrap().id;
        let two = keywheel.add_device(NewDevice::new("web-2", "10.0.0.2")).await.unwrap().id;
        let id = key(&keywheel, "deploy", &[one, two]).await;
        assert_eq!(state(&keywheel, id).await, CredentialState::NotReady, "nobody has ever checked");
        note(&keywheel, id, one, Happening::Accepted);
        note(&keywheel, id, two, Happening::Installed);
        assert_eq!(state(&keywheel, id).await, CredentialState::NotReady, "a line that was written is no proof");
        note(&keywheel, id, two, Happening::Accepted);
        assert_eq!(state(&keywheel, id).await, CredentialState::OnRequest);
        note(&keywheel, id, two, Happening::Refused);
        assert_eq!(state(&keywheel, id).await, CredentialState::NotReady);
        note(&keywheel, id, two, Happening::Installed);
        assert_eq!(state(&keywheel, id).await, CredentialState::NotReady, "what was accepted before counts no more");
        let disable = EditDevice { enabled: Some(false), ..EditDevice::default() };
        keywheel.edit_device(two, disable.clone()).await.unwrap();
        assert_eq!(state(&keywheel, id).await, CredentialState::OnRequest, "a disabled device can't be asked");
        let automatic = Some(Automatic { change: true, use_itself: true, auth_with: None });
        let edit = EditCredential { automatic, ..EditCredential::default() };
        keywheel.edit_credential(id, edit, Standing::Refuse).await.unwrap();
        assert_eq!(state(&keywheel, id).await, CredentialState::UpToDate);
        note(&keywheel, id, one, Happening::GivenUp);
        keywheel.edit_device(one, disable).await.unwrap();
        assert_eq!(state(&keywheel, id).await, CredentialState::NotReady, "no device is known to accept it at all");
    }

    #[tokio::test]
    async fn a_change_decides_before_all_else_and_a_dead_process_works_on_nothing() {
        let (keywheel, _dir) = keywheel();
        let device = keywheel.add_device(NewDevice::new("web-1", "10.0.0.1")).await.unwrap().id;
        let id = key(&keywheel, "deploy", &[device]).await;
        note(&keywheel, id, device, Happening::Accepted);
        change(&keywheel, id, "rotate", "changed");
        assert_eq!(state(&keywheel, id).await, CredentialState::OnRequest);
        for ended in ["failed", "rolled-back"] {
            change(&keywheel, id, "rotate", ended);
            assert_eq!(state(&keywheel, id).await, CredentialState::LastChangeFailed, "{ended}");
            change(&keywheel, id, "uninstall", "changed");
            change(&keywheel, id, "rotate", "cancelled");
            assert_eq!(state(&keywheel, id).await, CredentialState::LastChangeFailed, "no key was changed since");
            change(&keywheel, id, "undo", "changed");
            assert_eq!(state(&keywheel, id).await, CredentialState::OnRequest, "an older failure is over");
        }
        let disable = EditCredential { enabled: Some(false), ..EditCredential::default() };
        keywheel.edit_credential(id, disable, Standing::Refuse).await.unwrap();
        assert_eq!(state(&keywheel, id).await, CredentialState::Disabled);
        change(&keywheel, id, "rotate", "running");
        assert_eq!(state(&keywheel, id).await, CredentialState::Interrupted, "nobody holds its lock");
        let lock = CredentialLock::take(keywheel.database().dir(), id, "deploy", Sharing::Exclusive).unwrap();
        assert_eq!(state(&keywheel, id).await, CredentialState::Changing);
        drop(lock);
        let other = key(&keywheel, "other", &[device]).await;
        change(&keywheel, other, "install", "partly-changed");
        assert_eq!(state(&keywheel, other).await, CredentialState::PartlyChanged);
    }

    #[tokio::test]
    async fn a_key_whose_time_has_come_is_due_and_then_overdue_but_not_before_what_is_worse() {
        let (keywheel, _dir, _vault, clock) = with_parts();
        let device = keywheel.add_device(NewDevice::new("web-1", "10.0.0.1")).await.unwrap().id;
        let id = key(&keywheel, "deploy", &[device]).await;
        note(&keywheel, id, device, Happening::Accepted);
        let automatic = Some(Automatic { change: true, use_itself: true, auth_with: None });
        let edit = EditCredential { automatic, ..EditCredential::default() };
        keywheel.edit_credential(id, edit, Standing::Refuse).await.unwrap();
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        let view = || async { keywheel.credential_view(id).await.unwrap() };
        clock.pass(days(84));
        assert_eq!(state(&keywheel, id).await, CredentialState::UpToDate);
        assert_eq!(view().await.next_change_standing, Some(KeyStanding::Warning));
        clock.pass(days(6));
        assert_eq!(state(&keywheel, id).await, CredentialState::Due);
        note(&keywheel, id, device, Happening::Refused);
        assert_eq!(state(&keywheel, id).await, CredentialState::NotReady, "the change could not be made");
        clock.pass(days(2));
        assert_eq!(state(&keywheel, id).await, CredentialState::Overdue);
        change(&keywheel, id, "rotate", "failed");
        assert_eq!(state(&keywheel, id).await, CredentialState::LastChangeFailed);
        assert_eq!(view().await.next_change_standing, Some(KeyStanding::Overdue), "how late it is would be hidden");
        let disable = EditCredential { enabled: Some(false), ..EditCredential::default() };
        keywheel.edit_credential(id, disable, Standing::Refuse).await.unwrap();
        assert_eq!(state(&keywheel, id).await, CredentialState::Disabled);
        assert_eq!(view().await.next_change, None, "a disabled key never changes by itself");
    }

    #[tokio::test]
    async fn a_password_is_up_to_date_or_disabled() {
        let (keywheel, _dir) = keywheel();
        let device = keywheel.add_device(NewDevice::new("web-1", "10.0.0.1")).await.unwrap().id;
        let secret = NewSecret::Password(secrecy::SecretString::from("hunter2"));
        let id = keywheel.add_credential(NewCredential::new("root", "root", device, secret)).await.unwrap().id;
        assert_eq!(state(&keywheel, id).await, CredentialState::UpToDate);
        let disable = EditCredential { enabled: Some(false), ..EditCredential::default() };
        keywheel.edit_credential(id, disable, Standing::Refuse).await.unwrap();
        assert_eq!(state(&keywheel, id).await, CredentialState::Disabled);
    }
}
