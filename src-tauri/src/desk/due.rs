//! What is due begins by itself while Keywheel runs, with a window in sight or without.

use std::sync::Arc;
use std::time::Duration;

use keywheel_core::error::{Class, Explain};
use keywheel_core::schedule::due::Start;
use keywheel_core::{Error, Keywheel};
use tauri::{AppHandle, Manager, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{Desk, Notice};
use crate::tray;

/// Looks at the wall clock once in a period, until the program ends: a computer that has slept, a clock that was set and a
/// keyring that was unlocked are seen at the next look.
pub(crate) async fn start_due<R: Runtime>(app: AppHandle<R>, period: Duration) {
    let desk = Arc::clone(&app.state::<Arc<Desk>>());
    loop {
        let before = desk.preferences();
        // A pause ends with its day, and the command line may have set one.
        desk.read_preferences().await;
        if desk.preferences() != before {
            desk.notices.tell(Notice::Catalogue);
            tray::tell(&app);
        }
        if let Ok(keywheel) = desk.keywheel()
            && let Err(error) = look(&desk, &keywheel).await
        {
            tracing::warn!(%error, "what is due could not be looked up");
        }
        tokio::time::sleep(period).await;
    }
}

/// Starts what is due now; each goes on by itself, as if a person had begun it. Settles when all have begun, or could not.
async fn look(desk: &Arc<Desk>, keywheel: &Keywheel) -> Result<(), Error> {
    let due = keywheel.tick(&keywheel.clock().zone()).await?;
    desk.running.wait_for_keyring(due.waits_for_keyring());
    let mut beginning = JoinSet::new();
    for start in due.startable() {
        beginning.spawn(begin(Arc::clone(desk), keywheel.clone(), start.clone()));
    }
    while beginning.join_next().await.is_some() {}
    Ok(())
}

async fn begin(desk: Arc<Desk>, keywheel: Keywheel, start: Start) {
    let credential = start.credential.clone();
    let (tell_failed, failed) = oneshot::channel();
    let operation = |watch| async move {
        let done = keywheel.run_start(&start, &keywheel.clock().zone(), watch).await;
        if let Err(error) = &done {
            let _ = tell_failed.send(is_failure(error));
        }
        done
    };
    let begun = desk.running.begin(operation).await;
    if begun.is_err() {
        desk.running.not_begun(credential, failed.await.unwrap_or(true));
    }
}

/// Whether what kept a change from beginning is one of its own: another process that does it and a keyring that is locked are not.
fn is_failure(error: &Error) -> bool {
    let elsewhere = matches!(error.code(), "busy" | "no-longer-due" | "change-open" | "change-state");
    !elsewhere && error.class() != Class::Unusable
}

#[cfg(test)]
mod tests {
    use keywheel_core::rotation::Rotate;
    use keywheel_core::vault::Fault;

    use super::super::Happened;
    use super::super::testing::Table;
    use super::*;

    #[tokio::test]
    async fn what_is_due_waits_for_the_keyring_and_begins_by_itself_when_it_is_unlocked() {
        let mut table = Table::laid();
        let web = table.device("web-1").await;
        table.credential("deploy", web).await;
        let keywheel = table.keywheel();
        let request = Rotate { credential: "deploy".to_owned(), ..Rotate::default() };
        keywheel.request_change(request, keywheel.now() + Duration::from_secs(2)).await.unwrap();
        look(&table.desk, &keywheel).await.unwrap();
        assert!(table.happened.try_recv().is_err(), "it would begin before its time");
        table.vault.set_fault(Some(Fault::Locked));
        while !table.desk.running.waits_for_keyring() {
            look(&table.desk, &keywheel).await.unwrap();
        }
        look(&table.desk, &keywheel).await.unwrap();
        assert_eq!(table.happened.recv().await, Some(Happened::Waits));
        assert!(table.happened.try_recv().is_err(), "an attempt would be made, or the desktop told twice");
        table.vault.set_fault(None);
        look(&table.desk, &keywheel).await.unwrap();
        assert_eq!(table.happened.recv().await, Some(Happened::WaitsNoLonger));
        loop {
            // Nobody listens on the device's port, so it fails; what counts is that it was begun.
            if let Happened::Ended { credential, outcome } = table.happened.recv().await.unwrap() {
                assert_eq!(credential, "deploy");
                assert!(outcome.is_some());
                break;
            }
        }
        look(&table.desk, &keywheel).await.unwrap();
        assert!(!table.desk.running.any(), "it would be begun every minute");
    }
}
