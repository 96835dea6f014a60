//! Changes: begun, gone on with, stopped, listed and shown.

use std::sync::Arc;

use keywheel_core::Keywheel;
use keywheel_core::after_change::ProgramRun;
use keywheel_core::catalogue::{CredentialId, DeviceId};
use keywheel_core::clock::Timestamp;
use keywheel_core::error::Report;
use keywheel_core::journal::{ChangeId, Kind};
use keywheel_core::key::{Algorithm, Fingerprint};
use keywheel_core::rotation::accepts::Accepts;
use keywheel_core::rotation::changes::{ChangeDetails, ChangeView, DeviceRecordView, Step};
use keywheel_core::rotation::event::Event;
use keywheel_core::rotation::operations::ConnectWith;
use keywheel_core::rotation::{Install, OnFailure, Rotate, Strategy, Uninstall};
use serde::{Deserialize, Serialize};
use tauri::State;
use tauri::ipc::Channel;
use tokio::sync::mpsc::unbounded_channel;
use ts_rs::TS;

use crate::desk::Desk;
use crate::error::{Answer, DeskError, report};

/// A change, an installation or a removal to begin, or to look ahead at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TS)]
pub(crate) struct ChangeRequest {
    /// What it does; an undo is a step of the change that it takes back.
    pub(crate) kind: Kind,
    /// The credential.
    pub(crate) credential: CredentialId,
    /// What to connect with.
    pub(crate) connect_with: ConnectChoice,
    /// The new key's algorithm; none: as the current key's.
    pub(crate) algorithm: Option<Algorithm>,
    /// The strategy; none: two-phase.
    pub(crate) strategy: Option<Strategy>,
    /// What a failing device leads to; none: roll back.
    pub(crate) on_failure: Option<OnFailure>,
    /// How many devices' files may be written at once; none: one.
    pub(crate) at_once: Option<usize>,
    /// Devices that stay on the old key until the change is retried.
    pub(crate) leave_out: Vec<DeviceId>,
    /// The devices to take the key off; none: all.
    pub(crate) devices: Option<Vec<DeviceId>>,
    /// Options for the line of an installation, byte for byte.
    pub(crate) options: Option<String>,
}

/// What to connect with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ConnectChoice {
    /// As the credential says.
    AsStored,
    /// With the key itself.
    Itself,
    /// With another credential.
    Credential(CredentialId),
}

impl ConnectChoice {
    /// As the core takes it: by name.
    pub(super) async fn to_core(self, keywheel: &Keywheel) -> Answer<ConnectWith> {
        Ok(match self {
            Self::AsStored => ConnectWith::AsStored,
            Self::Itself => ConnectWith::Itself,
            Self::Credential(id) => ConnectWith::Credential(keywheel.credential(id).await.map_err(report)?.name),
        })
    }
}

/// All that the page of a change shows.
#[derive(Debug, Clone, PartialEq, Serialize, TS)]
pub(crate) struct ChangePage {
    /// What lists show of it.
    pub(crate) change: ChangeView,
    /// The fingerprint of the key to leave.
    pub(crate) old_fingerprint: Option<Fingerprint>,
    /// The fingerprint of the key to reach.
    pub(crate) new_fingerprint: Option<Fingerprint>,
    /// Each device, in the order of change.
    pub(crate) records: Vec<DeviceRecordView>,
    /// Why it ended as it did, where one cause is to be named.
    pub(crate) error: Option<Report>,
    /// What may be done with it now.
    pub(crate) possible: Vec<Step>,
    /// Until when it can be undone.
    pub(crate) undo_until: Option<String>,
    /// The file that holds the key that was left.
    pub(crate) imported_from: Option<String>,
    /// What came of the program after it.
    pub(crate) program: Option<ProgramRun>,
    /// Whether this process runs it.
    pub(crate) here: bool,
    /// What it has told in this process.
    pub(crate) events: Vec<Event>,
}

/// Begins a change; answers its ID as soon as it is begun.
#[tauri::command]
pub(crate) async fn begin_change(desk: State<'_, Arc<Desk>>, request: ChangeRequest) -> Answer<ChangeId> {
    let keywheel = desk.keywheel()?;
    let credential = keywheel.credential(request.credential).await.map_err(report)?.name;
    let connect_with = request.connect_with.to_core(&keywheel).await?;
    match request.kind {
        Kind::Rotate => {
            let rotate = rotate_of(request, credential, connect_with);
            desk.running.begin(|watch| async move { keywheel.rotate(&rotate, watch).await }).await
        }
        Kind::Install => {
            let ConnectWith::Credential(auth_with) = connect_with else {
                let what = "The credential to connect with";
                return Err(report(DeskError::Missing { what, field: "auth_with" }));
            };
            let install = Install { credential, auth_with, options: request.options };
            desk.running.begin(|watch| async move { keywheel.install(&install, watch).await }).await
        }
        Kind::Uninstall => {
            // To the core no device means all of them; an empty choice is no such wish.
            if request.devices.as_ref().is_some_and(Vec::is_empty) {
                return Err(report(DeskError::Missing { what: "A device to take the key off", field: "devices" }));
            }
            let devices = request.devices.unwrap_or_default().iter().map(DeviceId::to_string).collect();
            let uninstall = Uninstall { credential, devices };
            desk.running.begin(|watch| async move { keywheel.uninstall(&uninstall, watch).await }).await
        }
        Kind::Undo => Err(report(DeskError::DraftUnfit)),
    }
}

