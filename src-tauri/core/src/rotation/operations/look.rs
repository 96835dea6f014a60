//! Looking at the devices of a credential, and at what a change would write; nothing is changed.

use std::sync::Arc;

use tokio::{sync::mpsc::UnboundedSender, task::JoinSet};

use super::Rotate;
use crate::{
    audit::Action,
    authorized_keys,
    error::{Error, Report},
    journal::{Kind, SnapshotDevice},
    key::Algorithm,
    keywheel::Keywheel,
    rotation::{
        Finding, Stage,
        device::DeviceRun,
        event::{Event, What},
        plan::{WorkPlan, algorithm_like},
        work::{VersionKey, Work},
    },
};

/// How many devices are looked at at once.
const CHECKS_AT_ONCE: usize = 8;

/// The key that the plan of each file is made with.
#[derive(Debug, Clone, Copy)]
enum Trial {
    /// Whichever is made fastest, since the plan is not shown.
    Fastest,
    /// As a change would make it.
    AsForAChange(Option<Algorithm>),
}

impl Keywheel {
    /// Looks at every device of a credential as it would be entered, and changes nothing.
    ///
    /// # Errors
    ///
    /// The credential or the vault can't be used. What is wrong on a device is in its finding.
    pub async fn check(&self, credential: &str, auth_with: Option<&str>) -> Result<Vec<Finding>, Error> {
        let action = Action::new("credential-check", "credential", credential);
        let findings = self.look(credential, auth_with, Trial::Fastest, None).await;
        self.audited(action, &findings).await;
        Ok(findings?.into_iter().map(|(finding, _)| finding).collect())
    }

    /// Checks every device and tells, by events, what a change would write; changes nothing.
    ///
    /// # Errors
    ///
    /// As for [`Keywheel::check`].
    pub async fn plan(&self, request: &Rotate, events: &UnboundedSender<Event>) -> Result<Vec<Finding>, Error> {
        let action = Action::new("credential-dry-run", "credential", &request.credential);
        let auth_with = request.auth_with.as_deref();
        let findings = self
            .look(&request.credential, auth_with, Trial::AsForAChange(request.algorithm), Some(events.clone()))
            .await;
        self.audited(action, &findings).await;
        let findings = findings?;
        for (finding, plans) in &findings {
            for (file, diff) in plans {
                let what = What::Plan { device: finding.device.clone(), file: file.clone(), diff: diff.clone() };
                let _ = events.send(Event { change: 0, at: crate::clock::rfc3339(self.now()), what });
            }
        }
        Ok(findings.into_iter().map(|(finding, _)| finding).collect())
    }

    /// Looks at the devices with a trial key, which is never stored.
    async fn look(
        &self,
        credential: &str,
        auth_with: Option<&str>,
        trial: Trial,
        events: Option<UnboundedSender<Event>>,
    ) -> Result<Vec<(Finding, Vec<(String, String)>)>, Error> {
        let credential = self.key_credential(credential).await?;
        let auth = self.authenticating(&credential, auth_with).await?;
        let snapshot = self.snapshot(&credential, auth.as_ref(), None, None).await?;
        self.vault().check().await?;
        let old = self.current(&credential).await?;
        // The key that a change would make; it is never stored, and only the plan of each file is made with it.
        let public = old.public.clone();
        let algorithm = match trial {
            Trial::Fastest => Algorithm::Ed25519,
            Trial::AsForAChange(asked) => asked.unwrap_or_else(|| algorithm_like(public.algorithm())),
        };
        let throwaway = self.generate(algorithm, public.comment().to_owned()).await?;
        let new = VersionKey { version: 0, public: throwaway.public_key().clone(), private: Arc::new(throwaway) };
        let work = self
            .work(WorkPlan {
                change: None,
                kind: Kind::Rotate,
                credential: &credential,
                snapshot: &snapshot,
                old: Some(old),
                new: Some(new),
                events,
                resumed: false,
            })
            .await?;
        let work = Arc::new(work);
        let twins = twins(&snapshot.devices);
        let mut waiting = snapshot.devices.into_iter().enumerate();
        let mut running = JoinSet::new();
        let mut findings = Vec::new();
        loop {
            while running.len() < CHECKS_AT_ONCE {
                let Some((position, device)) = waiting.next() else { break };
                let work = Arc::clone(&work);
                running.spawn(async move { (position, look_at(work, device, position).await) });
            }
            match running.join_next().await {
                None => break,
                Some(Ok((position, finding))) => findings.push((position, finding?)),
                Some(Err(error)) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
        for (position, (finding, _)) in &mut findings {
            if let Some((_, twin)) = twins.iter().find(|(at, _)| at == position) {
                finding.warnings.push(Report {
                    code: "same-device".into(),
                    message: format!("\"{}\" has the same address and port as \"{twin}\".", finding.device),
                    hint: "Both are one device for the change; take one of them off the credential.".into(),
                    subject: Some(finding.device.clone()),
                    field: None,
                });
            }
        }
        findings.sort_by_key(|(position, _)| *position);
        Ok(findings.into_iter().map(|(_, finding)| finding).collect())
    }
}

/// The devices that are reached just as an earlier one is, by their places, with that one's name.
fn twins(devices: &[SnapshotDevice]) -> Vec<(usize, String)> {
    let same = |one: &SnapshotDevice, other: &SnapshotDevice| {
        one.port == other.port && one.address.eq_ignore_ascii_case(&other.address) && one.jump == other.jump
    };
    let pairs = devices.iter().enumerate().filter_map(|(position, device)| {
        let earlier = devices.iter().take(position).find(|earlier| same(earlier, device))?;
        Some((position, earlier.name.clone()))
    });
    pairs.collect()
}

async fn look_at(
    work: Arc<Work>,
    device: SnapshotDevice,
    position: usize,
) -> Result<(Finding, Vec<(String, String)>), Error> {
    let mut run = DeviceRun::new(work, device, position);
    if let Err(failure) = run.check().await {
        run.note_failure(Stage::Check, failure).await?;
    }
    let plans = run.found.iter().flat_map(|found| &found.targets);
    let plans = plans.map(|target| (target.path.clone(), authorized_keys::diff(&target.plan, &target.path))).collect();
    let finding = run.finding();
    run.close().await;
    Ok((finding, plans))
}
