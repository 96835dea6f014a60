//! Why a key change could not be begun, or was broken off.

use crate::{
    catalogue::VersionState,
    error::{Class, Explain, sentence::phrases},
    journal::ChangeId,
    rotation::{Stage, decide::Outcome, retired::Held},
};

phrases! {
    /// Why a change can't be undone.
    NotUndoable {
        /// It is another kind of change, or has not ended well.
        NotChanged = "not-changed", "it is no key change that has ended with every device changed";
        /// The credential was changed again since.
        NotNewest = "not-newest", "a newer change stands";
        /// There is nothing to go back to.
        NoVersion = "no-version", "it has no version before";
        /// The time for it has passed.
        Over = "over", "its days of undo are over";
        /// Going back would put a key in that somebody else may have.
        Compromised = "compromised", "the key before is compromised";
        /// Its private half is no more.
        Destroyed = "destroyed", "the key before it is destroyed";
    }
}

phrases! {
    /// Why a device can't be given up.
    NotGivable {
        /// Another change puts what it can't reach back.
        NoEmergency = "no-emergency", "only an emergency gives devices up";
        /// The vault's current key would be the compromised one, and stay so.
        NoneChanged = "none-changed", "no device is on the new key yet";
    }
}

/// Why a key change could not be begun, or was broken off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// Only keys are changed.
    #[error("The credential \"{credential}\" is a password, and Keywheel changes keys only.")]
    NotAKey {
        /// The credential's name.
        credential: String,
    },
    /// The credential is switched off.
    #[error("The credential \"{credential}\" is disabled.")]
    Disabled {
        /// The credential's name.
        credential: String,
    },
    /// The credential has no key version that is current.
    #[error("The credential \"{credential}\" has no current key.")]
    NoCurrentKey {
        /// The credential's name.
        credential: String,
    },
    /// A key's item is not in the keyring, although the catalogue says that it was stored.
    #[error("The private key of \"{credential}\", version {version}, is not in the keyring.")]
    KeyGone {
        /// The credential's name.
        credential: String,
        /// The version.
        version: u32,
    },
    /// A jump device is given, and nothing to log in there with.
    #[error("The jump device \"{jump}\" of \"{device}\" has no credential to log in with.")]
    NoJumpCredential {
        /// The device behind it.
        device: String,
        /// The jump device.
        jump: String,
    },
    /// The change can't be undone.
    #[error("The change {id} can't be undone: {reason}.")]
    NoUndo {
        /// The change.
        id: ChangeId,
        /// Why not.
        reason: NotUndoable,
    },
    /// The key that was taken off was the only one that logged in.
    #[error("The change {id} can't be rolled back: it took the key off that would have to log in.")]
    NoWayBack {
        /// The change.
        id: ChangeId,
    },
    /// A compromised key was to be put back.
    #[error("The change {id} is an emergency: its old key is compromised and is never put back.")]
    NeverPutBack {
        /// The change.
        id: ChangeId,
    },
    /// An emergency goes past every failure, and something else was asked for.
    #[error("The strategy \"emergency\" goes on past every device that fails, and never back.")]
    EmergencyGoesOn,
    /// A device can be given up only by an emergency change that has brought another one onto the new key.
    #[error("The device \"{device}\" can't be given up by the change {id}: {reason}.")]
    NotGivenUp {
        /// The device's name.
        device: String,
        /// The change.
        id: ChangeId,
        /// Why not.
        reason: NotGivable,
    },
    /// A device that was named is not one of the credential's.
    #[error("The device \"{device}\" is not one of the credential's.")]
    NotItsDevice {
        /// The device's name.
        device: String,
    },
    /// The original device was to be left out.
    #[error("The device \"{device}\" is the original device, which is always changed first, so it can't be left out.")]
    OriginalLeftOut {
        /// The device's name.
        device: String,
    },
    /// A device was left out of a change.
    #[error("The device \"{device}\" was left out of this change.")]
    LeftOut {
        /// The device's name.
        device: String,
    },
    /// The credential's key has no such version.
    #[error("The key of \"{credential}\" has no version {version}.")]
    NoSuchVersion {
        /// The credential's name.
        credential: String,
        /// The version.
        version: u32,
    },
    /// Only retired versions are destroyed.
    #[error("The version {version} of the key of \"{credential}\" is {state}, and only a retired one is destroyed.")]
    NotRetired {
        /// The credential's name.
        credential: String,
        /// The version.
        version: u32,
        /// Where it stands.
        state: VersionState,
    },
    /// A device that was given up is none of those that had the key.
    #[error("The version {version} of the key holds up no device \"{device}\".")]
    NotOnDevice {
        /// The version.
        version: u32,
        /// What was named.
        device: String,
    },
    /// Something may still need a retired key.
    #[error("The version {version} of the key of \"{credential}\" may still be needed: {}.", reasons(held_by))]
    KeyNeeded {
        /// The credential's name.
        credential: String,
        /// The version.
        version: u32,
        /// What holds it up.
        held_by: Vec<Held>,
    },
    /// The credential's key was changed while its devices were asked.
    #[error("The key of \"{credential}\" was changed meanwhile.")]
    KeyChanged {
        /// The credential's name.
        credential: String,
    },
    /// The old and the new key are the same.
    #[error("The credential \"{credential}\" would authenticate with itself.")]
    AuthWithItself {
        /// The credential's name.
        credential: String,
    },
    /// The change ended otherwise than was asked for.
    #[error("The change {id} ended as {outcome}.")]
    NotEverywhere {
        /// The change.
        id: ChangeId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A stage failed on a device.
    #[error("The stage {stage} failed on the device \"{device}\" ({code}).")]
    StageFailed {
        /// The stage.
        stage: Stage,
        /// The device's name.
        device: String,
        /// The cause's code.
        code: String,
    },
    /// The change was broken off after something was written.
    #[error("The change {id} was interrupted: {source}")]
    Interrupted {
        /// The change.
        id: ChangeId,
        /// Why.
        source: Box<crate::error::Error>,
    },
}

