//! Whole key changes at one real device, each held against what the OpenSSH client and the device's own files say.

use std::path::{Path, PathBuf};

use keywheel_core::{
    catalogue::Credential,
    journal::{Change, DeviceState},
    rotation::{ConnectWith, Finding, Finished, Rotate, Strategy, decide::Outcome, event::Event},
};

use crate::{ClientKey, Desk, Kept, Sshd, Trouble, desk, sshd::SshdBuilder};

/// The name of the credential that is changed.
const DEPLOY: &str = "deploy";

/// Lines that are not the key's: sshd reads none of them as a login line, and no byte of them may change.
const BEFORE: &[u8] = b"# kept\r\n\n  \t\nssh-ed25519 broken\nenvironment=\"A=b # c\" ssh-rsa AAAA nothing\n";
const AFTER: &[u8] = b"\xff\xfe not text\0\n# managed by nobody\n\nlast line without an end";

/// Which way an account's files can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By programs.
    Shell,
    /// By SFTP alone.
    Sftp,
}

impl Way {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::Shell, Self::Sftp];

    /// A device whose accounts offer this way, with further lines of configuration.
    pub fn device(self, config: &str) -> SshdBuilder {
        let builder = Sshd::builder();
        match self {
            Self::Shell => builder.config(config),
            Self::Sftp => builder.config(&format!("ForceCommand internal-sftp\n{config}")),
        }
    }
}

/// One credential "deploy" at one device "web-1".
pub struct Trial {
    /// The desk, with the credential's first version imported from `key`.
    pub desk: Desk,
    /// The device.
    pub sshd: Sshd,
    /// The key that stands there at the beginning.
    pub key: ClientKey,
    /// What the device is connected to with.
    pub connect_with: ConnectWith,
    /// The files, as seen from outside, in which the key stands.
    pub files: Vec<PathBuf>,
}

impl Trial {
    /// Puts a key into the usual file of the device's first account, among lines that must stay.
    ///
    /// # Errors
    ///
    /// Trouble of the desk or the device.
    pub async fn at(sshd: Sshd) -> Result<Self, Trouble> {
        let desk = Desk::open()?;
        let key = desk.client.key(DEPLOY, "ed25519")?;
        let device = desk.device("web-1", &sshd).await?;
        desk.credential(DEPLOY, sshd.account(), &key.file, &[device]).await?;
        let files = vec![sshd.authorized_keys_path()];
        let trial = Self { desk, sshd, key, connect_with: ConnectWith::AsStored, files };
        trial.sshd.write_authorized_keys(&trial.text())?;
        Ok(trial)
    }

    /// The text of a file that holds the key among other lines.
    pub fn text(&self) -> Vec<u8> {
        self.text_around(&self.key.public)
    }

    /// The same with this line in the key's place.
    pub fn text_around(&self, line: &str) -> Vec<u8> {
        [BEFORE, line.as_bytes(), b"\n", AFTER].concat()
    }

    /// Moves the file elsewhere on the device (as seen from outside), with folders of the account where they are missing.
    ///
    /// # Errors
    ///
    /// The file can't be moved.
    pub fn move_file(&mut self, to: &Path) -> Result<(), Trouble> {
        let from = self.files.first().cloned().ok_or("a file")?;
        let account = self.sshd.account().to_owned();
        let folder = to.parent().ok_or("a folder")?;
        if !folder.exists() {
            std::fs::create_dir(folder)?;
            self.sshd.give(&account, folder)?;
        }
        // Not renamed: it may go to another file system.
        std::fs::write(to, std::fs::read(&from)?)?;
        std::fs::set_permissions(to, std::fs::metadata(&from)?.permissions())?;
        self.sshd.give(&account, to)?;
        std::fs::remove_file(&from)?;
        self.files = vec![to.to_owned()];
        Ok(())
    }

    /// Sets the timeouts of connections and stages to so many seconds, as a person would.
    ///
    /// # Errors
    ///
    /// The setting is refused.
    pub async fn hurry(&self, seconds: u32) -> Result<(), Trouble> {
        for name in ["connection-timeout", "stage-timeout"] {
            self.desk.keywheel.set_setting(name, &seconds.to_string()).await?;
        }
        Ok(())
    }

