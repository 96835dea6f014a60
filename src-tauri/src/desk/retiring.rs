//! Retired keys go by themselves while the window is open.

use std::sync::Arc;
use std::time::Duration;

use keywheel_core::{Error, Keywheel};

use super::{Desk, Notice};

/// How long a key may be overdue, where nothing tells that something is due earlier: devices that hold a key up are asked as
/// seldom as this.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// After this time a keyring that was locked is looked at again.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Destroys what is due, from now on until the program ends: at once, whenever something falls due, and once a day.
pub(crate) async fn retire(desk: Arc<Desk>) {
    let mut ended = desk.running.count();
    loop {
        // While a change runs, its devices are busy enough.
        if ended.wait_for(|running| *running == 0).await.is_err() {
            return;
        }
        let pause = match desk.keywheel() {
            Ok(keywheel) => retire_now(&desk, &keywheel).await.unwrap_or_else(|error| {
                tracing::info!(%error, "retired keys stay for now");
                HOUR
            }),
            Err(_) => HOUR,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // A change that ends may leave something to fall due soon.
            _ = ended.changed() => {}
        }
    }
}

/// Destroys what is due now; answers how long there is nothing more to do.
async fn retire_now(desk: &Desk, keywheel: &Keywheel) -> Result<Duration, Error> {
    if !keywheel.destroy_all_due().await?.is_empty() {
        desk.notices.tell(Notice::Catalogue);
    }
    let Some(next) = keywheel.next_to_go().await? else { return Ok(DAY) };
    let left = Duration::try_from(next.duration_since(keywheel.now())).unwrap_or(Duration::ZERO);
    // A moment later, so that it is due when it is looked at.
    Ok((left + Duration::from_secs(1)).min(DAY))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Table;
    use super::*;

    #[tokio::test]
    async fn a_keyring_that_is_locked_is_no_end_of_it() {
        let table = Table::laid();
        let web = table.device("web-1").await;
        table.credential("deploy", web).await;
        assert_eq!(retire_now(&table.desk, &table.keywheel()).await.unwrap(), DAY, "nothing is retired");
        table.vault.set_fault(Some(keywheel_core::vault::Fault::Locked));
        assert!(retire_now(&table.desk, &table.keywheel()).await.is_err(), "it would be taken for done");
    }
}
