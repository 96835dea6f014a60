//! `add` and `prove`: the new key's line, and a login with it.

use std::sync::Arc;

use super::{DeviceRun, Failure};
use crate::authorized_keys;
use crate::journal::{DeviceState, Kind, WriteKind};
use crate::remote::files::Files;
use crate::rotation::decide::{Direction, Standing};
use crate::rotation::event::{Said, StageState};
use crate::rotation::finding::{key, keys};
use crate::rotation::work::VersionKey;
use crate::rotation::{Stage, finding};

impl DeviceRun {
    /// Writes the new key's lines and logs in with it.
    pub(in crate::rotation) async fn add(&mut self) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        let Some(new) = work.new.clone() else {
            return Ok(());
        };
        self.standing = Standing::Touched;
        self.begin(Stage::Add).await?;
        work.stage(self.name(), Stage::Add, StageState::Running, Said::Adding);
        let made = if work.kind == Kind::Install { self.make_files().await } else { Ok(()) };
        let written = match made {
            Ok(()) => self.write_new_lines(&new).await,
            Err(failure) => Err(failure),
        };
        let added = self.told(Stage::Add, written)?;
        work.stage(self.name(), Stage::Add, StageState::Done, Said::Added { lines: added });
        work.audit("stage-add", self.name(), None).await;
        self.prove(&new).await
    }

    /// Brings the new key's lines into every file where they are missing; gives how many that were.
    pub(super) async fn write_new_lines(&mut self, new: &VersionKey) -> Result<usize, Failure> {
        let older = self.work.older.clone();
        let public = new.public.clone();
        let line = finding::installed_line(&public, self.work.options.as_deref());
        let install = self.work.kind == Kind::Install;
        let edit = move |text: &[u8]| {
            if install {
                authorized_keys::append(text, &line, key(&public))
            } else {
                authorized_keys::add(text, &keys(&older), key(&public))
            }
        };
        self.write_all(WriteKind::Add, &edit).await
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

    /// Logs in with the new key only; the session stays open for the removal.
    async fn prove(&mut self, new: &VersionKey) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        self.begin(Stage::Prove).await?;
        work.stage(self.name(), Stage::Prove, StageState::Running, Said::LoggingIn);
        let session = self.login(new, Direction::Forward).await;
        let session = self.told(Stage::Prove, session)?;
        self.proving = Some(session);
        self.standing = Standing::Proven;
        self.state = DeviceState::Proven;
        self.note_accepts(new, true);
        // Its line stands still: nothing has been taken out since.
        if let Some(entered) = self.entered.clone() {
            self.note_accepts(&entered, true);
        }
        self.save(None).await?;
        work.stage(self.name(), Stage::Prove, StageState::Done, Said::LoggedIn);
        Ok(())
    }
}