    /// What a check finds.
    ///
    /// # Errors
    ///
    /// The check can't begin.
    pub async fn check(&self) -> Result<Finding, Trouble> {
        let findings = self.desk.keywheel.check(DEPLOY, &self.connect_with).await?;
        Ok(findings.into_iter().next().ok_or("a finding")?)
    }

    /// What is asked for.
    pub fn request(&self, strategy: Strategy) -> Rotate {
        Rotate {
            credential: DEPLOY.into(),
            strategy: Some(strategy),
            connect_with: self.connect_with.clone(),
            ..Rotate::default()
        }
    }

    /// Changes the key once.
    ///
    /// # Errors
    ///
    /// The change can't begin.
    pub async fn change(&self, strategy: Strategy) -> Result<Finished, Trouble> {
        self.change_while(self.request(strategy), |_| Ok(())).await
    }

    /// Changes the key, and does something at each of its events.
    ///
    /// # Errors
    ///
    /// The change can't begin, or what is done fails.
    pub async fn change_while(
        &self,
        request: Rotate,
        mut act: impl FnMut(&Event) -> Result<(), Trouble>,
    ) -> Result<Finished, Trouble> {
        let (watch, mut watching) = desk::watch();
        let keywheel = self.desk.keywheel.clone();
        let running = tokio::spawn(async move { keywheel.rotate(&request, watch).await });
        while let Some(event) = watching.events.recv().await {
            act(&event)?;
        }
        Ok(running.await??)
    }

    /// Changes the key under both strategies, one after the other, and asserts that each change is done and is all that
    /// was done.
    ///
    /// # Errors
    ///
    /// Trouble of the desk or the device.
    ///
    /// # Panics
    ///
    /// A change is not done, not all of it, or more than it.
    pub async fn changes(&self) -> Result<(), Trouble> {
        for strategy in [Strategy::TwoPhase, Strategy::DeviceByDevice] {
            let before = self.look()?;
            let from = self.credential().await?;
            let finished = self.change(strategy).await?;
            self.assert_changed(&from, &before, &finished).await?;
        }
        self.assert_true().await
    }

    /// Asserts that both strategies, and the check, see this cause before anything is written.
    ///
    /// # Errors
    ///
    /// Trouble of the desk or the device.
    ///
    /// # Panics
    ///
    /// It is not seen, or something was written.
    pub async fn refuses(&self, code: &str) -> Result<(), Trouble> {
        let before = self.look()?;
        let first = self.sshd.ssh_logs_in(&self.key.file, self.sshd.account())?;
        let finding = self.check().await?;
        let codes: Vec<&str> = finding.problems.iter().map(|problem| problem.code.as_str()).collect();
        assert_eq!(codes.first(), Some(&code), "the check finds {codes:?}");
        assert!(!finding.ready, "a device with a problem is not ready");
        for strategy in [Strategy::TwoPhase, Strategy::DeviceByDevice] {
            let finished = self.change(strategy).await?;
            assert_eq!(finished.outcome, Outcome::Failed, "nothing was begun: {finished:?}");
            assert_cause(&finished, code);
        }
        self.assert_as_before(&before).await?;
        assert_eq!(self.sshd.ssh_logs_in(&self.key.file, self.sshd.account())?, first, "the key's login is another");
        Ok(())
    }

    /// Asserts that a change ended where it began, for this cause.
    ///
    /// # Errors
    ///
    /// Trouble of the desk or the device.
    ///
    /// # Panics
    ///
    /// It ended elsewhere.
    pub async fn assert_rolled_back(&self, before: &[Kept], finished: &Finished, code: &str) -> Result<(), Trouble> {
        assert_eq!(finished.outcome, Outcome::RolledBack, "{finished:?}");
        assert_cause(finished, code);
        self.assert_as_before(before).await?;
        self.assert_true().await
    }

    /// The files as they are now.
    ///
    /// # Errors
    ///
    /// One can't be read.
    pub fn look(&self) -> Result<Vec<Kept>, Trouble> {
        Ok(self.files.iter().map(|path| Kept::look(path)).collect::<Result<_, _>>()?)
    }

