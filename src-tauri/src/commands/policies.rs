//! Policies.

use std::sync::Arc;

use keywheel_core::catalogue::{CredentialId, PolicyId};
use keywheel_core::credential::Coming;
use keywheel_core::policy::{NewPolicy, PolicyView};
use keywheel_core::schedule::Simulation;
use tauri::State;

use crate::desk::Desk;
use crate::error::{Answer, report};

/// Lists the policies.
#[tauri::command]
pub(crate) async fn policies(desk: State<'_, Arc<Desk>>) -> Answer<Vec<PolicyView>> {
    desk.keywheel()?.policy_views().await.map_err(report)
}

/// Adds a policy, or gives one these fields.
#[tauri::command]
pub(crate) async fn save_policy(
    desk: State<'_, Arc<Desk>>,
    id: Option<PolicyId>,
    form: NewPolicy,
) -> Answer<PolicyView> {
    desk.changed(desk.keywheel()?.save_policy(id, form).await)
}

/// Removes a policy that no credential has.
#[tauri::command]
pub(crate) async fn remove_policy(desk: State<'_, Arc<Desk>>, id: PolicyId) -> Answer<()> {
    desk.changed(desk.keywheel()?.remove_policy(id).await)
}

/// Says what a policy with these fields would do in the coming days.
#[tauri::command]
pub(crate) async fn simulate_policy(desk: State<'_, Arc<Desk>>, form: NewPolicy) -> Answer<Simulation> {
    desk.keywheel()?.simulate_policy(&form).map_err(report)
}

/// Says when a credential would change by itself under the policy that its form names.
#[tauri::command]
pub(crate) async fn coming_change(
    desk: State<'_, Arc<Desk>>,
    policy: PolicyId,
    credential: Option<CredentialId>,
) -> Answer<Coming> {
    desk.keywheel()?.coming_change(policy, credential).await.map_err(report)
}
