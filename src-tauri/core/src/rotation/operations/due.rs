//! Starting what is due, whoever asks for it: a timer, or the window's clock.

use std::collections::HashSet;

use jiff::{Timestamp, tz::TimeZone};
use rusqlite::OptionalExtension;
use serde_json::json;
use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    task::JoinSet,
};

use super::{Asked, Rotate, scheduled::passes_by_itself};
use crate::{
    audit::Action,
    catalogue::{Credential, CredentialId, policy},
    clock::rfc3339,
    database::column,
    error::{Error, Report},
    journal::{Begin, ChangeReason, Kind, Origin, Snapshot, scheduled},
    keywheel::Keywheel,
    lock::{CredentialLock, LockError, Sharing},
    rotation::{Finished, Watch, event::Event},
    schedule::{
        NextChange, Reason, ScheduleError,
        candidates::{candidates, last_attempt},
        due::{self, AT_ONCE, Paused, Start, What},
    },
};

/// What is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// What is to be started, in this order; also while it waits for the keyring.
    pub starts: Vec<Start>,
    /// Why the keyring can't be used, where something is due: nothing is started then.
    pub waits: Option<Report>,
    /// When to look again, should nothing else happen.
    pub next: Option<Timestamp>,
}

impl Due {
    /// Whether something is due that waits for the keyring.
    pub fn waits_for_keyring(&self) -> bool {
        self.waits.is_some()
    }

    /// What can be started now.
    pub fn startable(&self) -> &[Start] {
        if self.waits.is_some() { &[] } else { &self.starts }
    }
}

/// What came of starting all that was due.
#[derive(Debug)]
pub struct DueRun {
    /// What was started, with its end, in the order of the ends.
    pub ended: Vec<(Start, Result<Finished, Error>)>,
    /// Why the keyring can't be used, where something is still due.
    pub waits: Option<Report>,
}

impl Keywheel {
    /// Says what is due now. Nothing is noted, and no device is asked.
    ///
    /// # Errors
    /// The database's own failure; the lock of a running change can't be asked.
    pub async fn due(&self, zone: &TimeZone) -> Result<Due, Error> {
        self.due_but(zone, &HashSet::new(), AT_ONCE).await
    }

    /// All that is due, also what has to wait until others have ended.
    ///
    /// # Errors
    /// As [`Keywheel::due`].
    pub async fn all_due(&self, zone: &TimeZone) -> Result<Due, Error> {
        self.due_but(zone, &HashSet::new(), usize::MAX).await
    }

    async fn due_but(&self, zone: &TimeZone, but: &HashSet<CredentialId>, at_most: usize) -> Result<Due, Error> {
        let (this, but, zone) = (self.clone(), but.clone(), zone.clone());
        let now = self.now();
        let paused = if self.settings().await?.pause.holds(now, &zone) { Paused::Yes } else { Paused::No };
        let (starts, next) = self
            .database()
            .run_read(move |conn| -> Result<_, Error> {
                let mut candidates = candidates(&this, conn)?;
                candidates.retain(|candidate| !but.contains(&candidate.credential));
                let starts = due::choose(now, &zone, paused, at_most, &candidates);
                Ok((starts, due::next(now, &zone, paused, &candidates)))
            })
            .await?;
        // The keyring is not troubled each minute for nothing.
        let waits = match starts.is_empty() {
            true => None,
            false => self.vault().check().await.err().map(|error| Report::of(&error)),
        };
        Ok(Due { starts, waits, next })
    }

    /// As [`Keywheel::due`], and notes, once, that what is due waits for the keyring, or no longer does.
    ///
    /// # Errors
    /// As [`Keywheel::due`].
    pub async fn tick(&self, zone: &TimeZone) -> Result<Due, Error> {
        let due = self.due(zone).await?;
        self.note_waiting(&due).await?;
        Ok(due)
    }

