//! Looking at a device: connect, find and read the files, predict what could fail.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::time::sleep;

use super::write::{CONFLICT_TRIES, conflict_pause};
use super::{DeviceRun, Failure};
use crate::clock::Timestamp;
use crate::error::Report;
use crate::journal::Kind;
use crate::key::PublicKey;
use crate::remote::files::{FileError, Files, Reach, Way};
use crate::remote::program::{ConfigurationFile, Probe, ProgramError};
use crate::remote::sshd_config::Effective;
use crate::remote::{RemoteError, Session, sshd_config};
use crate::rotation::decide::Standing;
use crate::rotation::event::{Said, StageState, What};
use crate::rotation::finding::{Finding, Found, Goal, Judged, Login, judge};
use crate::rotation::limits::{Caller, refusal};
use crate::rotation::other_keys::{OtherKey, other_keys};
use crate::rotation::work::Authentication;
use crate::rotation::{Problem, Seen, Stage};

impl DeviceRun {
    /// Connects, authenticates, finds and reads the files, and predicts what could fail. Nothing is written.
    pub(in crate::rotation) async fn check(&mut self) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        work.stage(self.name(), Stage::Check, StageState::Running, Said::Connecting);
        let checked = self.look().await;
        let found = match checked {
            Ok(found) => found,
            Err(Failure::Broken(error)) => return Err(Failure::Broken(error)),
            // Who would look was taken out by a process that could not see it any more; `refuse` asks once again.
            Err(Failure::Cause(cause))
                if work.kind == Kind::Uninstall
                    && self.standing == Standing::Removing
                    && cause.code == "authentication-refused" =>
            {
                work.stage(self.name(), Stage::Check, StageState::Done, Said::OutAlready);
                return Ok(());
            }
            Err(Failure::Cause(cause) | Failure::NotProven(cause) | Failure::OldKeyAccepted(cause)) => {
                self.found = None;
                return self.failed(Stage::Check, cause);
            }
        };
        let problem = found.finding.problems.first().cloned();
        let lines = found.finding.old_key_lines;
        let files = found.finding.files.len();
        if work.is_emergency() {
            self.tell_other_keys(Seen::Before, found.finding.other_keys.clone()).await?;
        }
        self.found = Some(found);
        match problem {
            Some(problem) => self.failed(Stage::Check, problem),
            None => {
                if self.standing == Standing::Waiting {
                    self.standing = Standing::Checked;
                }
                work.stage(self.name(), Stage::Check, StageState::Done, Said::Found { lines, files });
                Ok(())
            }
        }
    }

    /// What `check` shows of this device.
    pub(in crate::rotation) fn finding(&self) -> Finding {
        match (&self.found, &self.cause) {
            (Some(found), _) => found.finding.clone(),
            (None, cause) => Finding {
                device: self.name().to_owned(),
                ready: false,
                method: None,
                files: Vec::new(),
                old_key_lines: 0,
                problems: cause.iter().cloned().collect(),
                warnings: Vec::new(),
                other_keys: Vec::new(),
            },
        }
    }

    async fn look(&mut self) -> Result<Found, Failure> {
        // Whoever switched it on since wants it to be retried.
        if !self.snapshot.enabled && !self.work.is_enabled(self.snapshot.id).await? {
            return Err(Problem::Disabled { device: self.name().to_owned() }.into());
        }
        self.enter().await?;
        let paths: Vec<String> = self.snapshot.authorized_keys_path.iter().cloned().collect();
        let (probe, way) = self.probe(&paths).await?;
        self.way = Some(way);
        let mut probe = probe;
        let configuration = self.configuration(&mut probe, way).await?;
        // The device's own setting wins; else sshd's configuration, where it names other files than the usual ones.
        let named: Vec<String> = match (&self.snapshot.authorized_keys_path, &configuration) {
            (Some(_), _) | (None, None) => Vec::new(),
            (None, Some(effective)) => effective.authorized_keys_files.clone(),
        };
        let unseen: Vec<String> = named
            .into_iter()
            .filter(|path| !probe.files.iter().any(|file| same_place(&file.asked, path, &probe.home)))
            .collect();
        if !unseen.is_empty() {
            self.enter().await?;
        }
        if !unseen.is_empty()
            && let Some(session) = &self.session
        {
            let reach = self.reach(way);
            let more = Files::new(session, &reach).probe(&unseen).await?;
            probe.files.extend(more.files);
        }
        self.note_roots_alone(&probe.files);
        if self.work.resumed {
            self.clean(way, &probe.files).await?;
        }
        let refusal = self.check_login().await?.map(|refusal| self.explained(refusal, &probe));
        let itself = matches!(self.work.authentication, Authentication::Itself);
        let login = match refusal {
            Some(_) => Login::Refused,
            None if itself || self.logs_in_too() => Login::Proven,
            None => Login::NotTried,
        };
        let older = &self.work.older;
        let goal = match (self.work.kind, &self.work.new) {
            (Kind::Install, Some(new)) => Goal::Install { new: &new.public, options: self.work.options.as_deref() },
            (Kind::Rotate | Kind::Undo, Some(new)) => Goal::Add { old: older, new: &new.public },
            (Kind::Uninstall, _) => Goal::Withdraw { keys: older },
            (_, None) => Goal::Look { keys: older },
        };
        let judged = Judged {
            device: &self.snapshot.name,
            username: &self.work.username,
            way,
            probe: &probe,
            configuration: configuration.as_ref(),
            login,
            by_root: self.is_entered_by_root(),
            goal: &goal,
            ours: &self.work.our_keys(),
        };
        let mut found = judge(&judged);
        if let Some(refusal) = refusal {
            found.finding.problems.push(refusal);
            found.finding.ready = false;
        }
        if !self.standing.is_touched() {
            self.check_sharing(&mut found).await?;
        }
        self.check_version(&mut found, &probe);
        Ok(found)
    }

    /// Notes and tells which other keys let somebody in here.
    async fn tell_other_keys(&self, seen: Seen, keys: Vec<OtherKey>) -> Result<(), Failure> {
        let work = &self.work;
        work.note_other_keys(self.snapshot.id, seen, keys.clone()).await?;
        work.tell(What::OtherKeys { device: self.name().to_owned(), seen, keys });
        Ok(())
    }

    /// Lists the other keys anew once the old one is refused; what is not seen then is shown as it was before.
    pub(super) async fn look_for_other_keys(&mut self) -> Result<(), Failure> {
        let Some(paths) = self.found.as_ref().map(|found| found.looked_at.clone()) else { return Ok(()) };
        let looked = match self.enter().await {
            Ok(()) => self.probe(&paths).await,
            Err(failure) => Err(failure),
        };
        match looked {
            Ok((probe, _)) => {
                let keys = other_keys(&probe, &self.work.our_keys());
                self.tell_other_keys(Seen::After, keys).await
            }
            Err(broken @ Failure::Broken(_)) => Err(broken),
            Err(failure) => {
                tracing::warn!(device = self.name(), ?failure, "the other keys could not be listed anew");
                Ok(())
            }
        }
    }

    /// Says that the device does not accept the current key but another version, with which it was entered.
    fn check_version(&self, found: &mut Found, probe: &Probe) {
        let (Some(current), Some(entered)) = (&self.work.old, &self.entered) else { return };
        let is_other = self.work.others.iter().any(|other| other.version == entered.version);
        if is_other {
            found.finding.warnings.push(Report::of(&Problem::AcceptsOtherVersion {
                device: self.name().to_owned(),
                version: entered.version,
                current: current.version,
            }));
            found.finding.warnings.extend(self.limits(probe, &[&current.public]));
        }
    }

    /// A refusal of the key, with the cause that its lines show where they plainly show one.
    fn explained(&self, refusal: Report, probe: &Probe) -> Report {
        if refusal.code != "authentication-refused" {
            return refusal;
        }
        self.limits(probe, &self.work.older.iter().collect::<Vec<_>>()).unwrap_or(refusal)
    }

    /// What keeps these keys out, where each of their lines does so by its options.
    fn limits(&self, probe: &Probe, keys: &[&PublicKey]) -> Option<Report> {
        let texts: Vec<_> =
            probe.files.iter().filter_map(|file| Some((file.path.as_str(), file.content.as_deref()?))).collect();
        // The device's clock decides.
        let now = probe.clock.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let caller = Caller { now: now.unwrap_or_else(|| self.work.now()), address: self.local_address };
        refusal(self.name(), &texts, keys, caller).map(|problem| Report::of(&problem))
    }

    /// What sshd's configuration says of the account, where it can be read. What a probe does not bring by itself, since it is
    /// included from elsewhere, is fetched.
    async fn configuration(&mut self, probe: &mut Probe, way: Way) -> Result<Option<Effective>, Failure> {
        if probe.configuration.is_empty() {
            return Ok(None);
        }
        let connection = sshd_config::Connection {
            user: probe.user.clone(),
            groups: None,
            home: probe.home.clone(),
            uid: probe.uid.unwrap_or(0),
            client_address: None,
            local_address: None,
            local_port: None,
        };
        let mut asked: Vec<String> = Vec::new();
        loop {
            let (effective, missing) = effective(&probe.configuration, &connection, &asked);
            if missing.is_empty() {
                return Ok(Some(effective));
            }
            asked.extend(missing.iter().cloned());
            self.enter().await?;
            let Some(session) = &self.session else { return Ok(Some(effective)) };
            let reach = self.reach(way);
            let found = Files::new(session, &reach).probe(&missing).await?;
            let read = found.files.into_iter().filter(|file| file.content.is_some());
            probe.configuration.extend(read.map(|file| ConfigurationFile { path: file.asked, text: file.content }));
        }
    }

    /// Finds the credentials that enter the same account with the same key: taking its line out would lock them out.
    async fn check_sharing(&self, found: &mut Found) -> Result<(), Failure> {
        let (work, device) = (&self.work, self.snapshot.id);
        let Some(old) = work.old.as_ref().filter(|_| matches!(work.kind, Kind::Rotate | Kind::Undo)) else {
            return Ok(());
        };
        let all = work.keywheel.credentials().await?;
        let sharing = all.iter().find(|other| {
            other.id != work.credential
                && other.removed_at.is_none()
                && other.username == work.username
                && other.devices.contains(&device)
                && other.current_key().is_some_and(|key| key.public_key.blob() == old.public.blob())
        });
        if let Some(other) = sharing {
            let (device, credential) = (self.name().to_owned(), other.name.clone());
            found.finding.problems.push(Report::of(&Problem::SameKeyElsewhere { device, credential }));
            found.finding.ready = false;
        }
        Ok(())
    }

    /// Whether the key itself logs in while another credential authenticates.
    fn logs_in_too(&self) -> bool {
        let others = matches!(self.work.authentication, Authentication::Other { .. });
        others && matches!(self.work.kind, Kind::Rotate | Kind::Undo)
    }

    /// Where another credential authenticates, shows by a real login that the account accepts its current key; or why not.
    async fn check_login(&mut self) -> Result<Option<Report>, Failure> {
        let work = Arc::clone(&self.work);
        if !self.logs_in_too() {
            return Ok(None);
        }
        match self.enter_itself(work.resumed).await {
            Ok(session) => {
                session.close().await;
                Ok(None)
            }
            Err(Failure::Cause(cause) | Failure::NotProven(cause) | Failure::OldKeyAccepted(cause)) => Ok(Some(cause)),
            Err(broken @ Failure::Broken(_)) => Err(broken),
        }
    }

    /// Looks around by the shell way, or by SFTP where the account has nothing else.
    pub(super) async fn probe(&mut self, paths: &[String]) -> Result<(Probe, Way), Failure> {
        let Some(session) = &self.session else {
            return Err(Failure::NotProven(self.nothing_open()));
        };
        let shell = self.reach(Way::Shell);
        let error = match probe_in_peace(session, &shell, paths).await {
            Ok(probe) => return Ok((probe, Way::Shell)),
            Err(error) => error,
        };
        let no_shell = matches!(
            &error,
            FileError::Remote(RemoteError::NoPrograms { .. } | RemoteError::NoSession { .. })
                | FileError::Program { source: ProgramError::NoAnswer, .. }
        );
        if !no_shell || shell.elevation != crate::remote::program::Elevation::None {
            return Err(error.into());
        }
        self.enter().await?;
        let Some(session) = &self.session else {
            return Err(Failure::NotProven(self.nothing_open()));
        };
        let sftp = self.reach(Way::Sftp);
        match probe_in_peace(session, &sftp, paths).await {
            Ok(probe) => Ok((probe, Way::Sftp)),
            Err(FileError::Remote(RemoteError::NoSftp { .. })) => {
                let (device, username) = (self.name().to_owned(), session.username().to_owned());
                Err(Problem::NoWayToFiles { device, username }.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Looks around, again where somebody wrote a file just then.
async fn probe_in_peace(session: &Session, reach: &Reach, paths: &[String]) -> Result<Probe, FileError> {
    let mut tries = 1;
    loop {
        match Files::new(session, reach).probe(paths).await {
            // Where a connection has one channel, the next look needs another connection.
            Err(error) if error.is_conflict() && tries < CONFLICT_TRIES && session.is_open() => {
                tries += 1;
                sleep(conflict_pause()).await;
            }
            done => return done,
        }
    }
}

/// Whether a path that sshd's configuration names is one that was looked at, relative paths being the home's.
fn same_place(asked: &str, named: &str, home: &str) -> bool {
    let absolute = |path: &str| match path.strip_prefix("~/") {
        Some(rest) => format!("{home}/{rest}"),
        None if path.starts_with('/') => path.to_owned(),
        None => format!("{home}/{path}"),
    };
    absolute(asked) == absolute(named)
}

/// What a configuration says, and which further files it names that were not asked for.
fn effective(
    configuration: &[ConfigurationFile],
    connection: &sshd_config::Connection,
    asked: &[String],
) -> (Effective, Vec<String>) {
    let missing = RefCell::new(Vec::new());
    let read = |path: &str| {
        let texts = texts_of(configuration, path);
        if texts.is_empty() && !path.contains(['*', '?', '[']) && !asked.iter().any(|known| known == path) {
            missing.borrow_mut().push(path.to_owned());
        }
        texts
    };
    let effective = sshd_config::authorized_keys_files(&read, connection);
    (effective, missing.into_inner())
}

/// The files of a configuration that a path or pattern names, with their bytes.
fn texts_of(configuration: &[ConfigurationFile], path: &str) -> Vec<(String, Vec<u8>)> {
    let readable = configuration.iter().filter_map(|file| Some((file.path.clone(), file.text.clone()?)));
    readable.filter(|(candidate, _)| matches_pattern(path, candidate)).collect()
}

/// Whether a file's path is the one asked for, or one of those that a pattern ending in `*.conf` names.
fn matches_pattern(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((head, tail)) => {
            path.len() >= head.len() + tail.len()
                && path.starts_with(head)
                && path.ends_with(tail)
                && !path.get(head.len()..).unwrap_or_default().contains('/')
        }
    }
}