    /// The credential as it is now.
    ///
    /// # Errors
    ///
    /// The catalogue can't be read.
    pub async fn credential(&self) -> Result<Credential, Trouble> {
        Ok(self.desk.keywheel.find_credential(DEPLOY).await?)
    }

    /// The change as `change show` has it.
    ///
    /// # Errors
    ///
    /// The journal can't be read.
    pub async fn shown(&self, finished: &Finished) -> Result<Change, Trouble> {
        Ok(self.desk.keywheel.find_change(finished.change).await?)
    }

    /// Asserts that a change is done, that every file holds the new key where the old one stood and is otherwise as it was,
    /// and that the report says so.
    ///
    /// # Errors
    ///
    /// Trouble of the desk or the device.
    ///
    /// # Panics
    ///
    /// It is not so.
    pub async fn assert_changed(&self, from: &Credential, before: &[Kept], finished: &Finished) -> Result<(), Trouble> {
        assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
        let states: Vec<DeviceState> = finished.devices.iter().map(|device| device.state).collect();
        assert_eq!(states, [DeviceState::Changed], "{finished:?}");
        assert_eq!(self.shown(finished).await?.state.as_str(), "changed", "the journal says otherwise");
        let now = self.credential().await?;
        let (old, new) = (current(from)?, current(&now)?);
        assert_ne!(old.0, new.0, "the vault's current key is the old one");
        for kept in before {
            kept.assert_holds(&replaced(kept.bytes(), old.1.as_bytes(), new.1.as_bytes()))?;
        }
        let account = self.sshd.account();
        let (old, new) = (self.desk.key_file(DEPLOY, old.0).await?, self.desk.key_file(DEPLOY, new.0).await?);
        assert!(self.sshd.ssh_logs_in(&new, account)?, "the current key must log in: {}", self.sshd.log()?);
        assert!(!self.sshd.ssh_logs_in(&old, account)?, "the old key must be refused");
        Ok(())
    }

    /// Asserts that no file was touched and that the vault's current key is the first one.
    async fn assert_as_before(&self, before: &[Kept]) -> Result<(), Trouble> {
        for kept in before {
            kept.assert_untouched()?;
        }
        let current = current(&self.credential().await?)?.0;
        assert_eq!(current, 1, "the vault's current key is one that was taken back");
        Ok(())
    }

    /// Asserts that what Keywheel says of each version, by asking, is what the OpenSSH client finds; and that one logs in.
    ///
    /// # Errors
    ///
    /// Trouble of the desk or the device.
    ///
    /// # Panics
    ///
    /// It is not so.
    pub async fn assert_true(&self) -> Result<(), Trouble> {
        let answers = self.desk.keywheel.accepts(DEPLOY).await?;
        let answer = answers.first().ok_or("an answer")?;
        let mut accepted = 0;
        for version in &answer.versions {
            let file = self.desk.key_file(DEPLOY, version.version).await?;
            let logs_in = self.sshd.ssh_logs_in(&file, self.sshd.account())?;
            let expected = if logs_in { "accepted" } else { "refused" };
            assert_eq!(version.answer, expected, "version {}: {answers:?}", version.version);
            accepted += usize::from(logs_in);
        }
        assert!(accepted > 0, "no key of the vault logs in: {answers:?}");
        Ok(())
    }
}

/// Asserts that a change's device names this cause.
fn assert_cause(finished: &Finished, code: &str) {
    let codes: Vec<&str> =
        finished.devices.iter().filter_map(|device| device.error.as_ref()).map(|cause| cause.code.as_str()).collect();
    assert_eq!(codes, [code], "{finished:?}");
}

/// The current version's number, and type and blob as they stand in a file.
fn current(credential: &Credential) -> Result<(u32, String), Trouble> {
    let current = credential.current_key().ok_or("a current key")?;
    let line = current.public_key.to_openssh();
    let words: Vec<&str> = line.split(' ').take(2).collect();
    Ok((current.version, words.join(" ")))
}

/// A text with every occurrence of some bytes replaced.
fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.windows(from.len()).position(|window| window == from) {
        let (head, tail) = rest.split_at(position);
        result.extend_from_slice(head);
        result.extend_from_slice(to);
        rest = tail.get(from.len()..).unwrap_or_default();
    }
    result.extend_from_slice(rest);
    result
}
