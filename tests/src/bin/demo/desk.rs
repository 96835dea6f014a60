//! The five devices and the keyring for a command of the user's own: `demo -- COMMAND…`.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitStatus;

use keywheel_core::key::{Algorithm, PrivateKey};
use keywheel_fleet::Trouble;
use keywheel_fleet::keyring::PrivateKeyring;

use crate::devices;

/// The key that stands on the devices, as an administrator has it before Keywheel.
const KEY: &str = "id_deploy";
/// For `keywheel device import`.
const LIST: &str = "devices.csv";

/// Runs a command where `keywheel` has a data directory, a keyring and five devices of its own, and waits for its end.
pub(crate) async fn run(folder: &Path, command: &[OsString]) -> Result<ExitStatus, Trouble> {
    let (program, arguments) = command.split_first().ok_or("usage: demo [-- COMMAND…]")?;
    let place = folder.to_owned();
    let keyring = tokio::task::spawn_blocking(move || PrivateKeyring::start(&place)).await??;
    let devices = devices::start(folder).await?;
    let key = PrivateKey::generate(Algorithm::Ed25519, "deploy")?;
    let mut list = String::from("name,address,port\n");
    for device in &devices {
        device.put_key(key.public_key())?;
        list += &format!("{},127.0.0.1,{}\n", device.name, device.server.port());
    }
    let desk = folder.join("desk");
    fs::create_dir(&desk)?;
    fs::write(desk.join(LIST), list)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(desk.join(KEY))?;
    file.write_all(key.write_openssh(None)?.as_bytes())?;

    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .current_dir(&desk)
        .envs(keyring.environment())
        .env("KEYWHEEL_DATA_DIR", folder.join("data"));
    // The built `keywheel` lies beside this program.
    let own = std::env::current_exe()?;
    let beside = own.parent().map(Path::to_owned).into_iter();
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env("PATH", std::env::join_paths(beside.chain(std::env::split_paths(&path)))?);
    Ok(command.kill_on_drop(true).spawn()?.wait().await?)
}
