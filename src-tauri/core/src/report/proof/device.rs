//! What the journal's effects say of one device.

use super::{
    AskedBy, Cause, DeviceFacts, DeviceRecord, Direction, Effect, EffectResult, LoginFacts, OpenEffect, SnapshotDevice,
    StageFacts, Standing, WriteFacts, WriteKind,
};
use crate::clock::rfc3339;
use crate::journal::{LoginProof, Write};

/// The facts of a device, from its record and its effects, oldest first.
pub(super) fn facts(
    position: usize,
    known: &SnapshotDevice,
    record: &DeviceRecord,
    to_version: Option<u32>,
    effects: &[&OpenEffect],
) -> DeviceFacts {
    let mut facts = DeviceFacts {
        position,
        id: known.id.0,
        name: known.name.clone(),
        address: known.address.clone(),
        port: known.port,
        jumps: jumps(known),
        state: record.state.to_string(),
        left_out: record.standing == Standing::LeftOut,
        stage: record.stage.map(|stage| stage.to_string()),
        cause: record.cause.as_ref().map(Cause::from),
        accepts: record.accepts.iter().map(ToString::to_string).collect(),
        recorded: rfc3339(record.at),
        host_keys: Vec::new(),
        servers: Vec::new(),
        stages: Vec::new(),
        writes: Vec::new(),
        logins: Vec::new(),
    };
    let mut place = Place::Adding;
    for effect in effects {
        let stage = match &effect.effect {
            Effect::Write(write) => {
                let stage = place.write(effect, write.write);
                facts.writes.push(write_facts(stage, effect, write));
                stage
            }
            Effect::Login(proof) => {
                let stage = place.login(effect, to_version == Some(proof.version));
                let login = login_facts(stage, effect, proof);
                note(&mut facts.host_keys, login.host_key.as_ref());
                note(&mut facts.servers, login.server.as_ref());
                facts.logins.push(login);
                stage
            }
            Effect::Candidate { .. } | Effect::OtherKeys { .. } | Effect::Destroy { .. } => continue,
        };
        let ended = effect.resulted.map(rfc3339);
        match facts.stages.last_mut() {
            Some(last) if last.stage == stage => last.ended = ended,
            _ => facts.stages.push(StageFacts { stage: stage.to_owned(), began: rfc3339(effect.intended), ended }),
        }
    }
    facts
}

/// How far the effects of a device have come, from which the stage of a login follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The old key has not been asked since the last line was added: a login with the new one proves it.
    Adding,
    /// The old key's lines were taken out, or were to be.
    Removing,
    /// The old key was asked after that: a login with the new one belongs to it.
    Refusing,
}

impl Place {
    fn write(&mut self, effect: &OpenEffect, kind: WriteKind) -> &'static str {
        if effect.direction == Direction::Back {
            return ROLL_BACK;
        }
        match kind {
            WriteKind::Add => {
                *self = Self::Adding;
                "add"
            }
            WriteKind::Remove => {
                *self = Self::Removing;
                "remove"
            }
            // The new key was refused after the removal, and something had to be put back.
            WriteKind::Restore | WriteKind::TakeBack => "refuse",
        }
    }

    fn login(&mut self, effect: &OpenEffect, with_new: bool) -> &'static str {
        if effect.direction == Direction::Back {
            return ROLL_BACK;
        }
        match (&self, with_new) {
            (_, false) => {
                *self = Self::Refusing;
                "refuse"
            }
            (Self::Refusing, true) => "refuse",
            // Just before and right after the lines go, the new key logs in once more where its last proof is too old.
            (Self::Adding | Self::Removing, true) => "prove",
        }
    }
}

const ROLL_BACK: &str = "roll-back";

fn jumps(known: &SnapshotDevice) -> Vec<String> {
    let mut jumps = Vec::new();
    let mut next = known.jump.as_deref();
    while let Some(jump) = next {
        jumps.push(jump.device.name.clone());
        next = jump.device.jump.as_deref();
    }
    jumps.reverse();
    jumps
}

fn note(seen: &mut Vec<String>, value: Option<&String>) {
    if let Some(value) = value
        && !seen.contains(value)
    {
        seen.push(value.clone());
    }
}

fn write_facts(stage: &str, effect: &OpenEffect, write: &Write) -> WriteFacts {
    let (result, cause, after, carried_over) = match &effect.result {
        Some(EffectResult::Written { hash, carried_over }) => ("written", None, Some(hash.clone()), *carried_over),
        Some(EffectResult::Failed { cause }) => ("failed", Some(Cause::from(cause)), None, false),
        _ => ("unknown", None, None, false),
    };
    WriteFacts {
        stage: stage.to_owned(),
        write: write.write.as_str().to_owned(),
        file: write.path.clone(),
        resolved: write.resolved.clone(),
        method: write.way.map(|way| way.as_str().to_owned()),
        began: rfc3339(effect.intended),
        ended: effect.resulted.map(rfc3339),
        result: result.to_owned(),
        cause,
        before: write.before.clone(),
        planned: write.after.clone(),
        after,
        lines_added: write.added.len(),
        lines_removed: write.removed.len(),
        stood_before: write.stood_before,
        carried_over,
    }
}

fn login_facts(stage: &str, effect: &OpenEffect, proof: &LoginProof) -> LoginFacts {
    let (answer, cause, host_key, server) = match &effect.result {
        Some(EffectResult::Answered { accepted, host_key, server }) => {
            let answer = if *accepted { "accepted" } else { "refused" };
            (answer, None, host_key.as_ref().map(ToString::to_string), Some(server.clone()))
        }
        Some(EffectResult::Unknown { cause }) => ("unknown", Some(cause.word().to_owned()), None, None),
        _ => ("unknown", None, None, None),
    };
    LoginFacts {
        stage: stage.to_owned(),
        at: rfc3339(effect.intended),
        version: proof.version,
        fingerprint: proof.fingerprint.to_string(),
        by: match proof.by {
            AskedBy::Login => "login",
            AskedBy::Question => "question",
        }
        .to_owned(),
        answer: answer.to_owned(),
        cause,
        host_key,
        server,
    }
}
