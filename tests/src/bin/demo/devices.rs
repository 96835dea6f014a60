//! The five devices.

use std::path::Path;
use std::time::Duration;

use keywheel_core::Keywheel;
use keywheel_core::catalogue::DeviceId;
use keywheel_core::device::{NewDevice, Pinned};
use keywheel_core::key::{Algorithm, PrivateKey, PublicKey};
use keywheel_fleet::Trouble;
use keywheel_fleet::embedded::{Config, Embedded, Fault};

/// The account on all devices.
pub(crate) const ACCOUNT: &str = "deploy";
/// How long the slow device waits before each answer.
const SLOW: Duration = Duration::from_millis(80);

/// A device of the demo.
pub(crate) struct Device {
    pub(crate) name: &'static str,
    /// What is special about it.
    pub(crate) about: &'static str,
    pub(crate) server: Embedded,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Restricted,
    SftpOnly,
    Slow,
}

const DEVICES: [(&str, &str, Kind); 5] = [
    ("web-1", "the original device", Kind::Plain),
    ("web-2", "options on its line, and lines of others with from= and command=", Kind::Restricted),
    ("db-1", "an ordinary one", Kind::Plain),
    ("backup-1", "SFTP only: it runs no commands", Kind::SftpOnly),
    ("far-1", "slow: 80 ms before each answer", Kind::Slow),
];

/// Starts the devices, each with its home in this folder.
pub(crate) async fn start(folder: &Path) -> Result<Vec<Device>, Trouble> {
    let mut devices = Vec::new();
    for (name, about, kind) in DEVICES {
        let config =
            Config { account: ACCOUNT.to_owned(), home: Some(folder.join(name).join(ACCOUNT)), ..Config::default() };
        let server = Embedded::start(config).await?;
        match kind {
            Kind::SftpOnly => server.set_fault(Fault::SftpOnly),
            Kind::Slow => server.set_fault(Fault::Slow(SLOW)),
            Kind::Plain | Kind::Restricted => {}
        }
        devices.push(Device { name, about, server, kind });
    }
    Ok(devices)
}

impl Device {
    /// Adds the device to the catalogue with the host key that it really has.
    pub(crate) async fn add_to(&self, keywheel: &Keywheel) -> Result<DeviceId, Trouble> {
        let new = NewDevice { port: self.server.port().into(), ..NewDevice::new(self.name, "127.0.0.1") };
        let device = keywheel.add_device(new).await?;
        let key = PublicKey::from_openssh(&self.server.host_key_public()?)?;
        keywheel.pin_host_keys(device.id, vec![key], Pinned::Keep).await?;
        Ok(device.id)
    }

    /// Puts the key into the authorized_keys file, among lines that belong to others.
    pub(crate) fn put_key(&self, key: &PublicKey) -> Result<(), Trouble> {
        let line = key.to_openssh();
        let other = |comment: &str| -> Result<String, Trouble> {
            Ok(PrivateKey::generate(Algorithm::Ed25519, comment)?.public_key().to_openssh())
        };
        let text = match self.kind {
            Kind::Plain | Kind::SftpOnly => format!("{}\n{line}\n", other("ana@desk")?),
            Kind::Restricted => format!(
                "# operations; ask Ana before you change anything here\n\
                 from=\"10.0.0.0/8\" {}\n\
                 from=\"127.0.0.0/8\",no-agent-forwarding {line}\n\
                 command=\"/usr/bin/uptime\",no-pty {}\n\
                 \n\
                 # leaves in March\n\
                 {}\n",
                other("ana@desk")?,
                other("monitoring")?,
                other("ben@desk")?
            ),
            // The last line has no end, which is as much the owner's as any other byte.
            Kind::Slow => format!("{line}\n{}", other("ana@desk")?),
        };
        Ok(self.server.write_authorized_keys(text.as_bytes())?)
    }
}
