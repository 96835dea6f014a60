//! The window on a vault of its own, with the five devices checked and ready for a key change: `demo --window`.

use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;

use keywheel_core::Keywheel;
use keywheel_core::audit::Actor;
use keywheel_core::clock::SystemClock;
use keywheel_core::rotation::ConnectWith;
use keywheel_core::vault::OsKeyring;
use keywheel_fleet::Trouble;
use keywheel_fleet::keyring::PrivateKeyring;

use crate::screen::Screen;
use crate::{devices, show};

/// Opens the window and waits until it is closed. What runs ends with this future.
pub(crate) async fn run(folder: &Path, screen: &mut Screen) -> Result<ExitStatus, Trouble> {
    let own = std::env::current_exe()?;
    let program = own.with_file_name("keywheel-desktop");
    if !program.is_file() {
        return Err(format!("{} is not built; run `make demo`", program.display()).into());
    }
    let place = folder.to_owned();
    let keyring = tokio::task::spawn_blocking(move || PrivateKeyring::start(&place)).await??;
    let data_dir = folder.join("data");
    let devices = devices::start(folder).await?;
    {
        let vault = Arc::new(OsKeyring::open_at(&keyring.address()));
        let keywheel = Keywheel::open(&data_dir, vault, Arc::new(SystemClock), Actor::named("demo"))?;
        show::set_up(&keywheel, &devices).await?;
        keywheel.check(show::CREDENTIAL, &ConnectWith::AsStored).await?;
    }
    screen.line("Keywheel opens on a vault that is thrown away at the end, with five SSH servers on 127.0.0.1.")?;
    screen.line(&format!("All of it lies in {}", folder.display()))?;
    screen.line("Overview leads to \"Change key now\". Close the window, or press Ctrl+C here, to end the demo.")?;
    let mut command = tokio::process::Command::new(program);
    command.arg("--data-dir").arg(&data_dir).envs(keyring.environment());
    Ok(command.kill_on_drop(true).spawn()?.wait().await?)
}
