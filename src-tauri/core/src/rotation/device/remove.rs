//! `remove` and `refuse`: the old key's line out, and both keys asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{DeviceRun, Failure};
use crate::authorized_keys;
use crate::error::Report;
use crate::journal::{DeviceState, Kind, Proof, WriteKind};
use crate::remote::{Answer, Connection, LogIn};
use crate::rotation::Problem;
use crate::rotation::Stage;
use crate::rotation::accepts::ask_truly;
use crate::rotation::decide::{Direction, Standing};
use crate::rotation::event::{Said, StageState};
use crate::rotation::finding::{key, keys};
use crate::rotation::work::{answered, unanswered};

/// A login counts for a removal for this long (rotation.md, invariant 3).
const PROOF_HOLDS: Duration = Duration::from_secs(30);

impl DeviceRun {
    /// Takes the old key's lines out and sees the old key refused.
    pub(in crate::rotation) async fn remove(&mut self) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        let uninstall = work.kind == Kind::Uninstall;
        self.begin(Stage::Remove).await?;
        work.stage(self.name(), Stage::Remove, StageState::Running, Said::Removing);
        if let Some(new) = work.new.clone().filter(|_| !uninstall) {
            // Somebody may have put the old file back since another process proved the new key.
            if work.resumed {
                let written = self.write_new_lines(&new).await;
                self.told(Stage::Remove, written)?;
            }
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
        work.stage(self.name(), Stage::Remove, StageState::Done, Said::Removed { lines: removed });
        work.audit("stage-remove", self.name(), None).await;
        self.refuse().await
    }

    /// Makes sure that the new key logged in within the last seconds, over a session that still stands.
    pub(super) async fn prove_afresh(&mut self) -> Result<(), Failure> {
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
        work.stage(self.name(), Stage::Refuse, StageState::Running, Said::Asking);
        let mut pauses = work.pauses().into_iter();
        let verdict = loop {
            let asked = self.refuse_once().await;
            match self.told(Stage::Refuse, asked)? {
                Ok(verdict) => break verdict,
                Err(unknown) => match pauses.next() {
                    Some(pause) => sleep(pause).await,
                    None => {
                        work.trouble(self.name(), Stage::Refuse, StageState::Unknown, &unknown);
                        return Err(Failure::NotProven(unknown));
                    }
                },
            }
        };
        match verdict {
            Verdict::Changed => {
                if work.new.is_some() {
                    let paths = self.paths();
                    self.tidy(&paths).await;
                }
                self.standing = Standing::Changed;
                self.state = DeviceState::Changed;
                self.save(None).await?;
                let said = if work.new.is_some() { Said::OldRefused } else { Said::Refused };
                work.stage(self.name(), Stage::Refuse, StageState::Done, said);
                if work.is_emergency() {
                    self.look_for_other_keys().await?;
                }
                self.close().await;
                Ok(())
            }
            Verdict::OldAccepted => {
                let cause = Report::of(&Problem::OldKeyAccepted { device: self.name().to_owned() });
                work.trouble(self.name(), Stage::Refuse, StageState::Failed, &cause);
                Err(Failure::OldKeyAccepted(cause))
            }
            Verdict::NewRefused(cause) => {
                work.trouble(self.name(), Stage::Refuse, StageState::Failed, &cause);
                self.put_back().await?;
                Err(Failure::Cause(cause))
            }
        }
    }

    /// One try: a verdict, or why the answer is unknown.
    async fn refuse_once(&mut self) -> Result<Result<Verdict, Report>, Failure> {
        let work = Arc::clone(&self.work);
        let route = work.route(&self.snapshot).await?;
        let mut rest: Option<Connection> = None;
        for old in work.to_refuse(self.snapshot.id).await? {
            let connection = match rest.take() {
                Some(connection) => connection,
                None => match work.connector.connect(&route).await {
                    Ok(connection) => connection,
                    Err(error) if error.is_passing() => return Ok(Err(Report::of(&error))),
                    Err(error) => return Err(error.into()),
                },
            };
            let (host_key, server) = (connection.host_key(), connection.server_version());
            let (answer, by, left) = ask_truly(connection, &work.username, &old).await;
            rest = left;
            let result = match answer {
                Answer::Unknown(cause) => unanswered(cause),
                answer => answered(answer != Answer::Refused, host_key.as_ref(), server),
            };
            work.note_answer(self.snapshot.id, Direction::Forward, &old, by, result).await?;
            match answer {
                Answer::Unknown(cause) => return Ok(Err(self.unclear(cause))),
                Answer::Accepted | Answer::Partial => {
                    self.note_accepts(&old, true);
                    self.close_with_login(rest).await;
                    return Ok(Ok(Verdict::OldAccepted));
                }
                Answer::Refused => self.note_accepts(&old, false),
            }
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

    /// The new key is not accepted after the removal: the session still open puts the old lines back before anything else;
    /// where the old key is compromised, the new one's instead.
    async fn put_back(&mut self) -> Result<(), Failure> {
        let remembered = self.remembered().await?;
        let Some(new) = self.work.new.clone() else { return Ok(()) };
        if self.work.is_emergency() {
            for (path, lines) in remembered.added {
                let public = new.public.clone();
                let edit = move |text: &[u8]| Ok(authorized_keys::restore(text, &lines, key(&public)));
                self.write(&path, WriteKind::Restore, Direction::Forward, &edit).await?;
            }
            self.note_accepts(&new, false);
            return Ok(());
        }
        for (path, lines) in remembered.removed {
            let public = new.public.clone();
            let edit = move |text: &[u8]| Ok(authorized_keys::restore(text, &lines, key(&public)));
            self.write(&path, WriteKind::Restore, Direction::Back, &edit).await?;
        }
        self.note_accepts(&new, false);
        if let Some(before) = self.login_as_before(Direction::Back).await? {
            self.note_accepts(&before, true);
        }
        Ok(())
    }
}

enum Verdict {
    Changed,
    OldAccepted,
    NewRefused(Report),
}
