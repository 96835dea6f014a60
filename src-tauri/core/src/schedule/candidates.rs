//! What the chooser goes by, read in few queries for all credentials.

use std::collections::HashMap;

use rusqlite::Connection;

use super::due::{Automatic, Candidate, Left, Open, Request};
use super::{Failed, KeyFacts};
use crate::catalogue::{CatalogueError, Credential, CredentialId, PolicyId, key_version, policy};
use crate::error::Error;
use crate::journal::scheduled::{self, Attempt};
use crate::journal::{self, ChangeId, ChangeState, JournalError, Kind, change};
use crate::keywheel::Keywheel;
use crate::rotation::Strategy;

/// What the next change of each credential, or of one, is computed from.
///
/// # Errors
/// The database's own failure.
pub(crate) fn key_facts(
    conn: &Connection,
    only: Option<CredentialId>,
) -> Result<HashMap<CredentialId, KeyFacts>, CatalogueError> {
    let attempts = scheduled::last_attempts(conn, only)?;
    let facts = key_version::current(conn, only)?.into_iter().map(|(id, current)| {
        // What another key could not be replaced by says nothing of this one.
        let failed = attempts.get(&id).filter(|attempt| attempt.from_version == Some(current.version));
        let facts = KeyFacts {
            created: current.created,
            revealed: current.revealed,
            failed: failed.map(|attempt| Failed {
                attempts: attempt.attempt,
                last_ended: attempt.ended,
                series_began: attempt.series_began,
            }),
        };
        (id, facts)
    });
    Ok(facts.collect())
}

/// The newest automatic attempt of a credential at the key that it has now.
pub(crate) fn last_attempt(conn: &Connection, credential: &Credential) -> Result<Option<Attempt>, JournalError> {
    let current = credential.current_key().map(|current| current.version);
    let attempt = scheduled::last_attempts(conn, Some(credential.id))?.remove(&credential.id);
    Ok(attempt.filter(|attempt| attempt.from_version == current))
}

/// The credentials that may be changed.
///
/// # Errors
/// The database's own failure; the lock of a running change can't be asked.
pub(crate) fn candidates(keywheel: &Keywheel, conn: &Connection) -> Result<Vec<Candidate>, Error> {
    let policies: HashMap<PolicyId, _> = policy::all(conn)?.into_iter().map(|policy| (policy.id, policy)).collect();
    let mut facts = key_facts(conn, None)?;
    let current = key_version::current(conn, None)?;
    let requests = scheduled::waiting(conn)?;
    let undone = scheduled::undone(conn)?;
    let mut open: HashMap<CredentialId, Open> = HashMap::new();
    for change in change::open(conn)? {
        open.insert(change.credential, open_change(keywheel, conn, &change)?);
    }
    let mut statement = conn.prepare_cached(
        "SELECT id, name, automatic_change, policy FROM credential
         WHERE removed_at IS NULL AND ready = 1 AND enabled = 1 AND kind = 'ssh-key'",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let mut found = Vec::new();
    for row in rows {
        let (id, name, automatic, policy): (CredentialId, String, bool, PolicyId) = row?;
        // Only an emergency changes a compromised key.
        if current.get(&id).is_none_or(|current| current.compromised) {
            continue;
        }
        let automatic = facts.remove(&id).zip(policies.get(&policy)).filter(|_| automatic);
        found.push(Candidate {
            credential: id,
            name,
            automatic: automatic.map(|(facts, policy)| Automatic {
                policy: policy.clone(),
                facts,
                undone: undone.get(&id).copied(),
            }),
            request: requests.get(&id).map(|(change, at)| Request { change: *change, at: *at }),
            open: open.remove(&id),
        });
    }
    Ok(found)
}

fn open_change(keywheel: &Keywheel, conn: &Connection, change: &journal::Change) -> Result<Open, Error> {
    let state = keywheel.state_now(change, &change.snapshot.credential)?;
    if state == ChangeState::Running {
        return Ok(Open::Running);
    }
    let id: ChangeId = change.id;
    Ok(Open::Left(Left {
        change: id,
        // Nothing but a key change goes on by a policy.
        state: if change.kind == Kind::Rotate { state } else { ChangeState::Cancelled },
        automatic: change.reason.is_automatic(),
        died: change.state == ChangeState::Running,
        stopped: change.stopped,
        only_forward: change.no_return.is_some() || change.strategy == Strategy::Emergency,
        begun: change.epoch,
        last: change::last_noted(conn, id)?.unwrap_or(change.started),
    }))
}
