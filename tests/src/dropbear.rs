//! Devices with a real dropbear, the server of small systems.

use std::ops::Deref;
use std::process::Command;

use crate::account::Account;
use crate::client::Target;
use crate::error::FleetError;
use crate::files;
use crate::host::Host;
use crate::port;

/// A device with a dropbear of its own; it ends when this is dropped.
#[derive(Debug)]
pub struct Dropbear {
    host: Host,
    host_key: String,
}

impl Dropbear {
    /// Starts a device with these accounts; without any there is `kwtest`.
    ///
    /// # Errors
    ///
    /// [`FleetError::Unavailable`] if the machine can't do it; others if it should and doesn't.
    pub fn start(accounts: &[Account]) -> Result<Self, FleetError> {
        let program = files::program("dropbear")?;
        let keygen = files::program("dropbearkey")?;
        let mut taken = 0;
        loop {
            let port = port::free()?;
            let dir = files::scratch()?;
            let mut command = Command::new(&keygen);
            command.args(["-t", "ed25519", "-f"]).arg(dir.path().join("host_key"));
            let made = String::from_utf8_lossy(&files::run(&mut command, b"")?).into_owned();
            let host_key = made.lines().find(|line| line.starts_with("ssh-ed25519 ")).unwrap_or_default().to_owned();
            let accounts = if accounts.is_empty() { vec![Account::new("kwtest")] } else { accounts.to_vec() };
            let serve = format!(
                "{} -F -E -p 127.0.0.1:{port} -r /run/keywheel/host_key -P /run/keywheel/dropbear.pid",
                program.display()
            );
            let device = Self { host: Host::prepare(dir, accounts, port, "", &serve)?, host_key };
            match device.restart() {
                Ok(()) => return Ok(device),
                Err(FleetError::PortTaken { .. }) if taken < 10 => taken += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The host's public key.
    pub fn host_key_public(&self) -> &str {
        &self.host_key
    }

    /// What dropbear has said so far.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be read.
    pub fn log(&self) -> Result<String, FleetError> {
        files::read_text(&self.host.dir().join("server.out"))
    }

    /// Ends every process of the device and its connections; files and port stay.
    ///
    /// # Errors
    ///
    /// Fails if the namespace has ended.
    pub fn stop(&self) -> Result<(), FleetError> {
        self.host.namespace().end_all()
    }

    /// Starts dropbear after [`Self::stop`].
    ///
    /// # Errors
    ///
    /// Fails if it doesn't listen in time.
    pub fn restart(&self) -> Result<(), FleetError> {
        // Dropbear says that it stays in the foreground once it listens.
        self.host.serve("dropbear", "server.out", "Not backgrounding", &["Failed listening", "Address already in use"])
    }

    /// What an SSH client has to be told to log in to the first account.
    pub fn target(&self) -> Target {
        self.host.target_for(self.account(), vec![self.host_key.clone()])
    }
}

impl Deref for Dropbear {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}
