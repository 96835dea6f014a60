//! `keywheel credential edit` and `remove`: what happens with keys that stand on devices.

use std::collections::BTreeSet;

use keywheel_core::Keywheel;
use keywheel_core::catalogue::{Authentication, Credential, DeviceId};
use keywheel_core::credential::{Automatic, EditCredential, Standing};

use super::{EditCredentialArguments, StandingArguments, device_ids, person_id, policy_id, text};
use crate::device::{Status, all_tags, credential_id};
use crate::error::{Ending, Failure, ShellError};
use crate::prompt;
use crate::rotate;
use crate::shell::Shell;

pub(super) async fn edit(
    shell: &Shell,
    keywheel: &Keywheel,
    arguments: EditCredentialArguments,
) -> Result<Ending, Failure> {
    let credential = keywheel.find_credential(&arguments.credential).await?;
    let edit = edited(keywheel, &credential, &arguments).await?;
    let nothing = edit == EditCredential::default();
    if nothing && !arguments.password_stdin {
        return Err(ShellError::NothingToEdit { name: credential.name }.into());
    }
    let password = arguments.password_stdin.then(prompt::secret_from_stdin).transpose()?;
    let taken = taken_away(&credential, &edit);
    let standing = settle(shell, keywheel, &credential, &taken, arguments.standing).await?;
    keywheel.save_credential(credential.id, edit, standing, password).await?;
    shell.output().item(&keywheel.credential_view(credential.id).await?, text);
    Ok(Ending::Done)
}

pub(super) async fn remove(
    shell: &Shell,
    keywheel: &Keywheel,
    name: &str,
    standing: StandingArguments,
) -> Result<Ending, Failure> {
    let credential = keywheel.find_credential(name).await?;
    let question = format!("Remove the credential \"{}\"? Its secrets are destroyed in the keyring.", credential.name);
    prompt::confirm(shell, &question)?;
    let standing = settle(shell, keywheel, &credential, &credential.devices, standing).await?;
    let removed = keywheel.remove_credential(credential.id, standing).await?;
    shell.output().message(&format!("The credential \"{}\" is removed.", removed.credential));
    if !removed.left_on.is_empty() {
        shell.output().message(&format!("Its public key was left on {}.", removed.left_on.join(", ")));
    }
    Ok(Ending::Done)
}

/// Takes the key off the devices that are taken away, or learns that it may be left there.
async fn settle(
    shell: &Shell,
    keywheel: &Keywheel,
    credential: &Credential,
    taken: &[DeviceId],
    standing: StandingArguments,
) -> Result<Standing, Failure> {
    if standing.leave_keys {
        return Ok(Standing::LeaveThere);
    }
    let installed = keywheel.installed(credential.id).await?;
    let stands: BTreeSet<DeviceId> = installed
        .iter()
        .filter(|known| known.stands())
        .map(|known| known.device)
        .filter(|id| taken.contains(id))
        .collect();
    if stands.is_empty() {
        return Ok(Standing::Refuse);
    }
    let mut names = Vec::new();
    for id in &stands {
        names.push(keywheel.device(*id).await?.name);
    }
    if !standing.uninstall && !shell.yes() {
        let question = format!(
            "The public key of \"{}\" stands on {}. Remove it from these devices, or leave it there?",
            credential.name,
            names.join(", ")
        );
        if prompt::choose(&question, &["remove", "leave"], "--uninstall or --leave-keys")? == "leave" {
            return Ok(Standing::LeaveThere);
        }
    }
    // By number, because a name may be one that looks like another's number.
    let devices = stands.iter().map(ToString::to_string).collect();
    match rotate::take_off(shell, keywheel, &credential.name, devices).await? {
        Ending::Done => Ok(Standing::Refuse),
        ending => Err(ShellError::ChangeEnded { credential: credential.name.clone(), ending }.into()),
    }
}

