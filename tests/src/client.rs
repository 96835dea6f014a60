//! The real OpenSSH client, which asks a device from outside what Keywheel claims of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::FleetError;
use crate::files;

/// What a client has to know to reach an account of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The account.
    pub account: String,
    /// The host's public keys, as in a `.pub` file.
    pub host_keys: Vec<String>,
}

/// A key pair made by ssh-keygen, without passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// The file with the private key.
    pub file: PathBuf,
    /// The public key's line, without newline.
    pub public: String,
}

/// An OpenSSH client with files of its own: it reads neither the user's configuration nor their keys or agent.
#[derive(Debug)]
pub struct Client {
    dir: TempDir,
}

impl Client {
    /// Makes the client's folder.
    ///
    /// # Errors
    ///
    /// [`FleetError::Unavailable`] if there is no OpenSSH client.
    pub fn new() -> Result<Self, FleetError> {
        files::program("ssh")?;
        Ok(Self { dir: files::scratch()? })
    }

    /// Makes a key pair; `kind` is a name that `ssh-keygen -t` knows.
    ///
    /// # Errors
    ///
    /// Fails if ssh-keygen does, also when there is a key of that name.
    pub fn key(&self, name: &str, kind: &str) -> Result<ClientKey, FleetError> {
        let file = self.dir.path().join(name);
        files::ssh_keygen(&file, kind, name)?;
        let public = files::read_text(&file.with_extension("pub"))?.trim().to_owned();
        Ok(ClientKey { file, public })
    }

