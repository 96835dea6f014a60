//! Changes that are asked for at a time: written down now, begun then, or taken back before.

use jiff::Timestamp;
use serde_json::json;

use super::{Asked, ConnectWith, Rotate, refuse_leaving_out};
use crate::{
    audit::Action,
    catalogue::{OnFailure, Strategy},
    clock::rfc3339,
    credential::refuse_compromised,
    error::{Error, Report},
    journal::{Begin, ChangeId, ChangeReason, JournalError, Kind, Origin, scheduled},
    keywheel::Keywheel,
    rotation::{Finished, Watch, plan::Outline},
    schedule::ScheduleError,
};

impl Keywheel {
    /// Asks for a key change at a time. What it goes by is checked now, and taken down anew when it begins.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] says it of the time; [`JournalError::AlreadyScheduled`]; what is asked for can't be done as the
    /// credential and its devices stand now.
    pub async fn request_change(&self, request: Rotate, at: Timestamp) -> Result<ChangeId, Error> {
        let action = Action::new("change-request", "credential", request.credential.trim())
            .with(json!({ "scheduled_for": rfc3339(at) }));
        let done = self.request_change_now(request, at, action.clone()).await;
        if let Err(error) = &done {
            self.record(action, Some(error)).await;
        }
        done
    }

    async fn request_change_now(&self, request: Rotate, at: Timestamp, action: Action) -> Result<ChangeId, Error> {
        let now = self.now();
        if request.strategy == Some(Strategy::Emergency) {
            return Err(ScheduleError::EmergencyWaits.into());
        }
        if at < now {
            return Err(ScheduleError::InThePast { at }.into());
        }
        let credential = self.key_credential(&request.credential).await?;
        refuse_compromised(&credential)?;
        let outline = Outline::of(&credential);
        let auth = self.authenticating(&outline, &request.connect_with).await?;
        let snapshot = self.snapshot(&outline, auth.as_ref(), None, None).await?;
        refuse_leaving_out(&credential, &snapshot, &request.leave_out)?;
        let actor = self.actor().clone();
        let action = Action { subject: Some(credential.name.clone()), ..action };
        let written = self.database().run_write({
            let action = action.clone();
            move |transaction| -> Result<ChangeId, Error> {
                let begin = Begin {
                    credential: credential.id,
                    kind: Kind::Rotate,
                    strategy: request.strategy.unwrap_or(Strategy::TwoPhase),
                    on_failure: request.on_failure.unwrap_or(OnFailure::RollBack),
                    at_once: request.at_once.unwrap_or(1),
                    from_version: None,
                    to_version: None,
                    snapshot: &snapshot,
                    requested_by: actor.as_str(),
                    origin: Origin { at: Some(at), ..Origin::REQUEST },
                    now,
                };
                let id = scheduled::schedule(transaction, &begin, &request)?;
                let action = action.with(json!({ "change": id.0, "scheduled_for": rfc3339(at) }));
                crate::audit::append(transaction, &action.entry(now, &actor, None))?;
                Ok(id)
            }
        });
        written.await
    }

    /// Begins a change that waits for its time, now.
    ///
    /// One that can't be begun, for whatever is not over by itself, has failed with that: it would be tried for ever.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::rotate`]; [`JournalError::StateForbids`] where it has begun, or was taken back.
    pub async fn run_scheduled(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let done = self.run_scheduled_now(id, watch).await;
        self.audited_end(Action::new("change-run", "change", id.to_string()), &done).await;
        done
    }

    pub(super) async fn run_scheduled_now(&self, id: ChangeId, watch: Watch) -> Result<Finished, Error> {
        let prepared = match self.scheduled_request(id).await {
            Ok(request) => self.prepare(&request, &Asked::Scheduled(id)).await,
            Err(error) => Err(error),
        };
        match prepared {
            Ok(prepared) => self.run_prepared(prepared, watch).await,
            Err(error) => {
                if !passes_by_itself(&error) {
                    self.fail_scheduled(id, &error).await?;
                }
                Err(error)
            }
        }
    }

    /// What was asked for, with the names that hold now.
    async fn scheduled_request(&self, id: ChangeId) -> Result<Rotate, Error> {
        let (change, choices) = self
            .database()
            .run_read(move |connection| -> Result<_, JournalError> {
                scheduled::refuse_begun(connection, id, "run")?;
                let change = crate::journal::change::find(connection, id)?;
                Ok((change, scheduled::choices(connection, id)?))
            })
            .await?;
        let mut request = choices.unwrap_or_default();
        request.credential = self.credential(change.credential).await?.name;
        if let (ConnectWith::Credential(name), Some(other)) = (&mut request.connect_with, change.snapshot.auth_with) {
            *name = self.credential(other).await?.name;
        }
        Ok(request)
    }

    async fn fail_scheduled(&self, id: ChangeId, error: &Error) -> Result<(), Error> {
        let (report, now) = (Report::of(error), self.now());
        Ok(self.database().run_write(move |transaction| scheduled::fail(transaction, id, &report, now)).await?)
    }

    /// Takes a change back that waits for its time.
    ///
    /// # Errors
    ///
    /// [`JournalError::StateForbids`] where it has begun, or was taken back before.
    pub async fn cancel_scheduled(&self, id: ChangeId) -> Result<(), Error> {
        let now = self.now();
        self.change(Action::new("change-cancel", "change", id.to_string()), move |transaction, action| {
            let change = crate::journal::change::find(transaction, id)?;
            action.detail = json!({
                "credential": change.snapshot.credential,
                "scheduled_for": change.scheduled_for.map(rfc3339),
            });
            Ok(scheduled::cancel(transaction, id, now)?)
        })
        .await
    }

    /// What led to a change that is about to begin, with what it says of who asked. Its credential is locked by now.
    pub(super) async fn origin(&self, asked: &Asked) -> Result<(Origin, Option<String>), Error> {
        match asked {
            Asked::ByPolicy { credential, zone } => {
                let (origin, by) = self.origin_by_policy(*credential, zone).await?;
                Ok((origin, Some(by)))
            }
            Asked::Now => Ok((Origin::REQUEST, None)),
            Asked::Scheduled(id) => {
                let id = *id;
                let change = self
                    .database()
                    .run_read(move |connection| -> Result<_, JournalError> {
                        scheduled::refuse_begun(connection, id, "run")?;
                        crate::journal::change::find(connection, id)
                    })
                    .await?;
                let origin = Origin {
                    reason: ChangeReason::Request,
                    scheduled: Some(id),
                    at: change.scheduled_for,
                    ..Origin::REQUEST
                };
                Ok((origin, Some(change.requested_by)))
            }
        }
    }
}

/// Whether what kept a change from beginning is over without anybody changing what it goes by: then no attempt was made.
pub(super) fn passes_by_itself(error: &Error) -> bool {
    match error {
        Error::Lock(_) | Error::Vault(_) | Error::Database(_) => true,
        Error::Journal(error) => matches!(
            error,
            JournalError::ChangeOpen { .. } | JournalError::StateForbids { .. } | JournalError::Database(_)
        ),
        Error::Schedule(error) => matches!(error, ScheduleError::NoLongerDue { .. }),
        _ => false,
    }
}
