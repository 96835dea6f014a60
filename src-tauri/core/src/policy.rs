//! What can be done with policies.

mod error;
mod fields;

use rusqlite::{Connection, Transaction};
use serde::Serialize;
use serde_json::json;

pub use self::error::{Number, PolicyError};
pub use self::fields::{EditPolicy, NewPolicy};
use crate::audit::Action;
use crate::catalogue::policy::{self, Policy, STANDARD};
use crate::catalogue::{CatalogueError, PolicyId};
use crate::error::Error;
use crate::keywheel::Keywheel;
use crate::schedule::{self, Simulation};

/// How many days "Simulate" draws.
pub const SIMULATED_DAYS: u16 = 90;

/// A policy as shells show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct PolicyView {
    /// The number.
    pub id: PolicyId,
    /// Its fields.
    #[serde(flatten)]
    pub fields: NewPolicy,
    /// How many keys have it.
    pub credentials: u32,
    /// Whether it is the one that credentials get where none is named.
    pub standard: bool,
}

impl Keywheel {
    /// Lists the policies by name.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn policies(&self) -> Result<Vec<Policy>, Error> {
        self.read(policy::all).await
    }

    /// Finds a policy by name.
    ///
    /// # Errors
    /// There is none; the database's own failure.
    pub async fn find_policy(&self, name: &str) -> Result<Policy, Error> {
        let name = name.to_owned();
        self.read(move |conn| policy::by_name(conn, &name)).await
    }

    /// Lists the policies by name, as shells show them.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn policy_views(&self) -> Result<Vec<PolicyView>, Error> {
        self.read(|conn| {
            let keys = policy::keys_of_each(conn)?;
            let view = |policy: &Policy| view(policy, keys.get(&policy.id).copied().unwrap_or_default());
            Ok(policy::all(conn)?.iter().map(view).collect())
        })
        .await
    }

    /// Shows a policy.
    ///
    /// # Errors
    /// There is none of that name; the database's own failure.
    pub async fn policy_view(&self, name: &str) -> Result<PolicyView, Error> {
        let name = name.to_owned();
        self.read(move |conn| shown(conn, &policy::by_name(conn, &name)?)).await
    }

    /// Saves a whole form: a new policy, or all fields of one that is known.
    ///
    /// # Errors
    /// As [`Keywheel::add_policy`] and [`Keywheel::edit_policy`].
    pub async fn save_policy(&self, id: Option<PolicyId>, form: NewPolicy) -> Result<PolicyView, Error> {
        match id {
            None => self.add_policy(form).await,
            Some(id) => self.change_policy(id, move |_| form).await,
        }
    }

    /// Adds a policy.
    ///
    /// # Errors
    /// A field can't be what it is, or the name is taken.
    pub async fn add_policy(&self, new: NewPolicy) -> Result<PolicyView, Error> {
        let now = self.now();
        self.change(Action::new("policy-add", "policy", new.name.trim()), move |tx, action| {
            let id = policy::insert(tx, &new.checked(PolicyId(0), now)?)?;
            let added = policy::by_id(tx, id)?;
            action.detail = facts(&added);
            Ok(view(&added, 0))
        })
        .await
    }

    /// Changes a policy's fields.
    ///
    /// # Errors
    /// As [`Keywheel::add_policy`]; there is no such policy; "Standard" was to be renamed.
    pub async fn edit_policy(&self, id: PolicyId, edit: EditPolicy) -> Result<PolicyView, Error> {
        self.change_policy(id, move |before| NewPolicy::from(before).with(edit)).await
    }

    async fn change_policy(
        &self,
        id: PolicyId,
        change: impl FnOnce(&Policy) -> NewPolicy + Send + 'static,
    ) -> Result<PolicyView, Error> {
        self.change(Action::unnamed("policy-edit", "policy"), move |tx, action| {
            let before = named(tx, id, action)?;
            let after = change(&before).checked(id, before.created)?;
            fields::keeps_name(&before.name, &after.name)?;
            action.differs(&facts(&before), &facts(&after));
            policy::update(tx, &after)?;
            Ok(shown(tx, &after)?)
        })
        .await
    }

    /// Removes a policy.
    ///
    /// # Errors
    /// Credentials have it; it is "Standard"; there is no such policy.
    pub async fn remove_policy(&self, id: PolicyId) -> Result<(), Error> {
        let now = self.now();
        self.change(Action::unnamed("policy-remove", "policy"), move |tx, action| {
            let policy = named(tx, id, action)?;
            if policy.name == STANDARD {
                return Err(PolicyError::Standard { field: None }.into());
            }
            let credentials = policy::used_by(tx, id)?;
            if !credentials.is_empty() {
                return Err(PolicyError::Used { policy: policy.name, credentials }.into());
            }
            policy::remove(tx, id, now)?;
            Ok(())
        })
        .await
    }

    /// Says what a policy with these fields, saved or not, does in the next [`SIMULATED_DAYS`] days.
    ///
    /// # Errors
    /// A field can't be what it is; the name is not looked at.
    pub fn simulate_policy(&self, form: &NewPolicy) -> Result<Simulation, Error> {
        let now = self.now();
        let policy = form.rules(PolicyId(0), now)?;
        Ok(schedule::simulate(&policy, &self.clock().zone(), now, SIMULATED_DAYS))
    }
}

fn view(policy: &Policy, credentials: u32) -> PolicyView {
    PolicyView { id: policy.id, fields: policy.into(), credentials, standard: policy.name == STANDARD }
}

fn shown(conn: &Connection, policy: &Policy) -> Result<PolicyView, CatalogueError> {
    Ok(view(policy, policy::keys_of_each(conn)?.get(&policy.id).copied().unwrap_or_default()))
}

fn facts(policy: &Policy) -> serde_json::Value {
    json!(NewPolicy::from(policy))
}

fn named(tx: &Transaction<'_>, id: PolicyId, action: &mut Action) -> Result<Policy, Error> {
    action.subject = Some(id.to_string());
    let policy = policy::by_id(tx, id)?;
    action.subject = Some(policy.name.clone());
    Ok(policy)
}

#[cfg(test)]
mod tests;
