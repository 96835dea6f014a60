//! The way back: the old key in and proven before the new one goes.

use std::sync::Arc;

use tokio::time::sleep;

use super::{DeviceRun, Failure};
use crate::authorized_keys::{Edit, EditError};
use crate::journal::{Bytes, DeviceState, Effect, EffectResult, Kind, WriteKind};
use crate::key::PublicKey;
use crate::rotation::Stage;
use crate::rotation::decide::{Direction, Standing};
use crate::rotation::finding::key;
use crate::{authorized_keys, journal};

impl DeviceRun {
    /// Puts the device back on the old key: old lines in, old key proven, only then our lines out, then proven again.
    pub(in crate::rotation) async fn take_back(&mut self) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        // What the program of a dead connection writes must not come after us.
        self.outwait_late_write().await;
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
        let old = match work.kind {
            Kind::Install => None,
            _ => self.login_as_before(Direction::Back).await?,
        };
        if let Some(old) = &old {
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
        self.tidy(&remembered.paths()).await;
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
        // What this device failed with may be the way itself: a shell that runs nothing any more.
        if self.way.is_some() && self.cause.is_none() && !unclean {
            return Ok(());
        }
        let mut paths = remembered.paths();
        if paths.is_empty() {
            paths.extend(self.snapshot.authorized_keys_path.clone());
        }
        self.enter().await?;
        let (probe, way) = self.probe(&paths).await?;
        self.way = Some(way);
        self.note_roots_alone(&probe.files);
        if unclean {
            self.clean(way, &probe.files).await?;
        }
        Ok(())
    }

    /// Removes what a write without an answer may have left beside the files, before the device is left alone.
    ///
    /// The device is through all the same where that fails; then the next change removes it.
    pub(super) async fn tidy(&mut self, paths: &[String]) {
        self.outwait_late_write().await;
        if self.unanswered.take().is_none() {
            return;
        }
        let cleaned = async {
            self.enter().await?;
            let (probe, way) = self.probe(paths).await?;
            self.clean(way, &probe.files).await
        };
        if let Err(failure) = cleaned.await {
            tracing::info!(device = self.name(), ?failure, "what a write left beside the file could not be removed");
        }
    }

    /// Waits until the program of a dead connection, which goes on until its deadline, can't write any more.
    async fn outwait_late_write(&self) {
        if let Some(sent) = self.unanswered {
            let deadline = self.work.connector.timeouts().stage;
            sleep(deadline.saturating_sub(sent.elapsed())).await;
        }
    }

    /// What the journal remembers of this device's files.
    pub(super) async fn remembered(&self) -> Result<Remembered, Failure> {
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
}

/// Lines that the journal remembers, by path.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) added: Vec<(String, Vec<Vec<u8>>)>,
    pub(super) removed: Vec<(String, Vec<Vec<u8>>)>,
    /// Whether lines of the new key stood there that are not ours.
    stood_before: bool,
}

impl Remembered {
    fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = Vec::new();
        for (path, _) in self.added.iter().chain(&self.removed) {
            if !paths.contains(path) {
                paths.push(path.clone());
            }
        }
        paths
    }

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