/// What holds a key up, in a few words.
fn reasons(held_by: &[Held]) -> String {
    let reason = |held: &Held| match &held.device {
        Some(device) => format!("\"{device}\" ({})", held.reason.code),
        None => held.reason.message.trim_end_matches('.').to_owned(),
    };
    held_by.iter().map(reason).collect::<Vec<_>>().join(", ")
}

impl Explain for RotationError {
    crate::sentences! {
        NotAKey { credential } => "not-a-key",
        Disabled { credential } => "credential-disabled",
        NoCurrentKey { credential } => "no-current-key",
        KeyGone { credential, version } => "key-gone",
        NoJumpCredential { device, jump } => "no-jump-credential",
        NoUndo { id, reason = reason.word() } => "no-undo",
        NoWayBack { id } => "no-way-back",
        NeverPutBack { id } => "never-put-back",
        EmergencyGoesOn => "emergency-goes-on",
        NotGivenUp { device, id, reason = reason.word() } => "not-given-up",
        NotItsDevice { device } => "not-its-device",
        OriginalLeftOut { device } => "original-left-out",
        LeftOut { device } => "left-out",
        AuthWithItself { credential } => "auth-with-itself",
        NoSuchVersion { credential, version } => "no-such-version",
        NotRetired { credential, version, state } => "not-retired",
        NotOnDevice { version, device } => "not-on-device",
        KeyNeeded { credential, version, held_by = reasons(held_by) } => "key-needed",
        KeyChanged { credential } => "key-changed",
        NotEverywhere { id, outcome } => "not-everywhere",
        StageFailed { stage, device, code } => "stage-failed";
        around Interrupted(source: crate::error::Error) { id } as "interrupted"
    }

