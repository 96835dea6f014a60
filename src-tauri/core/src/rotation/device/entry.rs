//! Ways into a device: the session that writes, and logins that prove a key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::sleep;

use super::{DeviceRun, Failure};
use crate::device::Contact;
use crate::error::Report;
use crate::journal::{DeviceState, Proof};
use crate::remote::files::{Files, Reach, Way};
use crate::remote::program::{Elevation, FileState};
use crate::remote::{Answer, Connection, Entry, LogIn, RemoteError, Secret, Session, Unknown};
use crate::rotation::Problem;
use crate::rotation::Work;
use crate::rotation::decide::Direction;
use crate::rotation::work::{Authentication, VersionKey, answered, unanswered};

/// More are not offered on one connection, so that two at most are refused before one is accepted: a server counts them
/// (`MaxAuthTries`), and so do programs that read its log and shut addresses out.
const OFFERED_AT_ONCE: usize = 3;

impl DeviceRun {
    pub(super) async fn connect(&self, work: &Work) -> Result<Connection, Failure> {
        let route = work.route(&self.snapshot).await?;
        let mut turned_away = work.turned_away_pauses().into_iter();
        loop {
            let connected = work.connector.connect(&route).await;
            self.note_contact(connected.as_ref().err()).await;
            match connected {
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

    /// Lets the catalogue know what a connection has shown: a pinned key once, another key every time.
    async fn note_contact(&self, error: Option<&RemoteError>) {
        let mut way = vec![(self.snapshot.id, self.name())];
        let mut jump = &self.snapshot.jump;
        while let Some(next) = jump {
            way.push((next.device.id, next.device.name.as_str()));
            jump = &next.device.jump;
        }
        let contacts = Contact::of(&way, error);
        let known = error.is_none() && self.contact_noted.swap(true, Ordering::Relaxed);
        if !known {
            self.work.keywheel.note_contacts(contacts).await;
        }
    }

    /// Opens the session that writes, unless one stands.
    pub(super) async fn enter(&mut self) -> Result<(), Failure> {
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

    async fn enter_once(&mut self, work: &Work) -> Result<Session, Failure> {
        match &work.authentication {
            Authentication::Itself => self.enter_itself(work.resumed || self.standing.is_touched()).await,
            Authentication::Other { username, secret, .. } => {
                Ok(self.enter_with(work, username, std::slice::from_ref(secret)).await?.0)
            }
        }
    }

    /// Enters the account itself, with whichever version of the key it accepts, and notes which one that was.
    pub(super) async fn enter_itself(&mut self, may_have_new: bool) -> Result<Session, Failure> {
        let work = Arc::clone(&self.work);
        let mut keys = work.own_keys(may_have_new);
        let secrets: Vec<Secret> = keys.iter().map(VersionKey::secret).collect();
        let (session, index) = self.enter_with(&work, &work.username, &secrets).await?;
        if index < keys.len() {
            let entered = keys.swap_remove(index);
            work.note_entered(self.snapshot.id, entered.version).await?;
            self.entered = Some(entered);
        }
        Ok(session)
    }

    /// Logs in with the first of these secrets that is accepted, on as many connections as the server makes it; tells which
    /// one that was.
    async fn enter_with(
        &mut self,
        work: &Work,
        username: &str,
        secrets: &[Secret],
    ) -> Result<(Session, usize), Failure> {
        let wants_key = secrets.iter().any(|secret| matches!(secret, Secret::Key(_)));
        let mut left = secrets;
        let mut refused = 0;
        loop {
            let mut connection = self.connect(work).await?;
            self.local_address = connection.local_address();
            let methods = connection.methods(username).await?;
            if wants_key && !methods.contains(&russh::MethodKind::PublicKey) {
                let (device, username) = (self.name().to_owned(), username.to_owned());
                return Err(Problem::KeyLoginNotOffered { device, username }.into());
            }
            let offered = left.get(..OFFERED_AT_ONCE).unwrap_or(left);
            let passed = match connection.enter(username, offered).await {
                Ok(Entry::Entered(session, index)) => return Ok((*session, refused + index)),
                Ok(Entry::HungUp(next)) => next,
                Err(RemoteError::AuthenticationRefused { .. }) if offered.len() < left.len() => offered.len(),
                Err(error) => return Err(error.into()),
            };
            left = left.get(passed..).unwrap_or_default();
            refused += passed;
        }
    }

    pub(super) fn reach(&self, way: Way) -> Reach {
        let (elevation, password) = self.work.elevation();
        Reach { way, elevation, password, mark: self.work.mark(), deadline: self.work.connector.timeouts().stage }
    }

    /// How one file is reached: root works as itself where nobody else can lead it elsewhere, and else as the account.
    pub(super) fn reach_of(&self, way: Way, path: &str) -> Reach {
        let mut reach = self.reach(way);
        if self.roots_alone.iter().any(|alone| alone == path) {
            reach.elevation = Elevation::None;
        }
        reach
    }

    /// Whether root acts for the account.
    pub(super) fn is_entered_by_root(&self) -> bool {
        matches!(self.work.elevation().0, Elevation::RootSu { .. })
    }

    /// Remembers which of these files root writes as itself.
    pub(super) fn note_roots_alone(&mut self, files: &[FileState]) {
        let by_root = self.is_entered_by_root();
        let alone = files.iter().filter(|file| by_root && file.is_roots_alone());
        self.roots_alone = alone.map(|file| file.path.clone()).collect();
    }

    /// Removes what a dead program left beside these files.
    pub(super) async fn clean(&mut self, way: Way, files: &[FileState]) -> Result<(), Failure> {
        let (alone, others): (Vec<_>, Vec<_>) =
            files.iter().cloned().partition(|file| self.roots_alone.contains(&file.path));
        for files in [others, alone] {
            let Some(first) = files.first() else { continue };
            self.enter().await?;
            let Some(session) = &self.session else { return Err(Failure::NotProven(self.nothing_open())) };
            let reach = self.reach_of(way, &first.path);
            Files::new(session, &reach).clean(&files).await?;
        }
        Ok(())
    }

    pub(super) fn nothing_open(&self) -> Report {
        Report::of(&Problem::ConnectionGone { device: self.name().to_owned() })
    }

    /// A real login with one version of the key; unknown answers are asked for again.
    pub(super) async fn login(&mut self, version: &VersionKey, direction: Direction) -> Result<Session, Failure> {
        let mut pauses = self.work.pauses().into_iter();
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

    /// A real login with the version that the device had before this change: the one to leave or, where it is refused, any
    /// other. Tells which one.
    pub(super) async fn login_as_before(&mut self, direction: Direction) -> Result<Option<VersionKey>, Failure> {
        let mut refused = None;
        for version in self.work.before() {
            match self.login(&version, direction).await {
                Ok(session) => {
                    session.close().await;
                    return Ok(Some(version));
                }
                Err(Failure::Cause(cause)) => refused = refused.or(Some(cause)),
                Err(failure) => return Err(failure),
            }
        }
        refused.map_or(Ok(None), |cause| Err(Failure::Cause(cause)))
    }

    /// One try of a login: the session, or why the answer is unknown.
    pub(super) async fn login_once(
        &mut self,
        version: &VersionKey,
        direction: Direction,
    ) -> Result<Result<Session, Report>, Failure> {
        let work = Arc::clone(&self.work);
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
                self.note_accepts(version, false);
                Err(Failure::Cause(self.key_refused(version, answer)))
            }
        }
    }

    pub(super) fn unclear(&self, cause: Unknown) -> Report {
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
        Report::of(&Problem::KeyRefused {
            device: self.name().to_owned(),
            fingerprint: version.fingerprint(),
            username: self.work.username.clone(),
        })
    }

    /// Ends a connection on which something was refused with a login, so that our address gathers no penalty.
    pub(super) async fn close_with_login(&self, connection: Option<Connection>) {
        let (Some(connection), Some(new)) = (connection, &self.work.new) else { return };
        if let LogIn::Accepted(session) = connection.log_in(&self.work.username, &new.secret()).await {
            session.close().await;
        }
    }
}