    /// Writes a private key that was made elsewhere to a file for the client.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub fn key_file(&self, name: &str, openssh: &str) -> Result<PathBuf, FleetError> {
        let file = self.dir.path().join(name);
        files::write(&file, openssh.as_bytes(), 0o600)?;
        Ok(file)
    }

    /// Whether the key logs in, by the client's own account of it; what the account's shell then does is another matter.
    ///
    /// # Errors
    ///
    /// Fails if the client can't be run.
    pub fn logs_in(&self, target: &Target, key_file: &Path) -> Result<bool, FleetError> {
        let output = self.run(target, key_file, "true")?;
        Ok(String::from_utf8_lossy(&output.stderr).lines().any(|line| line.starts_with("Authenticated to ")))
    }

    /// Runs a command on the device with this key.
    ///
    /// # Errors
    ///
    /// Fails if the client can't be run; that the device refused it is in the output.
    pub fn run(&self, target: &Target, key_file: &Path, command: &str) -> Result<Output, FleetError> {
        finish(self.key_command(target, key_file, command)?)
    }

    /// Runs a command on the device with this key and this standard input.
    ///
    /// # Errors
    ///
    /// Fails if the client can't be run; that the device refused it is in the output.
    pub fn run_with_input(
        &self,
        target: &Target,
        key_file: &Path,
        command: &str,
        input: &[u8],
    ) -> Result<Output, FleetError> {
        let mut client = self.key_command(target, key_file, command)?;
        let named = |source| FleetError::Program { program: "ssh".to_owned(), source };
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = client.spawn().map_err(named)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A connection that is cut ends the client before it has read everything.
            let _ = stdin.write_all(input);
        }
        child.wait_with_output().map_err(named)
    }

    /// Runs a command on the device with this key for so long at most; none if it hasn't ended by then.
    ///
    /// # Errors
    ///
    /// Fails if the client can't be run; that the device refused it is in the output.
    pub fn run_for(
        &self,
        target: &Target,
        key_file: &Path,
        command: &str,
        patience: Duration,
    ) -> Result<Option<Output>, FleetError> {
        let mut client = self.key_command(target, key_file, command)?;
        let named = |source| FleetError::Program { program: "ssh".to_owned(), source };
        client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = client.spawn().map_err(named)?;
        let deadline = Instant::now() + patience;
        while child.try_wait().map_err(named)?.is_none() {
            if Instant::now() > deadline {
                // It may end in this very moment; it has taken too long all the same.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait_with_output().map(Some).map_err(named)
    }

    /// Runs a command on a device that is reached through another one, with this key on both.
    ///
    /// # Errors
    ///
    /// Fails if the client can't be run; that a device refused it is in the output.
    pub fn run_through(
        &self,
        jump: &Target,
        target: &Target,
        key_file: &Path,
        command: &str,
    ) -> Result<Output, FleetError> {
        let outer = self.key_command(jump, key_file, "")?;
        // ssh splits the proxy's command line by a shell; nothing in it needs quotes.
        let words: Vec<String> = std::iter::once(outer.get_program())
            .chain(outer.get_args().filter(|word| !word.is_empty()))
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let (destination, options) = words.split_last().map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
        let proxy = format!("ProxyCommand={} -W %h:%p {destination}", options.join(" "));
        let mut client = self.command("ssh", target, Some(key_file))?;
        client.args(["-o", &proxy, "-o", "BatchMode=yes", "-p"]).arg(target.port.to_string());
        client.arg(format!("{}@127.0.0.1", target.account)).arg(command);
        finish(client)
    }

    /// Runs a command on the device with a password, which the client asks a program for.
    ///
    /// # Errors
    ///
    /// Fails if the client can't be run; that the device refused it is in the output.
    pub fn run_with_password(&self, target: &Target, password: &str, command: &str) -> Result<Output, FleetError> {
        let ask = self.dir.path().join("askpass");
        files::write(&ask, b"#!/bin/sh\nprintf '%s\\n' \"$KEYWHEEL_TEST_PASSWORD\"\n", 0o700)?;
        let mut client = self.command("ssh", target, None)?;
        client.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").env("KEYWHEEL_TEST_PASSWORD", password);
        client.args(["-o", "PreferredAuthentications=password,keyboard-interactive"]);
        client.args(["-o", "NumberOfPasswordPrompts=1", "-p"]);
        client.arg(target.port.to_string()).arg(format!("{}@127.0.0.1", target.account)).arg(command);
        finish(client)
    }

    /// Runs an SFTP batch on the device with this key.
    ///
    /// # Errors
    ///
    /// Fails if the client can't be run; that the device refused it is in the output.
    pub fn sftp(&self, target: &Target, key_file: &Path, batch: &str) -> Result<Output, FleetError> {
        let file = self.dir.path().join("batch");
        files::write(&file, batch.as_bytes(), 0o600)?;
        let mut client = self.command("sftp", target, Some(key_file))?;
        client.arg("-b").arg(&file).arg("-P").arg(target.port.to_string());
        client.arg(format!("{}@127.0.0.1", target.account));
        finish(client)
    }

    fn key_command(&self, target: &Target, key_file: &Path, command: &str) -> Result<Command, FleetError> {
        let mut client = self.command("ssh", target, Some(key_file))?;
        client.args(["-o", "BatchMode=yes", "-o", "PreferredAuthentications=publickey", "-p"]);
        client.arg(target.port.to_string()).arg(format!("{}@127.0.0.1", target.account)).arg(command);
        Ok(client)
    }

    fn command(&self, program: &str, target: &Target, key_file: Option<&Path>) -> Result<Command, FleetError> {
        let known_hosts = self.dir.path().join(format!("known_hosts-{}", target.port));
        let lines: String = target.host_keys.iter().map(|key| format!("[127.0.0.1]:{} {key}\n", target.port)).collect();
        files::write(&known_hosts, lines.as_bytes(), 0o600)?;
        let mut client = Command::new(files::program(program)?);
        client.env_clear().env("HOME", self.dir.path()).env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        client.args(["-F", "none", "-o", "LogLevel=VERBOSE", "-o", "StrictHostKeyChecking=yes"]);
        client.args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "ConnectTimeout=10"]);
        client.args(["-o", "GlobalKnownHostsFile=/dev/null", "-o"]);
        client.arg(format!("UserKnownHostsFile={}", known_hosts.display()));
        match key_file {
            Some(file) => client.arg("-i").arg(file),
            None => client.args(["-o", "PubkeyAuthentication=no"]),
        };
        Ok(client)
    }
}

fn finish(mut client: Command) -> Result<Output, FleetError> {
    let program = client.get_program().to_string_lossy().into_owned();
    client.stdin(Stdio::null()).output().map_err(|source| FleetError::Program { program, source })
}
