//! Looking at devices before anything is changed: findings that come one by one, for saved credentials and forms.

use std::sync::Arc;

use keywheel_core::{
    catalogue::{CredentialId, DeviceId, key_version},
    error::Explain,
    key::PrivateKey,
    rotation::{Conditions, ConnectWith, DeviceFinding, Draft, DraftKey, Look, Purpose, Subject},
};
use keywheel_fleet::{Account, Desk, Fleet, Sshd, Trouble, available};
use tokio::sync::{mpsc, watch};

/// All findings of a look, by the devices' numbers.
async fn look(desk: &Desk, look: &Look) -> Result<Vec<DeviceFinding>, Trouble> {
    let (sender, mut found) = mpsc::unbounded_channel();
    let (_go_on, stop) = watch::channel(false);
    desk.keywheel.look(look, &sender, stop).await?;
    let mut all: Vec<DeviceFinding> = std::iter::from_fn(|| found.try_recv().ok()).collect();
    all.sort_by_key(|finding| finding.device_id);
    Ok(all)
}

/// The devices that are known to accept the first version of a credential's key.
fn accepting(desk: &Desk, credential: CredentialId) -> Result<Vec<DeviceId>, Trouble> {
    let known = desk.keywheel.database().read(|connection| key_version::installed(connection, credential))?;
    let accepted = known.into_iter().filter(|known| known.version == 1 && known.accepted_at.is_some());
    Ok(accepted.map(|known| known.device).collect())
}

