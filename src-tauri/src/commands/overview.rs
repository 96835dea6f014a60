//! What Overview proposes, beside what its lists say.

use std::sync::Arc;

use keywheel_core::rotation::proposals::{HeldUp, OwnerGone};
use keywheel_core::schedule::missed::MissedPolicy;
use serde::Serialize;
use tauri::State;
use ts_rs::TS;

use crate::desk::Desk;
use crate::error::{Answer, report};

/// What a person may decide about changes that don't begin by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
pub(crate) struct Proposals {
    /// Whether something is due that waits for the keyring.
    pub(crate) waits_for_keyring: bool,
    /// Changes that only devices which can't be reached hold up.
    pub(crate) held_up: Vec<HeldUp>,
    /// People who are gone, with the credentials whose keys they may still hold.
    pub(crate) owners_gone: Vec<OwnerGone>,
    /// Policies whose windows pass without Keywheel running.
    pub(crate) missed: Vec<MissedPolicy>,
}

/// Lists what is proposed.
#[tauri::command]
pub(crate) async fn proposals(desk: State<'_, Arc<Desk>>) -> Answer<Proposals> {
    let keywheel = desk.keywheel()?;
    Ok(Proposals {
        waits_for_keyring: desk.running.waits_for_keyring(),
        held_up: keywheel.held_up().await.map_err(report)?,
        owners_gone: keywheel.owners_gone().await.map_err(report)?,
        missed: keywheel.missed_policies(&keywheel.clock().zone()).await.map_err(report)?,
    })
}