/// Asks for a key change at a time; answers the ID of the change that waits for it.
#[tauri::command]
pub(crate) async fn request_change(
    desk: State<'_, Arc<Desk>>,
    request: ChangeRequest,
    at: Timestamp,
) -> Answer<ChangeId> {
    let keywheel = desk.keywheel()?;
    if request.kind != Kind::Rotate {
        return Err(report(DeskError::DraftUnfit));
    }
    let credential = keywheel.credential(request.credential).await.map_err(report)?.name;
    let connect_with = request.connect_with.to_core(&keywheel).await?;
    desk.changed(keywheel.request_change(rotate_of(request, credential, connect_with), at).await)
}

fn rotate_of(request: ChangeRequest, credential: String, connect_with: ConnectWith) -> Rotate {
    Rotate {
        credential,
        connect_with,
        algorithm: request.algorithm,
        strategy: request.strategy,
        on_failure: request.on_failure,
        at_once: request.at_once,
        leave_out: request.leave_out,
    }
}

/// Goes on with a change, or takes one back that waits; answers the ID of the change that now runs.
#[tauri::command]
pub(crate) async fn step_change(desk: State<'_, Arc<Desk>>, id: ChangeId, step: Step) -> Answer<ChangeId> {
    let keywheel = desk.keywheel()?;
    if step == Step::Cancel {
        desk.changed(keywheel.cancel_scheduled(id).await)?;
        return Ok(id);
    }
    desk.running
        .begin(|watch| async move {
            match step {
                // A change that is taken back has begun nothing, and was answered above.
                Step::Run | Step::Cancel => keywheel.run_scheduled(id, watch).await,
                Step::Resume => keywheel.resume(id, watch).await,
                Step::Retry => keywheel.retry(id, watch).await,
                Step::RollBack => keywheel.roll_back(id, watch).await,
                Step::Undo => keywheel.undo(id, watch).await,
            }
        })
        .await
}

/// Finishes the device in hand and leaves the change interrupted.
#[tauri::command]
pub(crate) async fn stop_change(desk: State<'_, Arc<Desk>>, id: ChangeId) -> Answer<()> {
    desk.running.stop(id).map_err(report)
}

/// Asks each device of a change which key versions it accepts now, and tells each answer as it comes.
#[tauri::command]
pub(crate) async fn change_accepts(desk: State<'_, Arc<Desk>>, id: ChangeId, answers: Channel<Accepts>) -> Answer<()> {
    let (keywheel, stop) = (desk.keywheel()?, desk.checks.begin());
    let (answered, mut answer) = unbounded_channel();
    let asking = tokio::spawn(async move { keywheel.ask_change(id, answered, stop).await });
    // It ends when everybody is asked and the sender is let go.
    while let Some(answer) = answer.recv().await {
        if answers.send(answer).is_err() {
            desk.checks.stop();
        }
    }
    match asking.await {
        Ok(done) => done.map_err(report),
        Err(_) => Err(report(DeskError::Broken)),
    }
}

/// Lists the changes, newest first.
#[tauri::command]
pub(crate) async fn changes(desk: State<'_, Arc<Desk>>) -> Answer<Vec<ChangeView>> {
    desk.keywheel()?.change_views().await.map_err(report)
}

/// Shows a change.
#[tauri::command]
pub(crate) async fn change(desk: State<'_, Arc<Desk>>, id: ChangeId) -> Answer<ChangePage> {
    // Asked before the journal: a change that ends in between is then shown as running, and a notice follows.
    let (here, events) = (desk.running.runs(id), desk.running.events(id));
    let details = desk.keywheel()?.change_details(id).await.map_err(report)?;
    let ChangeDetails {
        change,
        old_fingerprint,
        new_fingerprint,
        records,
        error,
        possible,
        undo_until,
        imported_from,
        program,
        ..
    } = details;
    Ok(ChangePage {
        change,
        old_fingerprint,
        new_fingerprint,
        records,
        error,
        possible,
        undo_until,
        imported_from,
        program,
        here,
        events,
    })
}