/// The devices that an edit takes away.
fn taken_away(credential: &Credential, edit: &EditCredential) -> Vec<DeviceId> {
    let original = edit.original_device.unwrap_or(credential.original_device);
    let after = edit.devices.as_ref().unwrap_or(&credential.devices);
    credential.devices.iter().copied().filter(|id| *id != original && !after.contains(id)).collect()
}

async fn edited(
    keywheel: &Keywheel,
    credential: &Credential,
    arguments: &EditCredentialArguments,
) -> Result<EditCredential, Failure> {
    let original_device = match &arguments.original_device {
        Some(device) => Some(keywheel.find_device(device).await?.id),
        None => None,
    };
    let devices = match &arguments.devices {
        Some(names) => Some(device_ids(keywheel, names).await?),
        None => None,
    };
    let owner = match arguments.owner.clone() {
        Some(owner) if owner.is_empty() => Some(None),
        owner => person_id(keywheel, owner).await?.map(Some),
    };
    let policy = match &arguments.policy {
        Some(policy) => Some(policy_id(keywheel, policy).await?),
        None => None,
    };
    let auth_with = credential_id(keywheel, arguments.auth_with.clone()).await?;
    let given = Given {
        change: match (arguments.automatic_change, arguments.no_automatic_change) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        way: Automatic { change: false, use_itself: arguments.use_itself, auth_with },
    };
    Ok(EditCredential {
        name: arguments.name.clone(),
        username: arguments.username.clone(),
        original_device,
        devices,
        owner,
        tags: arguments.tags.clone().map(all_tags),
        enabled: arguments.status.map(|status| status == Status::Enabled),
        automatic: automatic(credential.automatic_change, credential.authentication, given),
        policy,
    })
}

/// What the options say of automatic change.
#[derive(Debug, Clone, Copy)]
struct Given {
    /// Switched on or off, if it is said.
    change: Option<bool>,
    /// The way to connect that is given, if one is.
    way: Automatic,
}

/// The three fields after an edit: what is left out stays.
fn automatic(changes: bool, authentication: Authentication, given: Given) -> Option<Automatic> {
    let way_given = given.way != Automatic::default();
    if given.change.is_none() && !way_given {
        return None;
    }
    let change = given.change.unwrap_or(changes);
    if way_given || !change || !changes {
        return Some(Automatic { change, ..given.way });
    }
    Some(match authentication {
        Authentication::Itself => Automatic { change, use_itself: true, auth_with: None },
        Authentication::Credential(id) => Automatic { change, use_itself: false, auth_with: Some(id) },
    })
}

#[cfg(test)]
mod tests {
    use keywheel_core::catalogue::CredentialId;

    use super::*;

    const OTHER: Authentication = Authentication::Credential(CredentialId(2));

    fn given(change: Option<bool>, use_itself: bool, auth_with: Option<i64>) -> Given {
        Given { change, way: Automatic { change: false, use_itself, auth_with: auth_with.map(CredentialId) } }
    }

    #[test]
    fn what_is_not_said_of_automatic_change_stays() {
        assert_eq!(automatic(true, OTHER, given(None, false, None)), None);
        let same = Automatic { change: true, use_itself: false, auth_with: Some(CredentialId(2)) };
        assert_eq!(automatic(true, OTHER, given(Some(true), false, None)), Some(same), "the way would be lost");
        let off = Automatic::default();
        assert_eq!(automatic(true, OTHER, given(Some(false), false, None)), Some(off));
        let itself = Automatic { change: true, use_itself: true, auth_with: None };
        assert_eq!(automatic(true, OTHER, given(None, true, None)), Some(itself));
        assert_eq!(automatic(false, Authentication::Itself, given(Some(true), true, None)), Some(itself));
        // The core refuses these two: a way without automatic change, and automatic change without a way.
        let unused = Automatic { change: false, use_itself: true, auth_with: None };
        assert_eq!(automatic(false, Authentication::Itself, given(None, true, None)), Some(unused));
        let missing = Automatic { change: true, use_itself: false, auth_with: None };
        assert_eq!(automatic(false, Authentication::Itself, given(Some(true), false, None)), Some(missing));
    }
}
