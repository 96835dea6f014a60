//! One device in a change: the stages, done and proven.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::RngExt;
use tokio::time::sleep;

use super::{
    Stage, Work,
    decide::{Direction, Standing, Trouble},
    event::StageState,
    finding::{self, Finding, Found, Goal, Judged, judge, key, keys},
    work::{Authentication, VersionKey, answered, unanswered},
};
use crate::{
    authorized_keys::{self, Edit, EditError},
    error::{Error, Explain, Report},
    journal::{
        self, Bytes, DeviceRecord, DeviceState, Effect, EffectResult, Kind, Proof, SnapshotDevice, Write, WriteKind,
    },
    key::{Fingerprint, PublicKey},
    remote::{
        Answer, Connection, Entry, LogIn, RemoteError, Secret, Session, Unknown,
        files::{FileError, Files, Reach, Way},
        program::ProgramError,
        sshd_config,
    },
};

/// A login counts for a removal for this long (rotation.md, invariant 3).
const PROOF_HOLDS: Duration = Duration::from_secs(30);

/// How often a write is tried against other writers.
const WRITE_TRIES: usize = 5;

/// Why a stage did not get through.
#[derive(Debug)]
pub(super) enum Failure {
    /// It failed for this cause.
    Cause(Report),
    /// The device's answer stayed unknown.
    NotProven(Report),
    /// The device still accepts the old key.
    OldKeyAccepted(Report),
    /// The journal, the keyring or the disk failed: the whole change is broken off.
    Broken(Box<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Broken(Box::new(error))
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        if matches!(error, RemoteError::Unclear { .. }) {
            return Self::NotProven(Report::of(&error));
        }
        Self::Cause(Report::of(&error))
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::Cause(Report::of(&error))
    }
}

/// One device in a change.
#[derive(Debug)]
pub(super) struct DeviceRun {
    work: Arc<Work>,
    pub(super) snapshot: SnapshotDevice,
    pub(super) position: usize,
    pub(super) standing: Standing,
    pub(super) cause: Option<Report>,
    pub(super) state: DeviceState,
    pub(super) accepts: Vec<Fingerprint>,
    pub(super) found: Option<Found>,
    /// Which way leads to the files, once that is known.
    way: Option<Way>,
    /// The session that writes, entered as configured.
    session: Option<Session>,
    /// The session opened by the last login with the new key.
    proving: Option<Session>,
    /// When a write was last sent whose answer did not come.
    unanswered: Option<Instant>,
}

impl DeviceRun {
    pub(super) fn new(work: Arc<Work>, snapshot: SnapshotDevice, position: usize) -> Self {
        Self {
            work,
            snapshot,
            position,
            standing: Standing::Waiting,
            cause: None,
            state: DeviceState::Waiting,
            accepts: Vec::new(),
            found: None,
            way: None,
            session: None,
            proving: None,
            unanswered: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.snapshot.name
    }

    /// Closes what is open, so that the server notes an orderly end.
    pub(super) async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
        if let Some(session) = self.proving.take() {
            session.close().await;
        }
    }

    // ---- check ----

