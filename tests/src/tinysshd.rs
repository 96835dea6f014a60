//! Devices with a real tinysshd, which knows ed25519 keys only and no SFTP of its own.
//!
//! tinysshd serves one connection on its standard input and output, so a listener in the test's process starts one for
//! each connection, inside the device's namespace.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use russh::keys::PublicKey;
use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData};

use crate::account::Account;
use crate::client::Target;
use crate::error::FleetError;
use crate::files;
use crate::host::{Host, Runner};
use crate::port;

/// A device with tinysshd; it ends when this is dropped.
#[derive(Debug)]
pub struct Tinysshd {
    host: Host,
    host_key: String,
    ending: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Tinysshd {
    /// Starts a device with these accounts; without any there is `kwtest`.
    ///
    /// # Errors
    ///
    /// [`FleetError::Unavailable`] if the machine can't do it; others if it should and doesn't.
    pub fn start(accounts: &[Account]) -> Result<Self, FleetError> {
        let program = files::program("tinysshd")?;
        let nsenter = files::program("nsenter")?;
        if !matches!(Runner::current()?, Runner::Root) {
            return Err(FleetError::Unavailable { reason: "tinysshd needs root to become the account".to_owned() });
        }
        let dir = files::scratch()?;
        let keys = dir.path().join("tinyssh");
        files::run(Command::new(files::program("tinysshd-makekey")?).arg(&keys), b"")?;
        let raw = files::read(&keys.join("ed25519.pk"))?;
        let host_key = <[u8; 32]>::try_from(raw.as_slice())
            .ok()
            .and_then(|bytes| PublicKey::from(KeyData::Ed25519(Ed25519PublicKey(bytes))).to_openssh().ok())
            .ok_or_else(|| FleetError::Failed {
                program: "tinysshd-makekey".to_owned(),
                stderr: format!("its public key has {} bytes", raw.len()),
            })?;
        let listener = listen()?;
        let port = listener.local_addr().map_err(files::about(dir.path()))?.port();
        let accounts = if accounts.is_empty() { vec![Account::new("kwtest")] } else { accounts.to_vec() };
        // Nothing runs in the namespace until somebody connects.
        let host = Host::prepare(dir, accounts, port, "", "true")?;
        let serve = Serve {
            nsenter,
            program,
            sftp: files::sftp_server(),
            process: host.namespace().first_process()?,
            log: host.dir().join("tinysshd.log"),
        };
        let ending = Arc::new(AtomicBool::new(false));
        let flag = ending.clone();
        let listening = std::thread::spawn(move || accept(&listener, &serve, &flag));
        Ok(Self { host, host_key, ending, listening: Some(listening) })
    }

    /// The host's public key.
    pub fn host_key_public(&self) -> &str {
        &self.host_key
    }

    /// What tinysshd has said so far.
    ///
    /// # Errors
    ///
    /// Fails if nobody has connected yet.
    pub fn log(&self) -> Result<String, FleetError> {
        files::read_text(&self.host.dir().join("tinysshd.log"))
    }

    /// What an SSH client has to be told to log in to the first account.
    pub fn target(&self) -> Target {
        self.host.target_for(self.account(), vec![self.host_key.clone()])
    }
}

impl Deref for Tinysshd {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Drop for Tinysshd {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        if let Some(thread) = self.listening.take() {
            let _ = thread.join();
        }
    }
}

/// How a connection is served.
struct Serve {
    nsenter: PathBuf,
    program: PathBuf,
    sftp: Option<PathBuf>,
    process: u32,
    log: PathBuf,
}

fn listen() -> Result<TcpListener, FleetError> {
    for _ in 0..20 {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port::free()?))
            && listener.set_nonblocking(true).is_ok()
        {
            return Ok(listener);
        }
    }
    Err(FleetError::NoPort)
}

fn accept(listener: &TcpListener, serve: &Serve, ending: &AtomicBool) {
    while !ending.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => serve.connection(stream),
            Err(_) => std::thread::sleep(Duration::from_millis(3)),
        }
    }
}

impl Serve {
    /// Starts a tinysshd on this connection; without one, the connection is closed.
    fn connection(&self, stream: TcpStream) {
        let Ok(log) = OpenOptions::new().create(true).append(true).open(&self.log) else { return };
        if stream.set_nonblocking(false).is_err() {
            return;
        }
        let Ok(input) = stream.try_clone() else { return };
        let mut command = Command::new(&self.nsenter);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command.args(["-t", &self.process.to_string(), "-m", "-u", "-p", "--"]).arg(&self.program).arg("-v");
        if let Some(sftp) = &self.sftp {
            command.arg("-x").arg(format!("sftp={}", sftp.display()));
        }
        command.arg("/run/keywheel/tinyssh");
        command.stdin(Stdio::from(OwnedFd::from(input))).stdout(Stdio::from(OwnedFd::from(stream))).stderr(log);
        if let Ok(mut child) = command.spawn() {
            // The namespace's end ends it at the latest; somebody has to collect its status.
            std::thread::spawn(move || {
                let _ = child.wait();
            });
        }
    }
}
