//! Devices with a real OpenSSH `sshd`.

use std::fmt::Write as _;
use std::ops::Deref;
use std::path::Path;
use std::sync::Mutex;

use crate::account::Account;
use crate::client::{Client, Target};
use crate::error::FleetError;
use crate::files;
use crate::host::Host;
use crate::port;

const HOST_KEY_KINDS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

/// A device with an `sshd` of its own; it ends when this is dropped.
#[derive(Debug)]
pub struct Sshd {
    host: Host,
}

impl Sshd {
    /// Begins to describe a device.
    pub fn builder() -> SshdBuilder {
        SshdBuilder { accounts: Vec::new(), config: String::new(), strict_modes: StrictModes::Yes }
    }

    /// The host's public keys, as in their `.pub` files: ed25519, ecdsa, rsa.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be read.
    pub fn host_keys_public(&self) -> Result<Vec<String>, FleetError> {
        HOST_KEY_KINDS
            .iter()
            .map(|kind| Ok(files::read_text(&self.host.dir().join(format!("host_{kind}.pub")))?.trim().to_owned()))
            .collect()
    }

    /// The host's ed25519 public key.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be read.
    pub fn host_key_public(&self) -> Result<String, FleetError> {
        Ok(files::read_text(&self.host.dir().join("host_ed25519.pub"))?.trim().to_owned())
    }

    /// What sshd has written to its log so far, from every start of it.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be read.
    pub fn log(&self) -> Result<String, FleetError> {
        files::read_text(&self.host.dir().join("sshd.log"))
    }

    /// Ends every process of the device and its connections; its files stay, and so does its port.
    ///
    /// # Errors
    ///
    /// Fails if the namespace has ended.
    pub fn stop(&self) -> Result<(), FleetError> {
        self.host.namespace().end_all()
    }

    /// Starts sshd after [`Self::stop`].
    ///
    /// # Errors
    ///
    /// Fails if it doesn't listen in time.
    pub fn start(&self) -> Result<(), FleetError> {
        self.host.serve("sshd", "sshd.log", "Server listening on", &["Address already in use"])
    }

    /// Restarts the listening sshd, as after a change of its configuration; open sessions stay open.
    ///
    /// # Errors
    ///
    /// Fails if it doesn't listen in time.
    pub fn restart(&self) -> Result<(), FleetError> {
        self.host.namespace().end_server()?;
        self.start()
    }

    /// Gives the host new keys and restarts it: the device was installed anew, or somebody stands in between.
    ///
    /// # Errors
    ///
    /// Fails if the keys can't be made or sshd doesn't start.
    pub fn replace_host_key(&self) -> Result<(), FleetError> {
        self.make_host_keys()?;
        self.put_host_keys()
    }

    /// Makes the keys that [`Self::put_host_keys`] gives the host, which takes a while.
    ///
    /// # Errors
    ///
    /// Fails if the keys can't be made.
    pub fn make_host_keys(&self) -> Result<(), FleetError> {
        // All of them: a client that asks for another algorithm must not find an old key.
        HOST_KEY_KINDS.iter().try_for_each(|kind| {
            files::ssh_keygen(&self.host.dir().join(format!("next_{kind}")), kind, self.host.name())
        })
    }

    /// Gives the host the keys that were made, and restarts it.
    ///
    /// # Errors
    ///
    /// Fails if none were made or sshd doesn't start.
    pub fn put_host_keys(&self) -> Result<(), FleetError> {
        for name in HOST_KEY_KINDS.iter().flat_map(|kind| [(*kind).to_owned(), format!("{kind}.pub")]) {
            let made = self.host.dir().join(format!("next_{name}"));
            std::fs::rename(&made, self.host.dir().join(format!("host_{name}"))).map_err(files::about(&made))?;
        }
        self.restart()
    }

    /// What an SSH client has to be told to log in to the first account.
    ///
    /// # Errors
    ///
    /// Fails if the host's keys can't be read.
    pub fn target(&self) -> Result<Target, FleetError> {
        self.target_of(self.account())
    }

    /// What an SSH client has to be told to log in to an account.
    ///
    /// # Errors
    ///
    /// Fails if the host's keys can't be read.
    pub fn target_of(&self, account: &str) -> Result<Target, FleetError> {
        Ok(self.host.target_for(account, self.host_keys_public()?))
    }

    /// Whether the real OpenSSH client logs in to the account with this key.
    ///
    /// # Errors
    ///
    /// Fails if the client can't be run.
    pub fn ssh_logs_in(&self, key_file: &Path, account: &str) -> Result<bool, FleetError> {
        Client::new()?.logs_in(&self.target_of(account)?, key_file)
    }
}

impl Deref for Sshd {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

/// Whether sshd looks at the owners and modes of a home and its `.ssh` (sshd_config(5), StrictModes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StrictModes {
    /// It does, which is its default.
    #[default]
    Yes,
    /// It doesn't.
    No,
}