    /// Connects, authenticates, finds and reads the files, and predicts what could fail. Nothing is written.
    pub(super) async fn check(&mut self) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        work.stage(self.name(), Stage::Check, StageState::Running, "connecting");
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
                work.stage(self.name(), Stage::Check, StageState::Done, "the key does not log in any more");
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
        self.found = Some(found);
        match problem {
            Some(problem) => self.failed(Stage::Check, problem),
            None => {
                if self.standing == Standing::Waiting {
                    self.standing = Standing::Checked;
                }
                let detail = format!("{lines} line{} in {files} file{}", plural(lines), plural(files));
                work.stage(self.name(), Stage::Check, StageState::Done, detail);
                Ok(())
            }
        }
    }

    fn failed(&mut self, stage: Stage, cause: Report) -> Result<(), Failure> {
        self.work.stage(self.name(), stage, StageState::Failed, cause.message.clone());
        Err(Failure::Cause(cause))
    }

    /// What `check` shows of this device.
    pub(super) fn finding(&self) -> Finding {
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
            },
        }
    }

    async fn look(&mut self) -> Result<Found, Failure> {
        if !self.snapshot.enabled {
            return Err(Failure::Cause(Report {
                code: "device-disabled".into(),
                message: format!("The device \"{}\" is disabled.", self.name()),
                hint: "Switch it on, or take it off the credential.".into(),
                subject: Some(self.name().to_owned()),
            }));
        }
        self.enter().await?;
        let paths: Vec<String> = self.snapshot.authorized_keys_path.iter().cloned().collect();
        let (probe, way) = self.probe(&paths).await?;
        self.way = Some(way);
        let text_of = |path: &str| -> Vec<(String, Vec<u8>)> {
            let readable = probe.configuration.iter().filter_map(|file| Some((file.path.clone(), file.text.clone()?)));
            readable.filter(|(candidate, _)| matches_pattern(path, candidate)).collect()
        };
        let configuration = (!probe.configuration.is_empty()).then(|| {
            sshd_config::authorized_keys_files(
                &text_of,
                &sshd_config::Connection {
                    user: probe.user.clone(),
                    groups: None,
                    home: probe.home.clone(),
                    uid: probe.uid.unwrap_or(0),
                    client_address: None,
                    local_address: None,
                    local_port: None,
                },
            )
        });
        // The device's own setting wins; else sshd's configuration, where it names other files than the usual ones.
        let mut probe = probe;
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
        if self.work.resumed {
            self.enter().await?;
        }
        if self.work.resumed
            && let Some(session) = &self.session
        {
            let reach = self.reach(way);
            Files::new(session, &reach).clean(&probe.files).await?;
        }
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
            goal: &goal,
        };
        let mut found = judge(&judged);
        self.check_login(&mut found).await?;
        if !self.standing.is_touched() {
            self.check_sharing(&mut found).await?;
        }
        Ok(found)
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
            found.finding.problems.push(Report {
                code: "same-key-elsewhere".into(),
                message: format!(
                    "On \"{}\", the credential \"{}\" logs in to the same account with the same key.",
                    self.name(),
                    other.name
                ),
                hint: "Take the device off one of the two credentials, or make them one.".into(),
                subject: Some(self.name().to_owned()),
            });
            found.finding.ready = false;
        }
        Ok(())
    }

    /// Where another credential authenticates, shows by a real login that the account accepts its current key.
    async fn check_login(&mut self, found: &mut Found) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        let others = matches!(work.authentication, Authentication::Other { .. });
        if !others || !matches!(work.kind, Kind::Rotate | Kind::Undo) {
            return Ok(());
        }
        match self.enter_with(&work, &work.username, &work.own_secrets(work.resumed)).await {
            Ok(session) => session.close().await,
            Err(Failure::Cause(cause) | Failure::NotProven(cause) | Failure::OldKeyAccepted(cause)) => {
                found.finding.problems.push(cause);
                found.finding.ready = false;
            }
            Err(broken @ Failure::Broken(_)) => return Err(broken),
        }
        Ok(())
    }

    async fn connect(&self, work: &Work) -> Result<Connection, Failure> {
        let route = work.route(&self.snapshot).await?;
        let mut turned_away = work.turned_away_pauses().into_iter();
        loop {
            match work.connector.connect(&route).await {
                Err(RemoteError::TurnedAway { device }) => {
                    let Some(pause) = turned_away.next() else {
                        return Err(RemoteError::TurnedAway { device }.into());
                    };
                    tracing::info!(device, seconds = pause.as_secs(), "turned away before the version line; waiting");
                    sleep(pause).await;
                }
                // A check says at once what it finds; once something is written, a short absence is waited out.
                Err(error) if error.is_passing() && self.is_under_way() => {
                    return Err(Failure::NotProven(Report::of(&error)));
                }
                Err(error) => return Err(error.into()),
                Ok(connection) => return Ok(connection),
            }
        }
    }

    /// Opens the session that writes, unless one stands.
    async fn enter(&mut self) -> Result<(), Failure> {
        if self.session.as_ref().is_some_and(Session::is_open) {
            return Ok(());
        }
        let work = Arc::clone(&self.work);
        let mut pauses = work.pauses().into_iter();
        loop {
            let entered = self.enter_once(&work).await;
            match entered {
                Ok(session) => {
                    self.session = Some(session);
                    return Ok(());
                }
                Err(Failure::NotProven(cause)) => match pauses.next() {
                    Some(pause) => sleep(pause).await,
                    None => return Err(Failure::NotProven(cause)),
                },
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Whether a stage that writes was begun in this process.
    fn is_under_way(&self) -> bool {
        self.standing.is_touched() && self.state == DeviceState::Running
    }

    async fn enter_once(&self, work: &Work) -> Result<Session, Failure> {
        let (username, secrets) = match &work.authentication {
            Authentication::Itself => {
                (work.username.clone(), work.own_secrets(work.resumed || self.standing.is_touched()))
            }
            Authentication::Other { username, secret, .. } => (username.clone(), vec![secret.clone()]),
        };
        self.enter_with(work, &username, &secrets).await
    }

    /// Logs in with the first of these secrets that is accepted, on as many connections as the server makes it.
    async fn enter_with(&self, work: &Work, username: &str, secrets: &[Secret]) -> Result<Session, Failure> {
        let wants_key = secrets.iter().any(|secret| matches!(secret, Secret::Key(_)));
        let mut left = secrets;
        loop {
            let mut connection = self.connect(work).await?;
            let methods = connection.methods(username).await?;
            if wants_key && !methods.contains(&russh::MethodKind::PublicKey) {
                return Err(Failure::Cause(Report {
                    code: "key-login-off".into(),
                    message: format!("The device \"{}\" offers no key login to \"{username}\".", self.name()),
                    hint: "Switch PubkeyAuthentication on in the device's sshd_config.".into(),
                    subject: Some(self.name().to_owned()),
                }));
            }
            match connection.enter(username, left).await? {
                Entry::Entered(session, _) => return Ok(*session),
                Entry::HungUp(next) => left = left.get(next..).unwrap_or_default(),
            }
        }
    }

    fn reach(&self, way: Way) -> Reach {
        let (elevation, password) = self.work.elevation();
        Reach { way, elevation, password, mark: self.work.mark(), deadline: self.work.connector.timeouts().stage }
    }

    /// Looks around by the shell way, or by SFTP where the account has nothing else.
    async fn probe(&mut self, paths: &[String]) -> Result<(crate::remote::program::Probe, Way), Failure> {
        let Some(session) = &self.session else {
            return Err(Failure::NotProven(self.nothing_open()));
        };
        let shell = self.reach(Way::Shell);
        let error = match Files::new(session, &shell).probe(paths).await {
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
        match Files::new(session, &sftp).probe(paths).await {
            Ok(probe) => Ok((probe, Way::Sftp)),
            Err(FileError::Remote(RemoteError::NoSftp { .. })) => Err(Failure::Cause(Report {
                code: "shell-and-sftp-unusable".into(),
                message: format!(
                    "The account \"{}\" on \"{}\" has neither shell nor SFTP.",
                    session.username(),
                    self.name()
                ),
                hint: "Change the key through another credential, or take the forced command or nologin shell away."
                    .into(),
                subject: Some(self.name().to_owned()),
            })),
            Err(error) => Err(error.into()),
        }
    }

    fn nothing_open(&self) -> Report {
        Report {
            code: "connection-cut".into(),
            message: format!("The connection to \"{}\" is gone.", self.name()),
            hint: "Check the network to the device, then try again.".into(),
            subject: Some(self.name().to_owned()),
        }
    }

    // ---- add and prove ----

    /// Writes the new key's lines and logs in with it.
    pub(super) async fn add(&mut self) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        let Some(new) = work.new.clone() else {
            return Ok(());
        };
        self.standing = Standing::Touched;
        self.begin(Stage::Add).await?;
        work.stage(self.name(), Stage::Add, StageState::Running, "writing the new key's line");
        let older = work.older.clone();
        let public = new.public.clone();
        let line = finding::installed_line(&public, work.options.as_deref());
        let install = work.kind == Kind::Install;
        let edit = move |text: &[u8]| {
            if install {
                authorized_keys::append(text, &line, key(&public))
            } else {
                authorized_keys::add(text, &keys(&older), key(&public))
            }
        };
        let written = match if install { self.make_files().await } else { Ok(()) } {
            Ok(()) => self.write_all(WriteKind::Add, &edit).await,
            Err(failure) => Err(failure),
        };
        let added = self.told(Stage::Add, written)?;
        let detail =
            if added == 0 { "it stands there already".to_owned() } else { format!("{added} line{}", plural(added)) };
        work.stage(self.name(), Stage::Add, StageState::Done, detail);
        work.audit("stage-add", self.name(), None).await;
        self.prove(&new).await
    }

    async fn make_files(&mut self) -> Result<(), Failure> {
        let Some(way) = self.found.as_ref().map(|found| found.way) else { return Ok(()) };
        let reach = self.reach(way);
        for path in self.paths() {
            self.enter().await?;
            let Some(session) = &self.session else {
                return Err(Failure::NotProven(self.nothing_open()));
            };
            Files::new(session, &reach).install(&path).await?;
        }
        Ok(())
    }

    /// Tells the watchers of a stage's failure, and passes it on.
    fn told<T>(&self, stage: Stage, result: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(failure) = &result {
            let (state, message) = match failure {
                Failure::NotProven(cause) => (StageState::Unknown, cause.message.clone()),
                Failure::Cause(cause) | Failure::OldKeyAccepted(cause) => (StageState::Failed, cause.message.clone()),
                Failure::Broken(error) => (StageState::Unknown, error.to_string()),
            };
            self.work.stage(self.name(), stage, state, message);
        }
        result
    }

    /// Logs in with the new key only; the session stays open for the removal.
    async fn prove(&mut self, new: &VersionKey) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        self.begin(Stage::Prove).await?;
        work.stage(self.name(), Stage::Prove, StageState::Running, "logging in with the new key");
        let session = self.login(new, Direction::Forward).await;
        let session = self.told(Stage::Prove, session)?;
        self.proving = Some(session);
        self.standing = Standing::Proven;
        self.state = DeviceState::Proven;
        self.note_accepts(new, true);
        if let Some(old) = &work.old {
            self.note_accepts(&old.clone(), true);
        }
        self.save(None).await?;
        work.stage(self.name(), Stage::Prove, StageState::Done, "the new key logs in");
        Ok(())
    }

    /// A real login with one version of the key; unknown answers are asked for again.
    async fn login(&self, version: &VersionKey, direction: Direction) -> Result<Session, Failure> {
        let work = &self.work;
        let mut pauses = work.pauses().into_iter();
        loop {
            let unknown = match self.login_once(version, direction).await? {
                Ok(session) => return Ok(session),
                Err(unknown) => unknown,
            };
            match pauses.next() {
                Some(pause) => sleep(pause).await,
                None => return Err(Failure::NotProven(unknown)),
            }
        }
    }

    /// One try of a login: the session, or why the answer is unknown.
    async fn login_once(&self, version: &VersionKey, direction: Direction) -> Result<Result<Session, Report>, Failure> {
        let work = &self.work;
        let route = work.route(&self.snapshot).await?;
        let device = self.snapshot.id;
        let connection = match work.connector.connect(&route).await {
            Ok(connection) => connection,
            Err(error) if error.is_passing() => return Ok(Err(Report::of(&error))),
            Err(error) => return Err(error.into()),
        };
        let (host_key, server) = (connection.host_key(), connection.server_version());
        match connection.log_in(&work.username, &version.secret()).await {
            LogIn::Accepted(session) => {
                let result = answered(true, host_key.as_ref(), server);
                work.note_answer(device, direction, version, Proof::Login, result).await?;
                Ok(Ok(*session))
            }
            LogIn::Not(Answer::Unknown(cause), _) => {
                work.note_answer(device, direction, version, Proof::Login, unanswered(cause)).await?;
                Ok(Err(self.unclear(cause)))
            }
            LogIn::Not(answer, _) => {
                let result = answered(false, host_key.as_ref(), server);
                work.note_answer(device, direction, version, Proof::Login, result).await?;
                Err(Failure::Cause(self.key_refused(version, answer)))
            }
        }
    }

    fn unclear(&self, cause: Unknown) -> Report {
        Report::of(&RemoteError::Unclear {
            device: self.name().to_owned(),
            username: self.work.username.clone(),
            cause,
        })
    }

    fn key_refused(&self, version: &VersionKey, answer: Answer) -> Report {
        if answer == Answer::Partial {
            return Report::of(&RemoteError::SecondFactor {
                device: self.name().to_owned(),
                username: self.work.username.clone(),
            });
        }
        Report {
            code: "key-refused".into(),
            message: format!(
                "The device \"{}\" refuses the key {} of \"{}\", although its line stands in the file.",
                self.name(),
                version.fingerprint(),
                self.work.username
            ),
            hint: "Look at sshd's log there: StrictModes, PubkeyAcceptedAlgorithms and from= are the usual causes."
                .into(),
            subject: Some(self.name().to_owned()),
        }
    }

    // ---- remove and refuse ----

    /// Takes the old key's lines out and sees the old key refused.
    pub(super) async fn remove(&mut self) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        let uninstall = work.kind == Kind::Uninstall;
        self.begin(Stage::Remove).await?;
        work.stage(self.name(), Stage::Remove, StageState::Running, "taking the old key's line out");
        if !uninstall {
            let proven = self.prove_afresh().await;
            self.told(Stage::Remove, proven)?;
        }
        self.standing = Standing::Removing;
        self.begin(Stage::Remove).await?;
        let older = work.older.clone();
        let keep = work.new.as_ref().map(|new| new.public.clone());
        let edit = move |text: &[u8]| match &keep {
            Some(keep) if !uninstall => authorized_keys::remove(text, &keys(&older), key(keep)),
            _ => Ok(authorized_keys::withdraw(text, &keys(&older))),
        };
        let written = match self.write_all(WriteKind::Remove, &edit).await {
            // The answer was lost, and who would look again was taken out: it is gone from every file, as `refuse` shows.
            Err(Failure::Cause(cause))
                if uninstall && self.unanswered.is_some() && cause.code == "authentication-refused" =>
            {
                Ok(0)
            }
            written => written,
        };
        let removed = self.told(Stage::Remove, written)?;
        let detail =
            if removed == 0 { "it is out already".to_owned() } else { format!("{removed} line{}", plural(removed)) };
        work.stage(self.name(), Stage::Remove, StageState::Done, detail);
        work.audit("stage-remove", self.name(), None).await;
        self.refuse().await
    }

    /// Makes sure that the new key logged in within the last seconds, over a session that still stands.
    async fn prove_afresh(&mut self) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        let Some(new) = &work.new else { return Ok(()) };
        let fresh = self
            .proving
            .as_ref()
            .is_some_and(|session| session.is_open() && session.logged_in().elapsed() < PROOF_HOLDS / 2);
        if fresh {
            return Ok(());
        }
        if let Some(stale) = self.proving.take() {
            stale.close().await;
        }
        self.proving = Some(self.login(new, Direction::Forward).await?);
        Ok(())
    }

    /// Asks the old key, which must be refused, then logs in with the new one.
    async fn refuse(&mut self) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        self.begin(Stage::Refuse).await?;
        work.stage(self.name(), Stage::Refuse, StageState::Running, "asking for the old key");
        let mut pauses = work.pauses().into_iter();
        let verdict = loop {
            let asked = self.refuse_once().await;
            match self.told(Stage::Refuse, asked)? {
                Ok(verdict) => break verdict,
                Err(unknown) => match pauses.next() {
                    Some(pause) => sleep(pause).await,
                    None => {
                        work.stage(self.name(), Stage::Refuse, StageState::Unknown, unknown.message.clone());
                        return Err(Failure::NotProven(unknown));
                    }
                },
            }
        };
        match verdict {
            Verdict::Changed => {
                self.standing = Standing::Changed;
                self.state = DeviceState::Changed;
                self.save(None).await?;
                let detail = match work.new {
                    Some(_) => "the old key is refused, the new one logs in",
                    None => "the key is refused",
                };
                work.stage(self.name(), Stage::Refuse, StageState::Done, detail);
                self.close().await;
                Ok(())
            }
            Verdict::OldAccepted => {
                let cause = Report {
                    code: "old-key-accepted".into(),
                    message: format!(
                        "The device \"{}\" still accepts the old key after its line was taken out.",
                        self.name()
                    ),
                    hint: "Look for a second file (AuthorizedKeysFile), an AuthorizedKeysCommand, or another writer."
                        .into(),
                    subject: Some(self.name().to_owned()),
                };
                work.stage(self.name(), Stage::Refuse, StageState::Failed, cause.message.clone());
                Err(Failure::OldKeyAccepted(cause))
            }
            Verdict::NewRefused(cause) => {
                work.stage(self.name(), Stage::Refuse, StageState::Failed, cause.message.clone());
                self.put_back().await?;
                Err(Failure::Cause(cause))
            }
        }
    }

    /// One try: a verdict, or why the answer is unknown.
    async fn refuse_once(&mut self) -> Result<Result<Verdict, Report>, Failure> {
        let work = Arc::clone(&self.work);
        let Some(old) = &work.old else { return Ok(Ok(Verdict::Changed)) };
        let route = work.route(&self.snapshot).await?;
        let connection = match work.connector.connect(&route).await {
            Ok(connection) => connection,
            Err(error) if error.is_passing() => return Ok(Err(Report::of(&error))),
            Err(error) => return Err(error.into()),
        };
        let (host_key, server) = (connection.host_key(), connection.server_version());
        // Only these answer the question truly; elsewhere only a login says what is so (tinysshd says yes to every key).
        let truthful = server.contains("OpenSSH") || server.contains("dropbear");
        let (answer, by, rest) = if truthful {
            let (answer, rest) = connection.ask(&work.username, &old.public).await;
            (answer, Proof::Question, rest)
        } else {
            match connection.log_in(&work.username, &old.secret()).await {
                LogIn::Accepted(session) => {
                    session.close().await;
                    (Answer::Accepted, Proof::Login, None)
                }
                LogIn::Not(answer, rest) => (answer, Proof::Login, rest.map(|rest| *rest)),
            }
        };
        let result = match answer {
            Answer::Unknown(cause) => unanswered(cause),
            answer => answered(answer != Answer::Refused, host_key.as_ref(), server),
        };
        work.note_answer(self.snapshot.id, Direction::Forward, old, by, result).await?;
        match answer {
            Answer::Unknown(cause) => return Ok(Err(self.unclear(cause))),
            Answer::Accepted | Answer::Partial => {
                self.note_accepts(old, true);
                self.close_with_login(rest).await;
                return Ok(Ok(Verdict::OldAccepted));
            }
            Answer::Refused => self.note_accepts(old, false),
        }
        let Some(new) = &work.new else {
            self.close_with_login(rest).await;
            return Ok(Ok(Verdict::Changed));
        };
        let session = match rest {
            Some(connection) => {
                let (host_key, server) = (connection.host_key(), connection.server_version());
                match connection.log_in(&work.username, &new.secret()).await {
                    LogIn::Accepted(session) => {
                        let result = answered(true, host_key.as_ref(), server);
                        work.note_answer(self.snapshot.id, Direction::Forward, new, Proof::Login, result).await?;
                        Ok(*session)
                    }
                    LogIn::Not(Answer::Unknown(cause), _) => Err(self.unclear(cause)),
                    // The server may count refusals (MaxAuthTries 1); a connection of its own says what is so.
                    LogIn::Not(..) => match self.login_once(new, Direction::Forward).await {
                        Ok(session) => session,
                        Err(Failure::Cause(cause)) => return Ok(Ok(Verdict::NewRefused(cause))),
                        Err(failure) => return Err(failure),
                    },
                }
            }
            None => match self.login_once(new, Direction::Forward).await {
                Ok(session) => session,
                Err(Failure::Cause(cause)) => return Ok(Ok(Verdict::NewRefused(cause))),
                Err(failure) => return Err(failure),
            },
        };
        match session {
            Ok(session) => {
                session.close().await;
                self.note_accepts(new, true);
                Ok(Ok(Verdict::Changed))
            }
            Err(unknown) => Ok(Err(unknown)),
        }
    }

    /// Ends a connection on which something was refused with a login, so that our address gathers no penalty.
    async fn close_with_login(&self, connection: Option<Connection>) {
        let (Some(connection), Some(new)) = (connection, &self.work.new) else { return };
        if let LogIn::Accepted(session) = connection.log_in(&self.work.username, &new.secret()).await {
            session.close().await;
        }
    }

    /// The new key is not accepted after the removal: the session still open puts the old lines back before anything else.
    async fn put_back(&mut self) -> Result<(), Failure> {
        let remembered = self.remembered().await?;
        let Some(new) = self.work.new.clone() else { return Ok(()) };
        for (path, lines) in remembered.removed {
            let public = new.public.clone();
            let edit = move |text: &[u8]| Ok(authorized_keys::restore(text, &lines, key(&public)));
            self.write(&path, WriteKind::Restore, Direction::Back, &edit).await?;
        }
        self.note_accepts(&new, false);
        if let Some(old) = self.work.old.clone() {
            self.login(&old, Direction::Back).await?.close().await;
            self.note_accepts(&old, true);
        }
        Ok(())
    }

    // ---- the way back ----

    /// Puts the device back on the old key: old lines in, old key proven, only then our lines out, then proven again.
    pub(super) async fn take_back(&mut self) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        if let Some(sent) = self.unanswered {
            // The program of a dead connection goes on until its deadline; what it writes must not come after us.
            let deadline = work.connector.timeouts().stage;
            sleep(deadline.saturating_sub(sent.elapsed())).await;
        }
        // From here on the old key's line may stand there again.
        if self.standing == Standing::Changed {
            self.standing = Standing::Removing;
        }
        self.begin(Stage::Refuse).await?;
        let remembered = self.remembered().await?;
        self.look_back(&remembered).await?;
        for (path, lines) in &remembered.removed {
            let beside = work.new.as_ref().map(|new| new.public.clone());
            let edit = |text: &[u8]| {
                let beside = beside.as_ref().or(work.older.first());
                Ok(match beside {
                    Some(beside) => authorized_keys::restore(text, lines, key(beside)),
                    None => authorized_keys::withdraw(text, &[]),
                })
            };
            self.write(path, WriteKind::Restore, Direction::Back, &edit).await?;
        }
        let old = work.old.clone().filter(|_| work.kind != Kind::Install);
        if let Some(old) = &old {
            self.login(old, Direction::Back).await?.close().await;
            self.note_accepts(old, true);
        }
        // The old key logs in; from here on the new key's line may be gone.
        if self.standing != Standing::Touched && old.is_some() && work.new.is_some() {
            self.standing = Standing::Touched;
            self.save(Some(Stage::Refuse)).await?;
        }
        if let Some(new) = &work.new {
            for (path, lines) in &remembered.added {
                let public = new.public.clone();
                let proven = old.as_ref().map(|old| old.public.clone());
                let edit = |text: &[u8]| {
                    let edit = authorized_keys::take_back(text, lines, key(&public));
                    match &proven {
                        Some(proven) => holds_instead(edit, proven),
                        None => Ok(edit),
                    }
                };
                self.write(path, WriteKind::TakeBack, Direction::Back, &edit).await?;
            }
            if let Some(old) = &old
                && !remembered.added.is_empty()
            {
                self.login(old, Direction::Back).await?.close().await;
            }
            // Lines of it that stood there before are not ours, and stay.
            if !remembered.added.is_empty() && !remembered.stood_before {
                self.note_accepts(new, false);
            }
        }
        self.standing = Standing::Back;
        self.state = DeviceState::RolledBack;
        self.save(None).await?;
        work.audit("stage-roll-back", self.name(), None).await;
        self.close().await;
        Ok(())
    }

    /// Finds the way to the files where this process has not been there, and removes what a dead program left beside them.
    async fn look_back(&mut self, remembered: &Remembered) -> Result<(), Failure> {
        let unclean = self.unanswered.take().is_some() || self.work.resumed;
        if self.way.is_some() && !unclean {
            return Ok(());
        }
        let mut paths: Vec<String> = Vec::new();
        for (path, _) in remembered.added.iter().chain(&remembered.removed) {
            if !paths.contains(path) {
                paths.push(path.clone());
            }
        }
        if paths.is_empty() {
            paths.extend(self.snapshot.authorized_keys_path.clone());
        }
        self.enter().await?;
        let (probe, way) = self.probe(&paths).await?;
        self.way = Some(way);
        if unclean && let Some(session) = &self.session {
            let reach = self.reach(way);
            Files::new(session, &reach).clean(&probe.files).await?;
        }
        Ok(())
    }

    /// What the journal remembers of this device's files.
    async fn remembered(&self) -> Result<Remembered, Failure> {
        let (id, device) = (self.work.id(), self.snapshot.id);
        let effects = self.work.journal(move |connection| journal::effect::list(connection, id)).await?;
        let mut remembered = Remembered::default();
        for effect in effects {
            let (Some(of), Effect::Write(write)) = (effect.device, effect.effect) else { continue };
            if of != device || matches!(effect.result, Some(EffectResult::Failed { .. })) {
                continue;
            }
            remembered.stood_before |= write.write == WriteKind::Add && write.stood_before > 0;
            let lines = |lines: Vec<Bytes>| lines.into_iter().map(|line| line.0).collect::<Vec<_>>();
            match write.write {
                WriteKind::Add => Remembered::keep(&mut remembered.added, write.path, lines(write.added)),
                WriteKind::Remove => Remembered::keep(&mut remembered.removed, write.path, lines(write.removed)),
                WriteKind::Restore | WriteKind::TakeBack => {}
            }
        }
        Ok(remembered)
    }

    // ---- writing ----

    fn paths(&self) -> Vec<String> {
        self.found.iter().flat_map(|found| found.targets.iter().map(|target| target.path.clone())).collect()
    }

    /// Edits all files that were found, one after the other; gives how many lines were added or taken out.
    async fn write_all(
        &mut self,
        kind: WriteKind,
        edit: &(dyn Fn(&[u8]) -> Result<Edit, EditError> + Send + Sync),
    ) -> Result<usize, Failure> {
        let mut lines = 0;
        for path in self.paths() {
            lines += self.write(&path, kind, Direction::Forward, edit).await?;
        }
        Ok(lines)
    }

    /// Edits one file until its goal is reached; gives how many lines were added or taken out.
    ///
    /// The edit is a function of the text just read. Other writers, lost answers and late writes are met by reading again:
    /// a file whose goal is reached is done, whoever reached it.
    async fn write(
        &mut self,
        path: &str,
        kind: WriteKind,
        direction: Direction,
        edit: &(dyn Fn(&[u8]) -> Result<Edit, EditError> + Send + Sync),
    ) -> Result<usize, Failure> {
        let work = Arc::clone(&self.work);
        let mut pauses = work.pauses().into_iter();
        let mut conflicts = 0;
        let mut lines = 0;
        loop {
            let error = match self.write_once(path, kind, direction, edit, &mut lines).await? {
                Ok(()) => return Ok(lines),
                Err(error) => error,
            };
            if error.is_conflict() {
                conflicts += 1;
                if conflicts >= WRITE_TRIES {
                    return Err(error.into());
                }
                let pause = rand::rng().random_range(20..200);
                sleep(Duration::from_millis(pause)).await;
            } else if error.is_passing() {
                self.session = self.session.take().filter(|_| !error.is_unanswered());
                self.proving = self.proving.take().filter(|_| !error.is_unanswered());
                let Some(pause) = pauses.next() else {
                    return Err(error.into());
                };
                sleep(pause).await;
            } else {
                return Err(error.into());
            }
        }
    }

    async fn write_once(
        &mut self,
        path: &str,
        kind: WriteKind,
        direction: Direction,
        edit: &(dyn Fn(&[u8]) -> Result<Edit, EditError> + Send + Sync),
        lines: &mut usize,
    ) -> Result<Result<(), FileError>, Failure> {
        let work = Arc::clone(&self.work);
        let reach = self.reach(self.way.unwrap_or(Way::Shell));
        // The removal goes over the session that the new key opened, which stays open until the old one is refused.
        if kind == WriteKind::Remove && work.kind != Kind::Uninstall {
            self.prove_afresh().await?;
        }
        let session = self.writing(kind).await?;
        let file = match Files::new(session, &reach).read(path).await {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let planned = edit(&file.bytes).map_err(|error| {
            Failure::Cause(Report {
                code: error.code().to_owned(),
                message: format!("On \"{}\", {path}: {error}", self.name()),
                hint: error.hint(),
                subject: Some(self.name().to_owned()),
            })
        })?;
        if planned.changes_nothing() {
            return Ok(Ok(()));
        }
        let contents = |lines: &[authorized_keys::Line]| lines.iter().map(|line| Bytes(line.bytes.clone())).collect();
        let write = Write {
            write: kind,
            path: path.to_owned(),
            resolved: file.resolved.clone(),
            before: journal::effect::hash(&planned.before),
            after: journal::effect::hash(&planned.after),
            added: contents(&planned.added),
            removed: contents(&planned.removed),
            stood_before: planned.stood_before,
        };
        let texts = vec![planned.before.clone(), planned.after.clone()];
        let effect = work.intend(Some(self.snapshot.id), direction, Effect::Write(write), texts).await?;
        // A slow device may have taken longer over the reading than a proof holds; and where a connection has one channel, the
        // reading has spent it.
        if kind == WriteKind::Remove && work.kind != Kind::Uninstall {
            self.prove_afresh().await?;
            if self.proving.as_ref().is_some_and(Session::has_one_channel) {
                // Kept to put the old lines back over, if need be.
                self.enter().await?;
            }
        }
        let session = self.writing(kind).await?;
        let sent = Instant::now();
        let written = Files::new(session, &reach).write(&file.resolved, &planned.before, &planned.after).await;
        let (result, outcome) = match written {
            Ok(written) => {
                let hash = journal::effect::hash(&planned.after);
                *lines += planned.added.len() + planned.removed.len();
                (EffectResult::Written { hash, carried_over: written.carried_over }, Ok(()))
            }
            Err(error) if error.is_unanswered() => {
                self.unanswered = Some(sent);
                (EffectResult::Unknown { cause: Unknown::Cut }, Err(error))
            }
            Err(error) => (EffectResult::Failed { cause: Report::of(&error) }, Err(error)),
        };
        work.conclude(effect, result).await?;
        Ok(outcome)
    }

    /// The session that a write of this kind goes over.
    async fn writing(&mut self, kind: WriteKind) -> Result<&Session, Failure> {
        // Where the new key is refused after all, that session may be the last one that can put the old lines back.
        let own = matches!(self.work.authentication, Authentication::Itself);
        let over_proving = matches!(kind, WriteKind::Remove | WriteKind::Restore);
        let use_proving = own && over_proving && self.proving.as_ref().is_some_and(Session::is_open);
        if !use_proving {
            self.enter().await?;
        }
        let session = if use_proving { &self.proving } else { &self.session };
        session.as_ref().ok_or_else(|| Failure::NotProven(self.nothing_open()))
    }

    // ---- the journal's view of the device ----

    fn note_accepts(&mut self, version: &VersionKey, accepted: bool) {
        let fingerprint = version.fingerprint();
        self.accepts.retain(|known| *known != fingerprint);
        if accepted {
            self.accepts.push(fingerprint);
        }
    }

    async fn begin(&mut self, stage: Stage) -> Result<(), Failure> {
        self.state = DeviceState::Running;
        self.save(Some(stage)).await
    }

    async fn save(&self, stage: Option<Stage>) -> Result<(), Failure> {
        Ok(self.work.record_device(self.record(stage)).await?)
    }

    pub(super) fn record(&self, stage: Option<Stage>) -> DeviceRecord {
        DeviceRecord {
            device: self.snapshot.id,
            position: self.position,
            state: self.state,
            standing: self.standing,
            stage,
            cause: self.cause.clone(),
            accepts: self.accepts.clone(),
            at: self.work.now(),
        }
    }

    /// Notes a failure of a stage, and tells what it means for the change.
    pub(super) async fn note_failure(&mut self, stage: Stage, failure: Failure) -> Result<Trouble, Error> {
        let (state, cause, trouble) = match failure {
            Failure::Broken(error) => return Err(*error),
            Failure::Cause(cause) => (DeviceState::Failed, cause, Trouble::At(stage)),
            Failure::NotProven(cause) => (DeviceState::NotProven, cause, Trouble::At(stage)),
            Failure::OldKeyAccepted(cause) => (DeviceState::OldKeyAccepted, cause, Trouble::OldKeyAccepted),
        };
        self.state = state;
        self.cause = Some(cause);
        self.work.record_device(self.record(Some(stage))).await?;
        Ok(trouble)
    }
}

