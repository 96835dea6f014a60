//! Looking at the devices of a credential, as it is saved and as its form stands.

use std::sync::Arc;

use keywheel_core::catalogue::{CredentialId, DeviceId};
use keywheel_core::journal::Kind;
use keywheel_core::rotation::Finding;
use keywheel_core::rotation::operations::{self, FileDiff, Look, Purpose, Subject};
use serde::{Deserialize, Serialize};
use tauri::State;
use tauri::ipc::Channel;
use tokio::sync::mpsc::unbounded_channel;
use ts_rs::TS;

use super::changes::{ChangeRequest, ConnectChoice};
use super::credentials::{CredentialForm, FormSecret};
use crate::desk::{Desk, Notice};
use crate::error::{Answer, DeskError, report};

/// What was found on one device, and what would be written there.
#[derive(Debug, Clone, PartialEq, Serialize, TS)]
pub(crate) struct DeviceFinding {
    /// The device's number.
    pub(crate) device_id: DeviceId,
    /// What was found.
    pub(crate) finding: Finding,
    /// What would be written to each file.
    pub(crate) files: Vec<FileDiff>,
}

impl From<operations::DeviceFinding> for DeviceFinding {
    fn from(found: operations::DeviceFinding) -> Self {
        Self { device_id: found.device_id, finding: found.finding, files: found.diffs }
    }
}

/// A form that is to be checked before it is saved.
#[derive(Debug, Deserialize, TS)]
pub(crate) struct FormCheck {
    /// The credential that is edited; none: a new one.
    pub(crate) id: Option<CredentialId>,
    /// The form.
    pub(crate) form: CredentialForm,
}

/// Looks at the devices of a credential as a change would.
#[tauri::command]
pub(crate) async fn check_devices(
    desk: State<'_, Arc<Desk>>,
    request: ChangeRequest,
    only: Option<Vec<DeviceId>>,
    findings: Channel<DeviceFinding>,
) -> Answer<()> {
    let purpose = match request.kind {
        Kind::Rotate | Kind::Undo => Purpose::Rotate,
        Kind::Install => Purpose::Install,
        Kind::Uninstall => Purpose::Uninstall,
    };
    let look = Look {
        connect_with: request.connect_with.to_core(&desk.keywheel()?).await?,
        purpose,
        algorithm: request.algorithm,
        options: request.options,
        only: only.or(request.devices),
        ..Look::at(Subject::Saved(request.credential))
    };
    look_at(&desk, look, findings).await?;
    // What the devices answered stands in the credential's row.
    desk.notices.tell(Notice::Catalogue);
    Ok(())
}

/// Looks at the devices of a form as it stands; nothing is saved.
#[tauri::command]
pub(crate) async fn check_form(
    desk: State<'_, Arc<Desk>>,
    check: FormCheck,
    findings: Channel<DeviceFinding>,
) -> Answer<()> {
    let look = of_form(&desk, check).await?;
    look_at(&desk, look, findings).await
}

async fn of_form(desk: &Desk, check: FormCheck) -> Answer<Look> {
    let FormCheck { id, form } = check;
    let missing = |what, field| report(DeskError::Missing { what, field });
    let original_device = form.original_device.ok_or_else(|| missing("The original device", "original_device"))?;
    let key = match (form.secret, id) {
        (Some(FormSecret::Key(draft)), _) => operations::DraftKey::InMemory(desk.drafts().key(draft).map_err(report)?),
        (None, Some(id)) => operations::DraftKey::Of(id),
        (Some(FormSecret::Password(_)) | None, _) => return Err(missing("The key", "secret")),
    };
    let draft =
        operations::Draft { name: form.name, username: form.username, original_device, devices: form.devices, key };
    let connect_with = form.automatic.auth_with.map_or(ConnectChoice::Itself, ConnectChoice::Credential);
    let connect_with = connect_with.to_core(&desk.keywheel()?).await?;
    Ok(Look { connect_with, ..Look::at(Subject::Unsaved(draft)) })
}

async fn look_at(desk: &Desk, look: Look, findings: Channel<DeviceFinding>) -> Answer<()> {
    let keywheel = desk.keywheel()?;
    let stop = desk.checks.begin();
    let (found, mut finding) = unbounded_channel();
    let looking = tokio::spawn(async move { keywheel.look(&look, &found, stop).await });
    // It ends when the look has ended and let go of its sender.
    while let Some(found) = finding.recv().await {
        if findings.send(found.into()).is_err() {
            desk.checks.stop();
        }
    }
    match looking.await {
        Ok(done) => done.map_err(report),
        Err(_) => Err(report(DeskError::Broken)),
    }
}

/// Stops a check after the devices in hand.
#[tauri::command]
pub(crate) async fn stop_check(desk: State<'_, Arc<Desk>>) -> Answer<()> {
    desk.checks.stop();
    Ok(())
}
