//! When credentials change by themselves next, read for all of them in few queries.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::Connection;
use serde::Serialize;

use crate::catalogue::credential::{self, Credential, Kind};
use crate::catalogue::{CatalogueError, CredentialId, Policy, PolicyId, policy};
use crate::error::Error;
use crate::keywheel::Keywheel;
use crate::schedule::candidates::key_facts;
use crate::schedule::{KeyFacts, NextChange, Standing, next_change, standing};

/// A credential's next change, and how its key stands towards its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct Coming {
    /// The change.
    #[serde(flatten)]
    pub next: NextChange,
    /// How the key stands now.
    pub standing: Standing,
}

/// What the next changes of credentials are computed from.
#[derive(Debug)]
pub(crate) struct Upcoming {
    policies: HashMap<PolicyId, Policy>,
    facts: HashMap<CredentialId, KeyFacts>,
    zone: TimeZone,
    now: Timestamp,
}

impl Upcoming {
    /// Reads what is needed for one credential, or for all.
    pub(crate) fn read(
        keywheel: &Keywheel,
        conn: &Connection,
        only: Option<CredentialId>,
    ) -> Result<Self, CatalogueError> {
        Ok(Self {
            policies: policy::all(conn)?.into_iter().map(|policy| (policy.id, policy)).collect(),
            facts: key_facts(conn, only)?,
            zone: keywheel.clock().zone(),
            now: keywheel.now(),
        })
    }

    /// The policy of that number.
    pub(crate) fn policy(&self, id: PolicyId) -> Option<&Policy> {
        self.policies.get(&id)
    }

    /// The next change of a credential; none where it does not change by itself, or is disabled, or has no key yet.
    pub(crate) fn of(&self, credential: &Credential) -> Option<Coming> {
        let changes = credential.automatic_change && credential.enabled && credential.kind == Kind::SshKey;
        let facts = self.facts.get(&credential.id).filter(|_| changes)?;
        Some(self.under(self.policy(credential.policy)?, facts))
    }

    fn under(&self, policy: &Policy, facts: &KeyFacts) -> Coming {
        let next = next_change(policy, &self.zone, facts);
        Coming { standing: standing(&next, policy, self.now), next }
    }
}

impl Keywheel {
    /// Says when a credential would change by itself under a policy that its form names, saved or not. A credential that is
    /// not there yet has a key that is made now.
    ///
    /// # Errors
    /// There is no such policy or credential; the database's own failure.
    pub async fn coming_change(&self, policy: PolicyId, credential: Option<CredentialId>) -> Result<Coming, Error> {
        let this = self.clone();
        self.read(move |conn| {
            let policy = policy::by_id(conn, policy)?;
            let upcoming = Upcoming::read(&this, conn, credential)?;
            let facts = match credential {
                Some(id) => {
                    credential::by_id(conn, id)?;
                    upcoming.facts.get(&id).cloned()
                }
                None => None,
            };
            Ok(upcoming.under(&policy, &facts.unwrap_or_else(|| KeyFacts::made(upcoming.now))))
        })
        .await
    }
}