enum Verdict {
    Changed,
    OldAccepted,
    NewRefused(Report),
}

/// Lines that the journal remembers, by path.
#[derive(Debug, Default)]
struct Remembered {
    added: Vec<(String, Vec<Vec<u8>>)>,
    removed: Vec<(String, Vec<Vec<u8>>)>,
    /// Whether lines of the new key stood there that are not ours.
    stood_before: bool,
}

impl Remembered {
    /// Joins what one write did to what is known: a line counts as often as it stood in the write that had it most often, so
    /// that a repeated try does not double it and a doubled line stays doubled.
    fn keep(list: &mut Vec<(String, Vec<Vec<u8>>)>, path: String, lines: Vec<Vec<u8>>) {
        let Some((_, kept)) = list.iter_mut().find(|(known, _)| *known == path) else {
            list.push((path, lines));
            return;
        };
        let mut spare = kept.clone();
        for line in lines {
            match spare.iter().position(|known| *known == line) {
                Some(index) => drop(spare.swap_remove(index)),
                None => kept.push(line),
            }
        }
    }
}

/// Refuses an edit that would leave a removed line without a line of the proven key with the same options.
fn holds_instead(edit: Edit, proven: &PublicKey) -> Result<Edit, EditError> {
    let kept = authorized_keys::lines(&edit.after, key(proven));
    match edit.removed.iter().find(|removed| !kept.iter().any(|line| line.options == removed.options)) {
        Some(removed) => Err(EditError::NewLineGone { line: removed.number }),
        None => Ok(edit),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
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
