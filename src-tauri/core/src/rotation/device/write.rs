//! Editing one file until its goal is reached.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::time::sleep;

use super::{DeviceRun, Failure};
use crate::authorized_keys::{Edit, EditError};
use crate::error::Report;
use crate::journal::{Bytes, Effect, EffectResult, Kind, Write, WriteKind};
use crate::remote::files::{FileError, Files, Way};
use crate::remote::{Session, Unknown};
use crate::rotation::Problem;
use crate::rotation::decide::Direction;
use crate::rotation::work::Authentication;
use crate::{authorized_keys, journal};

/// How often a file is tried against other writers.
pub(super) const CONFLICT_TRIES: usize = 5;

/// How long another writer is given; random, so that two of a kind don't meet again.
pub(super) fn conflict_pause() -> Duration {
    Duration::from_millis(rand::rng().random_range(20..200))
}

impl DeviceRun {
    pub(super) fn paths(&self) -> Vec<String> {
        self.found.iter().flat_map(|found| found.targets.iter().map(|target| target.path.clone())).collect()
    }

    /// Edits all files that were found, one after the other; gives how many lines were added or taken out.
    pub(super) async fn write_all(
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
    pub(super) async fn write(
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
                if conflicts >= CONFLICT_TRIES {
                    return Err(error.into());
                }
                sleep(conflict_pause()).await;
            } else if error.is_passing() {
                self.session = self.session.take().filter(|_| !error.is_unclean());
                self.proving = self.proving.take().filter(|_| !error.is_unclean());
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
        let reach = self.reach_of(self.way.unwrap_or(Way::Shell), path);
        // The removal goes over the session that the new key opened, which stays open until the old one is refused.
        if kind == WriteKind::Remove && work.kind != Kind::Uninstall {
            self.prove_afresh().await?;
        }
        let session = self.writing(kind).await?;
        let file = match Files::new(session, &reach).read(path).await {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let planned = edit(&file.bytes).map_err(|source| Problem::Edit {
            device: self.name().to_owned(),
            path: path.to_owned(),
            source,
        })?;
        if planned.changes_nothing() {
            return Ok(Ok(()));
        }
        let contents = |lines: &[authorized_keys::Line]| lines.iter().map(|line| Bytes(line.bytes.clone())).collect();
        let write = Write {
            write: kind,
            path: path.to_owned(),
            resolved: file.resolved.clone(),
            way: Some(reach.way),
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
                // What was read back, not what was meant: somebody may have appended meanwhile.
                let hash = if written.holds(&planned.after) {
                    journal::effect::hash(&planned.after)
                } else {
                    written.checksum.to_string()
                };
                *lines += planned.added.len() + planned.removed.len();
                (EffectResult::Written { hash, carried_over: written.carried_over }, Ok(()))
            }
            Err(error) => {
                if error.is_unclean() {
                    self.unanswered = Some(sent);
                }
                let result = if error.is_unanswered() {
                    EffectResult::Unknown { cause: Unknown::Cut }
                } else {
                    EffectResult::Failed { cause: Report::of(&error) }
                };
                (result, Err(error))
            }
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
}