    /// Since when what is due waits for the keyring, as far as it was noted.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn waiting_for_keyring(&self) -> Result<Option<Timestamp>, Error> {
        self.read(|conn| {
            let since = conn
                .prepare_cached("SELECT since FROM waiting_for_keyring")?
                .query_row([], |row| column::time(row, 0))
                .optional()?;
            Ok(since)
        })
        .await
    }

    async fn note_waiting(&self, due: &Due) -> Result<(), Error> {
        let since = self.waiting_for_keyring().await?;
        if since.is_some() == due.waits_for_keyring() {
            return Ok(());
        }
        let (now, waits) = (self.now(), due.waits_for_keyring());
        let credentials: Vec<String> = due.starts.iter().map(|start| start.credential.clone()).collect();
        let code = due.waits.as_ref().map(|report| report.code.clone());
        self.change(Action::unnamed("keyring-wait", "vault"), move |tx, action| {
            let changed = if waits {
                tx.execute(
                    "INSERT INTO waiting_for_keyring (one, since) VALUES (1, ?1) ON CONFLICT DO NOTHING",
                    [rfc3339(now)],
                )?
            } else {
                tx.execute("DELETE FROM waiting_for_keyring", [])?
            };
            // Another process may have noted it just before.
            action.idle = changed == 0;
            action.detail = json!({ "waits": waits, "credentials": credentials, "cause": code });
            Ok(())
        })
        .await
    }

    /// Starts one of the things that are due, and sees it to its end. Whether it is due still is asked again under its lock,
    /// so that of two processes one does it, and the other is told so.
    ///
    /// # Errors
    ///
    /// [`LockError::Busy`] and [`ScheduleError::NoLongerDue`] where another process was faster; as for [`Keywheel::rotate`].
    pub async fn run_start(&self, start: &Start, zone: &TimeZone, watch: Watch) -> Result<Finished, Error> {
        match &start.what {
            What::Resume { change } => self.resume(*change, watch).await,
            What::RollBack { change } => self.roll_back(*change, watch).await,
            What::Retry { change } => self.retry(*change, watch).await,
            What::Run { change } => {
                let done = self.run_scheduled_now(*change, watch).await;
                self.audited_attempt(Action::new("change-run", "change", change.to_string()), &done).await;
                done
            }
            What::Rotate { .. } => {
                let done = self.rotate_by_policy(start.credential_id, zone, watch).await;
                self.audited_attempt(Action::new("credential-rotate", "credential", &start.credential), &done).await;
                done
            }
        }
    }

    /// What was no attempt is no action either.
    async fn audited_attempt(&self, action: Action, done: &Result<Finished, Error>) {
        if !done.as_ref().is_err_and(passes_by_itself) {
            self.audited_end(action, done).await;
        }
    }

    async fn rotate_by_policy(&self, id: CredentialId, zone: &TimeZone, watch: Watch) -> Result<Finished, Error> {
        let credential = self.credential(id).await?;
        let of = credential.policy;
        let policy = self.read(move |conn| policy::by_id(conn, of)).await?;
        let request = Rotate {
            credential: credential.name.clone(),
            algorithm: Some(policy.algorithm),
            strategy: Some(policy.strategy),
            on_failure: Some(policy.on_failure),
            at_once: usize::try_from(policy.at_once).ok(),
            ..Rotate::default()
        };
        match self.prepare(&request, &Asked::ByPolicy { credential: id, zone: zone.clone() }).await {
            Ok(prepared) => self.run_prepared(prepared, watch).await,
            Err(error) => {
                if !passes_by_itself(&error) {
                    self.note_failed_attempt(&credential, &request, zone, &error).await?;
                }
                Err(error)
            }
        }
    }

    /// Writes an attempt down that could not even begin.
    async fn note_failed_attempt(
        &self,
        credential: &Credential,
        request: &Rotate,
        zone: &TimeZone,
        error: &Error,
    ) -> Result<(), Error> {
        let lock = CredentialLock::take(self.database().dir(), credential.id, &credential.name, Sharing::Exclusive);
        let _lock = match lock {
            // Whoever works on it now decides what comes next.
            Err(LockError::Busy { .. }) => return Ok(()),
            other => other?,
        };
        let (origin, requested_by) = match self.origin_by_policy(credential.id, zone).await {
            Err(Error::Schedule(ScheduleError::NoLongerDue { .. })) => return Ok(()),
            other => other?,
        };
        let snapshot = Snapshot {
            credential: credential.name.clone(),
            username: credential.username.clone(),
            auth_with: None,
            options: None,
            devices: Vec::new(),
        };
        let (id, from) = (credential.id, credential.current_key().map(|current| current.version));
        let (request, report, now) = (request.clone(), Report::of(error), self.now());
        self.database()
            .run_write(move |transaction| -> Result<(), Error> {
                let begin = Begin {
                    credential: id,
                    kind: Kind::Rotate,
                    strategy: request.strategy.unwrap_or(crate::catalogue::Strategy::TwoPhase),
                    on_failure: request.on_failure.unwrap_or(crate::catalogue::OnFailure::RollBack),
                    at_once: request.at_once.unwrap_or(1),
                    from_version: from,
                    to_version: None,
                    snapshot: &snapshot,
                    requested_by: &requested_by,
                    origin,
                    now,
                };
                scheduled::note_failed(transaction, &begin, &report)?;
                Ok(())
            })
            .await
    }

    /// What leads to an automatic change of a credential, if one is due now.
    pub(super) async fn origin_by_policy(&self, id: CredentialId, zone: &TimeZone) -> Result<(Origin, String), Error> {
        let due = self.all_due(zone).await?;
        let next = due.starts.into_iter().find_map(|start| match start.what {
            What::Rotate { next } if start.credential_id == id => Some(next),
            _ => None,
        });
        let credential = self.credential(id).await?;
        let Some(next) = next else {
            return Err(ScheduleError::NoLongerDue { credential: credential.name }.into());
        };
        let of = credential.policy;
        let (policy, last) = self
            .database()
            .run_read(move |conn| -> Result<_, Error> {
                Ok((policy::by_id(conn, of)?, last_attempt(conn, &credential)?))
            })
            .await?;
        let again = last.filter(|_| matches!(next.reason, Reason::Retry { .. } | Reason::NextSeries { .. }));
        let retried = again.filter(|_| matches!(next.reason, Reason::Retry { .. }));
        let origin = Origin {
            reason: again.map_or_else(|| reason(&next), |attempt| attempt.reason),
            scheduled: None,
            at: Some(next.at),
            series: retried.map(|attempt| attempt.series),
            attempt: Some(retried.map_or(1, |attempt| attempt.attempt.saturating_add(1))),
        };
        Ok((origin, format!("policy {}", policy.name)))
    }

    /// Starts all that is due, a few at once, until nothing is left that can be started: what waits for an allowed hour, for
    /// the keyring or for another process is left to the next time. `watch` is asked for each who gets its events.
    ///
    /// # Errors
    /// As [`Keywheel::due`]; what was started before goes on to its end.
    pub async fn run_due(
        &self,
        zone: &TimeZone,
        stop: watch::Receiver<bool>,
        mut watch: impl FnMut(&Start) -> UnboundedSender<Event> + Send,
    ) -> Result<DueRun, Error> {
        let mut tried: HashSet<CredentialId> = HashSet::new();
        let mut running: JoinSet<(Start, Result<Finished, Error>)> = JoinSet::new();
        let mut run = DueRun { ended: Vec::new(), waits: None };
        let mut failed = None;
        loop {
            if failed.is_none() && !*stop.borrow() {
                match self.due_now(zone, &tried).await {
                    Ok(due) => {
                        run.waits.clone_from(&due.waits);
                        let free = AT_ONCE.saturating_sub(running.len());
                        for start in due.startable().iter().take(free) {
                            tried.insert(start.credential_id);
                            let watch = Watch { events: watch(start), stop: stop.clone() };
                            let (this, zone, start) = (self.clone(), zone.clone(), start.clone());
                            running.spawn(async move {
                                let done = this.run_start(&start, &zone, watch).await;
                                (start, done)
                            });
                        }
                    }
                    Err(error) => failed = Some(error),
                }
            }
            match running.join_next().await {
                None => break,
                Some(Ok(ended)) => run.ended.push(ended),
                Some(Err(error)) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(run),
        }
    }

    async fn due_now(&self, zone: &TimeZone, tried: &HashSet<CredentialId>) -> Result<Due, Error> {
        let due = self.due_but(zone, tried, AT_ONCE).await?;
        // What was tried is not due any more to this run, but may wait all the same.
        if tried.is_empty() || due.waits_for_keyring() {
            self.note_waiting(&due).await?;
        }
        Ok(due)
    }
}

fn reason(next: &NextChange) -> ChangeReason {
    match next.reason {
        Reason::Reveal { .. } => ChangeReason::Reveal,
        Reason::Age { .. } | Reason::Retry { .. } | Reason::NextSeries { .. } => ChangeReason::Age,
    }
}