fn codes(finding: &DeviceFinding) -> Vec<&str> {
    finding.finding.problems.iter().map(|problem| problem.code.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_device_is_found_with_its_diff_and_its_answer_is_noted() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(3))? else { return Ok(()) };
    let desk = Desk::open()?;
    let key = desk.client.key("deploy", "ed25519")?;
    let text = format!("# kept\n{}\n# end\n", key.public);
    let mut ids = Vec::new();
    for (index, sshd) in fleet.devices.iter().enumerate() {
        sshd.write_authorized_keys(text.as_bytes())?;
        ids.push(desk.device(&format!("web-{}", index + 1), sshd).await?);
    }
    let deploy = desk.credential("deploy", fleet.devices[0].account(), &key.file, &ids).await?;
    fleet.devices[1].stop()?;
    assert_eq!(accepting(&desk, deploy.id)?, [], "an import says nothing of devices");

    let first = Look { only: Some(vec![ids[0]]), ..Look::at(Subject::Saved(deploy.id)) };
    let found = look(&desk, &first).await?;
    assert_eq!(found.len(), 1, "only this one is looked at: {found:?}");
    assert_eq!(accepting(&desk, deploy.id)?, [ids[0]], "the current key logged in there");

    let found = look(&desk, &Look::at(Subject::Saved(deploy.id))).await?;
    assert_eq!(found.iter().map(|finding| finding.device_id).collect::<Vec<_>>(), ids);
    assert_eq!(found.iter().map(|finding| finding.finding.ready).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(accepting(&desk, deploy.id)?, [ids[0], ids[2]], "who did not answer is not known to accept it");
    for finding in [&found[0], &found[2]] {
        let [file] = finding.diffs.as_slice() else { return Err(format!("one file: {finding:?}").into()) };
        assert_eq!((file.added, file.removed, file.untouched), (1, 0, 3), "{file:?}");
        assert!(file.diff.contains("+ssh-ed25519 ") && !file.diff.contains("\n-"), "{}", file.diff);
    }
    let json = serde_json::to_value(&found[0])?;
    assert_eq!((&json["device"], &json["device_id"]), (&"web-1".into(), &ids[0].0.into()), "one object of both");
    for sshd in [&fleet.devices[0], &fleet.devices[2]] {
        assert_eq!(sshd.authorized_keys()?, text.as_bytes(), "nothing is written");
    }
    assert_eq!(desk.keywheel.change_views().await?, [], "no change is begun");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_is_stopped_begins_with_no_device() -> Result<(), Trouble> {
    let Some(fleet) = available(Fleet::start(1))? else { return Ok(()) };
    let desk = Desk::open()?;
    let key = desk.client.key("deploy", "ed25519")?;
    let device = desk.device("web-1", &fleet.devices[0]).await?;
    let deploy = desk.credential("deploy", fleet.devices[0].account(), &key.file, &[device]).await?;
    let (sender, mut found) = mpsc::unbounded_channel();
    let (_stopping, stop) = watch::channel(true);
    desk.keywheel.look(&Look::at(Subject::Saved(deploy.id)), &sender, stop).await?;
    assert!(found.try_recv().is_err(), "it was asked to stop before the first device");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_looked_at_as_it_stands_and_nothing_is_noted() -> Result<(), Trouble> {
    let builder = Sshd::builder().account(Account::new("deploy")).account(Account::new("root"));
    let Some(sshd) = available(builder.start())? else { return Ok(()) };
    let Some(bare) = available(Sshd::builder().account(Account::new("deploy")).start())? else { return Ok(()) };
    let desk = Desk::open()?;
    let (first, second) = (desk.device("web-1", &sshd).await?, desk.device("web-2", &bare).await?);
    let (key, root) = (desk.client.key("deploy", "ed25519")?, desk.client.key("root", "ed25519")?);
    sshd.write_authorized_keys_of("deploy", format!("{}\n", key.public).as_bytes())?;
    sshd.write_authorized_keys_of("root", format!("{}\n", root.public).as_bytes())?;
    desk.credential("root", "root", &root.file, &[first]).await?;
    let private = Arc::new(PrivateKey::import(&std::fs::read(&key.file)?, None)?);
    let draft = |username: &str, key: DraftKey| Draft {
        name: "deploy".into(),
        username: username.into(),
        original_device: first,
        devices: vec![second, first],
        key,
    };
    let in_memory = || DraftKey::InMemory(Arc::clone(&private));
    let form = Look::at(Subject::Unsaved(draft("deploy", in_memory())));
    let found = look(&desk, &form).await?;
    assert!(found[0].finding.ready, "the account exists and its key logs in: {:?}", found[0]);
    assert_eq!(codes(&found[1]), ["authentication-refused"], "its key does not stand there");
    assert!(desk.keywheel.find_credential("deploy").await.is_err(), "a look saves nothing");

    let yes = Some(true);
    let holds = Conditions { account: yes, public_key: yes, key_login: yes, other_login: None };
    assert_eq!(found[0].conditions, holds);
    assert_eq!(found[1].conditions.key_login, yes, "the server would take a key: {:?}", found[1].conditions);

    let through = Look { connect_with: ConnectWith::Credential("root".into()), ..form };
    let found = look(&desk, &through).await?;
    assert!(found[0].finding.ready, "the other credential logs in, and the key, too: {:?}", found[0]);
    assert_eq!(found[0].conditions, Conditions { other_login: yes, ..holds });
    assert_eq!(found[1].conditions.other_login, Some(false), "{:?}", found[1]);
    assert!(!found[1].finding.ready, "the other credential does not log in there: {:?}", found[1]);

    // The form of a saved credential, with another account.
    let saved = desk.credential("deploy", "deploy", &key.file, &[first]).await?;
    let edited = Look::at(Subject::Unsaved(draft("root", DraftKey::Of(saved.id))));
    let found = look(&desk, &edited).await?;
    assert!(!found[0].finding.ready, "root does not have the key of deploy: {:?}", found[0]);
    let same = Look::at(Subject::Unsaved(draft("deploy", DraftKey::Of(saved.id))));
    assert!(look(&desk, &same).await?[0].finding.ready, "its current key is the one in the vault");
    assert_eq!(accepting(&desk, saved.id)?, [], "what a form has is not what is saved");
    let alone = Look { connect_with: ConnectWith::Credential("deploy".into()), ..same };
    let (sender, _found) = mpsc::unbounded_channel();
    let refused = desk.keywheel.look(&alone, &sender, watch::channel(false).1).await.expect_err("it is itself");
    assert_eq!(refused.code(), "auth-with-itself");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_installation_and_a_removal_would_write_is_shown() -> Result<(), Trouble> {
    let builder = Sshd::builder().account(Account::new("deploy")).account(Account::new("root"));
    let Some(sshd) = available(builder.start())? else { return Ok(()) };
    let desk = Desk::open()?;
    let device = desk.device("web-1", &sshd).await?;
    let (key, root) = (desk.client.key("deploy", "ed25519")?, desk.client.key("root", "ed25519")?);
    sshd.write_authorized_keys_of("root", format!("{}\n", root.public).as_bytes())?;
    desk.credential("root", "root", &root.file, &[device]).await?;
    let deploy = desk.credential("deploy", "deploy", &key.file, &[device]).await?;
    let with_root = |purpose, options: Option<&str>| Look {
        connect_with: ConnectWith::Credential("root".into()),
        purpose,
        options: options.map(str::to_owned),
        ..Look::at(Subject::Saved(deploy.id))
    };
    let found = look(&desk, &with_root(Purpose::Rotate, None)).await?;
    assert_eq!(found[0].conditions.public_key, Some(false), "{found:?}");
    assert!(!found[0].finding.ready, "a change needs the key there: {found:?}");
    let found = look(&desk, &with_root(Purpose::Install, Some("no-pty"))).await?;
    assert!(found[0].finding.ready, "a missing key is what an installation is for: {found:?}");
    let file = &found[0].diffs[0];
    assert_eq!((file.added, file.removed), (1, 0));
    assert!(file.diff.contains(&format!("+no-pty {}", key.public.trim())), "the line as it would stand: {}", file.diff);

    let text = format!("# kept\n{}\n", key.public);
    sshd.write_authorized_keys_of("deploy", text.as_bytes())?;
    let found = look(&desk, &with_root(Purpose::Install, Some("no-pty"))).await?;
    assert_eq!(codes(&found[0]), ["options-differ"], "it stands there without them");
    let found = look(&desk, &with_root(Purpose::Install, None)).await?;
    assert!(found[0].finding.ready, "{found:?}");
    assert_eq!(found[0].diffs[0].added, 0, "it stands there already: {found:?}");
    let found = look(&desk, &with_root(Purpose::Uninstall, None)).await?;
    assert!(found[0].finding.ready, "{found:?}");
    assert_eq!((found[0].diffs[0].added, found[0].diffs[0].removed), (0, 1), "{found:?}");
    Ok(())
}