    fn hint(&self) -> String {
        match self {
            Self::NotAKey { .. } => "Name a credential of the kind ssh-key.".into(),
            Self::Disabled { credential } => {
                format!("Switch it on with `keywheel credential edit {credential} --status enabled`.")
            }
            Self::NoCurrentKey { .. } => "Add the credential anew with --generate or --import.".into(),
            Self::KeyGone { .. } => "Unlock the keyring it was stored in, or put a backup of the vault back.".into(),
            Self::NoJumpCredential { device, .. } => {
                format!("Name one with `keywheel device edit {device} --jump-with CREDENTIAL`.")
            }
            Self::NoUndo { .. } => "Change the key anew instead.".into(),
            Self::NoWayBack { id } => {
                format!("Go on with `keywheel change retry {id}`; put the key on again with `keywheel install`.")
            }
            Self::NeverPutBack { id } => {
                format!("Go forward with `keywheel change resume {id}` or `keywheel change retry {id}`.")
            }
            Self::EmergencyGoesOn => "Leave out what a failing device leads to.".into(),
            Self::NotGivenUp { id, .. } => format!("See what is where with `keywheel change show {id}`."),
            Self::NotItsDevice { .. } => "See its devices with `keywheel credential show`.".into(),
            Self::OriginalLeftOut { .. } => "Make it ready, or give the credential another original device.".into(),
            Self::LeftOut { .. } => "Use \"Retry failed\" to bring it onto the new key.".into(),
            Self::AuthWithItself { .. } => "Leave --auth-with out to use the key itself.".into(),
            Self::NoSuchVersion { credential, .. } | Self::NotRetired { credential, .. } => {
                format!("See its versions with `keywheel credential history {credential}`.")
            }
            Self::NotOnDevice { .. } => "Name a device that holds it up, by its name or number.".into(),
            Self::KeyNeeded { held_by, .. } => match held_by.iter().find(|held| held.device.is_none()) {
                Some(held) => held.reason.hint.clone(),
                None => {
                    "Make these devices accept a newer key and refuse this one; one that is gone for good is given up \
                         by its name (--give-up)."
                        .into()
                }
            },
            Self::KeyChanged { .. } => "Look at it again, then decide anew.".into(),
            Self::NotEverywhere { id, .. } => format!("See what is where with `keywheel change show {id}`."),
            Self::StageFailed { .. } => "Look at the cause, then retry or roll back.".into(),
            Self::Interrupted { id, source } => {
                format!("{} Then go on with `keywheel change resume {id}` or `roll-back {id}`.", source.hint())
            }
        }
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::NotAKey { credential }
            | Self::Disabled { credential }
            | Self::NoCurrentKey { credential }
            | Self::KeyGone { credential, .. }
            | Self::NoSuchVersion { credential, .. }
            | Self::NotRetired { credential, .. }
            | Self::KeyNeeded { credential, .. }
            | Self::KeyChanged { credential }
            | Self::AuthWithItself { credential } => Some(credential.clone()),
            Self::NoJumpCredential { device, .. }
            | Self::StageFailed { device, .. }
            | Self::NotGivenUp { device, .. }
            | Self::OriginalLeftOut { device }
            | Self::LeftOut { device }
            | Self::NotOnDevice { device, .. }
            | Self::NotItsDevice { device } => Some(device.clone()),
            Self::NoUndo { id, .. }
            | Self::NoWayBack { id }
            | Self::NeverPutBack { id }
            | Self::NotEverywhere { id, .. }
            | Self::Interrupted { id, .. } => Some(id.to_string()),
            Self::EmergencyGoesOn => None,
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::NoUndo { .. }
            | Self::NoWayBack { .. }
            | Self::NeverPutBack { .. }
            | Self::NotGivenUp { .. }
            | Self::Disabled { .. }
            | Self::LeftOut { .. }
            | Self::KeyNeeded { .. }
            | Self::KeyChanged { .. }
            | Self::NotEverywhere { .. }
            | Self::StageFailed { .. } => Class::NotDone,
            Self::KeyGone { .. } => Class::Unusable,
            Self::Interrupted { .. } => Class::Interrupted,
            _ => Class::BadInput,
        }
    }
}
