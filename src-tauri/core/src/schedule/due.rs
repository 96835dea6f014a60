//! What is to be started now: pure, with the time as an argument.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{KeyFacts, NextChange, civil, later, may_begin, next_allowed, next_change};
use crate::catalogue::{AfterInterruption, CredentialId, Policy};
use crate::clock::as_rfc3339;
use crate::journal::{ChangeId, ChangeState};

/// How many changes run at once, whoever began them.
pub const AT_ONCE: usize = 4;

/// A credential that may be changed: its key is neither disabled nor compromised.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The credential.
    pub credential: CredentialId,
    /// Its name.
    pub name: String,
    /// What its policy says; none where it is changed only when a person asks for it.
    pub automatic: Option<Automatic>,
    /// The change that waits for its time.
    pub request: Option<Request>,
    /// The change that is not ended.
    pub open: Option<Open>,
}

/// What automatic changes of a credential go by.
#[derive(Debug, Clone, PartialEq)]
pub struct Automatic {
    /// The policy.
    pub policy: Policy,
    /// What is known of its key.
    pub facts: KeyFacts,
    /// When a person last went back to the key before.
    pub undone: Option<Timestamp>,
}

/// A change that waits for its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The change.
    pub change: ChangeId,
    /// Its time.
    pub at: Timestamp,
}

/// A change that is not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// A live process works on it.
    Running,
    /// Nobody does.
    Left(Left),
}

/// A change that is not ended, and that nobody works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The change.
    pub change: ChangeId,
    /// Whether it is partly changed rather than interrupted.
    pub state: ChangeState,
    /// Whether its policy began it.
    pub automatic: bool,
    /// Whether its process ended in the middle of it.
    pub died: bool,
    /// Whether it was asked to stop.
    pub stopped: bool,
    /// Whether only the way forward is left.
    pub only_forward: bool,
    /// How often it was begun or taken up.
    pub begun: u32,
    /// When something was last noted of a device.
    pub last: Timestamp,
}

/// A change to begin, or to go on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct Start {
    /// The credential.
    pub credential_id: CredentialId,
    /// Its name.
    pub credential: String,
    /// Since when it is due, in RFC 3339.
    #[serde(serialize_with = "as_rfc3339")]
    #[ts(type = "string")]
    pub due: Timestamp,
    /// What is to be done.
    #[serde(flatten)]
    pub what: What,
}

/// What is to be done with a credential that something is due of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[serde(tag = "start", rename_all = "kebab-case")]
#[ts(rename = "StartWhat")]
pub enum What {
    /// Go on with a change that was interrupted.
    Resume {
        /// The change.
        change: ChangeId,
    },
    /// Put everything back that an interrupted change has done.
    RollBack {
        /// The change.
        change: ChangeId,
    },
    /// Go on with the devices that did not get through.
    Retry {
        /// The change.
        change: ChangeId,
    },
    /// Begin a change whose time has come.
    Run {
        /// The change.
        change: ChangeId,
    },
    /// Change the key as its policy says.
    Rotate {
        /// Why, and when it is due.
        next: NextChange,
    },
}

/// Whether automatic changes are paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// They are.
    Yes,
    /// They are not.
    No,
}

/// Says what is to be started now, and in which order: first what devices hold two keys for, then what persons asked for,
/// by its time, then what policies ask for, by how long it is due; what is due equally long goes by name.
///
/// A credential is started once. One that is being changed already counts towards `at_most`. What a person asked for is
/// neither bound by a policy's window nor paused; what goes on ends outside of the window as it may.
pub fn choose(now: Timestamp, zone: &TimeZone, paused: Paused, at_most: usize, candidates: &[Candidate]) -> Vec<Start> {
    let running = candidates.iter().filter(|candidate| candidate.open == Some(Open::Running)).count();
    let mut starts: Vec<Start> = candidates.iter().filter_map(|candidate| candidate.start(now, zone, paused)).collect();
    starts.sort_by(|one, other| {
        let order = |start: &Start| (start.what.rank(), start.due);
        order(one).cmp(&order(other)).then_with(|| one.credential.cmp(&other.credential))
    });
    starts.truncate(at_most.saturating_sub(running));
    starts
}

