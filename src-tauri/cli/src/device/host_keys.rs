//! `keywheel device scan` and `keywheel device trust`.

use keywheel_core::Keywheel;
use keywheel_core::catalogue::Device;
use keywheel_core::device::{HostKeyState, OfferedKey, OfferedKeyView, Pinned};
use keywheel_core::key::Fingerprint;

use crate::error::{Ending, Failure, ShellError};
use crate::prompt;
use crate::shell::Shell;

/// Shows what devices offer. One that can't be reached doesn't keep the others from being shown.
pub(super) async fn scan(shell: &Shell, keywheel: &Keywheel, names: &[String]) -> Result<Ending, Failure> {
    let devices = found(keywheel, names).await?;
    each(shell, devices, async |device: &Device| {
        let offered = keywheel.scan_device(device.id, None).await?;
        show(shell, device, &offered);
        Ok(())
    })
    .await
}

/// Pins what devices offer.
pub(super) async fn trust(
    shell: &Shell,
    keywheel: &Keywheel,
    names: &[String],
    fingerprint: Option<Fingerprint>,
) -> Result<Ending, Failure> {
    if fingerprint.is_some() && names.len() > 1 {
        return Err(ShellError::Usage {
            message: "One fingerprint is given for several devices.".to_owned(),
            hint: "Give --fingerprint with one device.",
        }
        .into());
    }
    let devices = found(keywheel, names).await?;
    each(shell, devices, async |device: &Device| {
        let offered = keywheel.scan_device(device.id, None).await?;
        show(shell, device, &offered);
        let (chosen, pinned) = choose(shell, device, offered, fingerprint.as_ref())?;
        if chosen.is_empty() {
            shell.output().message(&format!("The host keys of \"{}\" are pinned already.", device.name));
            return Ok(());
        }
        let count = chosen.len();
        let keys = chosen.into_iter().map(|offered| offered.key).collect();
        keywheel.pin_host_keys(device.id, keys, pinned).await?;
        let what = if count == 1 { "1 host key".to_owned() } else { format!("{count} host keys") };
        shell.output().message(&format!("{what} of \"{}\" pinned.", device.name));
        Ok(())
    })
    .await
}

/// What is to be pinned: the named key, or all new ones after a question. A changed key has to be named.
fn choose(
    shell: &Shell,
    device: &Device,
    offered: Vec<OfferedKey>,
    fingerprint: Option<&Fingerprint>,
) -> Result<(Vec<OfferedKey>, Pinned), Failure> {
    if let Some(fingerprint) = fingerprint {
        let named = offered.into_iter().find(|offered| offered.key.fingerprint() == *fingerprint);
        let named = named
            .ok_or_else(|| ShellError::NotOffered { device: device.name.clone(), fingerprint: fingerprint.clone() })?;
        let chosen = if named.state == HostKeyState::Pinned { Vec::new() } else { vec![named] };
        return Ok((chosen, Pinned::Replace));
    }
    if let Some(changed) = offered.iter().find(|offered| offered.state == HostKeyState::Changed) {
        return Err(ShellError::HostKeyChanged {
            device: device.name.clone(),
            offered: changed.key.fingerprint(),
            pinned: changed.instead_of.clone(),
        }
        .into());
    }
    let new: Vec<OfferedKey> = offered.into_iter().filter(|offered| offered.state == HostKeyState::New).collect();
    if !new.is_empty() {
        let keys: Vec<String> =
            new.iter().map(|offered| format!("{} {}", offered.key.key_type(), offered.key.fingerprint())).collect();
        prompt::confirm(shell, &format!("Pin for \"{}\": {}?", device.name, keys.join(", ")))?;
    }
    Ok((new, Pinned::Keep))
}

async fn found(keywheel: &Keywheel, names: &[String]) -> Result<Vec<Device>, Failure> {
    let mut devices: Vec<Device> = Vec::new();
    for name in names {
        let device = keywheel.find_device(name).await?;
        if !devices.iter().any(|known| known.id == device.id) {
            devices.push(device);
        }
    }
    Ok(devices)
}

/// Does something with each device; all failures are told, and the first is the command's.
async fn each(
    shell: &Shell,
    devices: Vec<Device>,
    work: impl AsyncFn(&Device) -> Result<(), Failure>,
) -> Result<Ending, Failure> {
    let mut first = None;
    for device in &devices {
        if let Err(failure) = work(device).await {
            match first {
                None => first = Some(failure),
                Some(_) => shell.tell(failure.explain()),
            }
        }
    }
    first.map_or(Ok(Ending::Done), Err)
}

fn show(shell: &Shell, device: &Device, offered: &[OfferedKey]) {
    for offered in offered {
        shell.output().item(&offered.view(device), text);
    }
}

fn text(offered: &OfferedKeyView) -> String {
    let state = match offered.state {
        HostKeyState::New => "new".to_owned(),
        HostKeyState::Pinned => "pinned".to_owned(),
        HostKeyState::Changed => {
            let pinned: Vec<String> = offered.instead_of.iter().map(Fingerprint::to_string).collect();
            format!("CHANGED, pinned is {}", pinned.join(", "))
        }
    };
    format!("{} {} {} ({state})\n{}", offered.device, offered.algorithm, offered.fingerprint, offered.randomart)
}