/// The description of a device with sshd.
#[derive(Debug, Clone)]
pub struct SshdBuilder {
    accounts: Vec<Account>,
    config: String,
    strict_modes: StrictModes,
}

impl SshdBuilder {
    /// Adds an account; without any there is `kwtest`.
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// Adds lines to sshd_config. They win over the fleet's own; `Match` blocks may follow at their end.
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines.trim_end());
        self.config.push('\n');
        self
    }

    /// Sets StrictModes.
    pub fn strict_modes(mut self, strict_modes: StrictModes) -> Self {
        self.strict_modes = strict_modes;
        self
    }

    /// Starts the device and waits until it listens.
    ///
    /// # Errors
    ///
    /// [`FleetError::Unavailable`] if the machine can't do it; others if it should and doesn't.
    pub fn start(self) -> Result<Sshd, FleetError> {
        let program = files::program("sshd")?;
        let mut taken = 0;
        loop {
            let port = port::free()?;
            let dir = files::scratch()?;
            for kind in HOST_KEY_KINDS {
                let path = dir.path().join(format!("host_{kind}"));
                if kind == "rsa" {
                    copy_rsa(&path)?;
                } else {
                    files::ssh_keygen(&path, kind, "device")?;
                }
            }
            let accounts = if self.accounts.is_empty() { vec![Account::new("kwtest")] } else { self.accounts.clone() };
            let config = self.sshd_config(port);
            // sshd starts itself anew for each connection, so its path has to be absolute.
            let serve = format!("{} -D -f /run/keywheel/etc/sshd_config -E /run/keywheel/sshd.log", program.display());
            let sshd = Sshd { host: Host::prepare(dir, accounts, port, &config, &serve)? };
            match sshd.start() {
                Ok(()) => return Ok(sshd),
                Err(FleetError::PortTaken { .. }) if taken < 10 => taken += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The whole sshd_config. The first value of an option wins, so the caller's lines come first; what follows a
    /// `Match` belongs to it, so those come last.
    fn sshd_config(&self, port: u16) -> String {
        let lines: Vec<&str> = self.config.lines().collect();
        let word = |line: &str, name: &str| {
            line.split([' ', '\t', '=']).find(|w| !w.is_empty()).is_some_and(|w| w.eq_ignore_ascii_case(name))
        };
        let split = lines.iter().position(|line| word(line, "Match")).unwrap_or(lines.len());
        let (plain, matches) = lines.split_at_checked(split).unwrap_or((&lines, &[]));
        let mut text = String::new();
        for line in plain {
            let _ = writeln!(text, "{line}");
        }
        let strict = match self.strict_modes {
            StrictModes::Yes => "yes",
            StrictModes::No => "no",
        };
        let _ = write!(
            text,
            "ListenAddress 127.0.0.1\nPort {port}\nPidFile none\nUsePAM no\nUseDNS no\nLogLevel VERBOSE\n\
             StrictModes {strict}\nPermitRootLogin yes\n"
        );
        for kind in HOST_KEY_KINDS {
            let _ = writeln!(text, "HostKey /run/keywheel/host_{kind}");
        }
        // A second Subsystem line of the same name is an error.
        if !plain.iter().any(|line| word(line, "Subsystem")) {
            let _ = writeln!(text, "Subsystem sftp internal-sftp");
        }
        for line in matches {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

/// Writes an RSA host key; one is made for each process, since that takes a while.
fn copy_rsa(path: &Path) -> Result<(), FleetError> {
    static MADE: Mutex<Option<(Vec<u8>, Vec<u8>)>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let public = path.with_extension("pub");
    if let Some((private_bytes, public_bytes)) = made.as_ref() {
        files::write(path, private_bytes, 0o600)?;
        return files::write(&public, public_bytes, 0o644);
    }
    files::ssh_keygen(path, "rsa", "device")?;
    *made = Some((files::read(path)?, files::read(&public)?));
    Ok(())
}

/// Many devices.
#[derive(Debug)]
pub struct Fleet {
    /// The devices.
    pub devices: Vec<Sshd>,
}

impl Fleet {
    /// Starts so many devices with the account `kwtest`.
    ///
    /// # Errors
    ///
    /// Fails if one of them does.
    pub fn start(count: usize) -> Result<Self, FleetError> {
        Self::start_like(count, &Sshd::builder())
    }

    /// Starts so many devices of one description.
    ///
    /// # Errors
    ///
    /// Fails if one of them does; the others end.
    pub fn start_like(count: usize, builder: &SshdBuilder) -> Result<Self, FleetError> {
        let workers = count.clamp(1, 8);
        let started: Vec<Result<Vec<Sshd>, FleetError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers)
                .map(|worker| {
                    let share = count / workers + usize::from(worker < count % workers);
                    scope.spawn(move || (0..share).map(|_| builder.clone().start()).collect())
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut devices = Vec::new();
        for share in started {
            devices.extend(share?);
        }
        Ok(Self { devices })
    }
}