/// Says when to look again, should nothing else happen: the first time after now at which something may begin.
pub fn next(now: Timestamp, zone: &TimeZone, paused: Paused, candidates: &[Candidate]) -> Option<Timestamp> {
    candidates.iter().filter_map(|candidate| candidate.next(now, zone, paused)).min()
}

impl What {
    fn rank(&self) -> u8 {
        match self {
            Self::Resume { .. } | Self::RollBack { .. } | Self::Retry { .. } => 0,
            Self::Run { .. } => 1,
            Self::Rotate { .. } => 2,
        }
    }
}

impl Candidate {
    fn start(&self, now: Timestamp, zone: &TimeZone, paused: Paused) -> Option<Start> {
        let start =
            |due, what| Some(Start { credential_id: self.credential, credential: self.name.clone(), due, what });
        let automatic = self.automatic.as_ref().filter(|_| paused == Paused::No);
        match &self.open {
            Some(Open::Running) => return None,
            Some(Open::Left(left)) => {
                let policy = &automatic?.policy;
                let at = left.goes_on_at(policy)?;
                // A time to come is one of a clock that was set back since.
                let reached = now >= at || now < left.last;
                return reached.then(|| left.how(policy)).and_then(|what| start(at, what));
            }
            None => {}
        }
        if let Some(request) = self.request.filter(|request| request.at <= now) {
            return start(request.at, What::Run { change: request.change });
        }
        let automatic = automatic?;
        let next = next_change(&automatic.policy, zone, &automatic.facts);
        let undone = automatic.undone.is_some_and(|undone| now < civil::next_day(zone, undone));
        let begins = may_begin(&next, &automatic.policy, zone, now) && !undone;
        if begins { start(next.at, What::Rotate { next }) } else { None }
    }

    fn next(&self, now: Timestamp, zone: &TimeZone, paused: Paused) -> Option<Timestamp> {
        let automatic = self.automatic.as_ref().filter(|_| paused == Paused::No);
        let request = self.request.map(|request| request.at);
        let own = match (&self.open, automatic) {
            (Some(Open::Left(left)), Some(automatic)) => {
                return left.goes_on_at(&automatic.policy).filter(|at| *at > now);
            }
            (Some(_), _) => return None,
            (None, None) => None,
            (None, Some(automatic)) => {
                let next = next_change(&automatic.policy, zone, &automatic.facts);
                let undone = automatic.undone.map_or(Timestamp::MIN, |undone| civil::next_day(zone, undone));
                Some(next_allowed(&automatic.policy, zone, next.at.max(undone).max(later(now, MOMENT))))
            }
        };
        own.into_iter().chain(request).filter(|at| *at > now).min()
    }
}

/// So much later is another time.
const MOMENT: SignedDuration = SignedDuration::from_millis(1);

impl Left {
    /// When it goes on by itself; none where it is left to a person.
    ///
    /// What a person asked for goes on only where it did not end at somebody's wish, and where devices kept it from getting
    /// through, that person decides. What a policy began is tried as often as the policy says.
    fn goes_on_at(&self, policy: &Policy) -> Option<Timestamp> {
        let interval = SignedDuration::from_mins(i64::from(policy.retry_minutes));
        match self.state {
            ChangeState::Interrupted if !self.automatic && self.stopped => None,
            ChangeState::Interrupted if self.begun > policy.retries.saturating_add(1) => None,
            ChangeState::Interrupted if self.died && self.begun <= 1 => Some(self.last),
            ChangeState::Interrupted => Some(later(self.last, interval)),
            ChangeState::PartlyChanged if self.automatic && self.begun <= policy.retries => {
                Some(later(self.last, interval))
            }
            _ => None,
        }
    }

    fn how(&self, policy: &Policy) -> What {
        let change = self.change;
        match (self.state, policy.after_interruption) {
            (ChangeState::PartlyChanged, _) => What::Retry { change },
            (_, AfterInterruption::RollBack) if !self.only_forward => What::RollBack { change },
            _ => What::Resume { change },
        }
    }
}

#[cfg(test)]
mod tests;
