//! Key changes at accounts of every kind, and at servers that are restarted, replaced, strict or misleading.

use std::path::Path;

use keywheel_core::{
    device::Pinned,
    journal::DeviceState,
    key::PublicKey,
    rotation::{
        ConnectWith, Stage, Strategy,
        decide::Outcome,
        event::{StageState, What},
    },
};
use keywheel_fleet::{Account, Sshd, Trial, Trouble, Way, available, sshd::SshdBuilder, watch};

const STRATEGIES: [Strategy; 2] = [Strategy::TwoPhase, Strategy::DeviceByDevice];

/// A trial at a device of this description, or none where this machine can't run one.
async fn trial(builder: SshdBuilder) -> Result<Option<Trial>, Trouble> {
    match available(builder.start())? {
        Some(sshd) => Ok(Some(Trial::at(sshd).await?)),
        None => Ok(None),
    }
}

fn write_home_file(trial: &Trial, name: &str, text: &str) -> Result<(), Trouble> {
    let path = trial.sshd.home().join(name);
    let account = trial.sshd.account();
    for folder in path.ancestors().skip(1).take_while(|folder| *folder != trial.sshd.home()).collect::<Vec<_>>() {
        std::fs::create_dir_all(folder)?;
        trial.sshd.give(account, folder)?;
    }
    std::fs::write(&path, text)?;
    Ok(trial.sshd.give(account, &path)?)
}

/// Changes a key through a login shell whose start-up file prints noise, without an end of line, on both its outputs.
async fn changes_through(shell: &str, start_up: &str, noise: &str) -> Result<(), Trouble> {
    let account = Account::new("kwtest").shell(shell);
    let Some(trial) = trial(Sshd::builder().account(account)).await? else { return Ok(()) };
    if shell.starts_with("/etc/") {
        trial.sshd.inside(&format!("ln -s /bin/busybox {shell}"))?;
    }
    if !start_up.is_empty() {
        write_home_file(&trial, start_up, noise)?;
        let heard = trial.desk.client.run(&trial.sshd.target()?, &trial.key.file, "true")?;
        assert!(heard.stdout.starts_with(b"noise"), "the start-up file is not read: {heard:?}");
    }
    assert_eq!(trial.check().await?.method.as_deref(), Some("shell"), "the account has a shell");
    trial.changes().await
}

const NOISE: &str = "printf 'noise\\nKW- no line of ours'; printf 'noise' >&2\numask 000\nset -o noclobber\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_through_bash() -> Result<(), Trouble> {
    changes_through("/bin/bash", ".bashrc", NOISE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_through_dash() -> Result<(), Trouble> {
    changes_through("/bin/dash", "", "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_through_zsh() -> Result<(), Trouble> {
    changes_through("/usr/bin/zsh", ".zshenv", NOISE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_through_fish() -> Result<(), Trouble> {
    let noise = "printf 'noise\\nKW- no line of ours'; printf 'noise' >&2\numask 000\n";
    changes_through("/usr/bin/fish", ".config/fish/config.fish", noise).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_through_csh() -> Result<(), Trouble> {
    let noise = "printf 'noise\\nKW- no line of ours'\numask 000\nset noclobber\nalias cp 'cp -i'\n";
    changes_through("/bin/csh", ".cshrc", noise).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_through_tcsh() -> Result<(), Trouble> {
    changes_through("/usr/bin/tcsh", ".tcshrc", "printf 'noise'\nsetenv LC_ALL de_DE.UTF-8\n").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_through_the_ash_of_busybox() -> Result<(), Trouble> {
    changes_through("/etc/ash", "", "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_through_a_restricted_bash() -> Result<(), Trouble> {
    changes_through("/bin/rbash", ".bashrc", "printf 'noise'\nset +o posix\n").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_shell_is_changed_over_sftp_where_it_has_that() -> Result<(), Trouble> {
    for shell in ["/usr/sbin/nologin", "/bin/false"] {
        let account = Account::new("kwtest").shell(shell);
        let Some(trial) = trial(Sshd::builder().account(account.clone())).await? else { return Ok(()) };
        assert_eq!(trial.check().await?.method.as_deref(), Some("sftp"));
        trial.changes().await?;
    }
    // A server program for SFTP is started by the account's shell.
    let account = Account::new("kwtest").shell("/usr/sbin/nologin");
    let config = "Subsystem sftp /usr/lib/openssh/sftp-server";
    let Some(trial) = trial(Sshd::builder().account(account).config(config)).await? else { return Ok(()) };
    trial.refuses("shell-and-sftp-unusable").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_command_of_the_configuration_is_seen_or_passed_through() -> Result<(), Trouble> {
    let Some(closed) = trial(Sshd::builder().config("ForceCommand /bin/echo closed")).await? else { return Ok(()) };
    closed.refuses("shell-and-sftp-unusable").await?;
    let through = "ForceCommand sh -c \"$SSH_ORIGINAL_COMMAND\"";
    let Some(open) = trial(Sshd::builder().config(through)).await? else { return Ok(()) };
    open.changes().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_command_of_the_line_is_kept_and_obeyed() -> Result<(), Trouble> {
    let builder = Sshd::builder().account(Account::new("kwtest")).account(Account::new("root"));
    let Some(mut trial) = trial(builder).await? else { return Ok(()) };
    let root = trial.desk.client.key("root", "ed25519")?;
    trial.sshd.write_authorized_keys_of("root", format!("{}\n", root.public).as_bytes())?;
    let device = trial.desk.keywheel.find_device("web-1").await?.id;
    trial.desk.credential("root", "root", &root.file, &[device]).await?;
    let line = format!("command=\"/bin/echo closed\",no-pty {}", trial.key.public);
    trial.sshd.write_authorized_keys(&trial.text_around(&line))?;
    trial.refuses("shell-and-sftp-unusable").await?;
    trial.connect_with = ConnectWith::Credential("root".into());
    trial.changes().await?;
    trial.connect_with = ConnectWith::Itself;
    let finished = trial.change(Strategy::TwoPhase).await?;
    assert_eq!(finished.outcome, Outcome::Failed, "the forced command is gone: {finished:?}");

    let Some(sftp) = self::trial(Sshd::builder()).await? else { return Ok(()) };
    let line = format!("command=\"internal-sftp\",restrict {}", sftp.key.public);
    sftp.sshd.write_authorized_keys(&sftp.text_around(&line))?;
    assert_eq!(sftp.check().await?.method.as_deref(), Some("sftp"));
    sftp.changes().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_up_file_that_reads_the_input_harms_nothing_and_is_named() -> Result<(), Trouble> {
    let account = Account::new("kwtest").shell("/bin/bash");
    let Some(trial) = trial(Sshd::builder().account(account)).await? else { return Ok(()) };
    trial.hurry(1).await?;
    write_home_file(&trial, ".bashrc", "cat >/dev/null\n")?;
    let before = trial.look()?;
    let finished = trial.change(Strategy::TwoPhase).await?;
    trial.assert_rolled_back(&before, &finished, "not-ready").await?;
    // One that takes what is there and goes on.
    write_home_file(&trial, ".bashrc", "read -t 0.2 line\n")?;
    trial.hurry(5).await?;
    trial.changes().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_admits_nobody_any_more_stops_the_check() -> Result<(), Trouble> {
    let Some(trial) = trial(Sshd::builder()).await? else { return Ok(()) };
    for option in ["from=\"192.0.2.1\"", "from=\"*,!127.0.0.1\"", "expiry-time=\"20200101\""] {
        trial.sshd.write_authorized_keys(&trial.text_around(&format!("{option} {}", trial.key.public)))?;
        trial.refuses("authentication-refused").await?;
    }
    for option in ["from=\"127.0.0.0/8\"", "expiry-time=\"29991231\""] {
        let credential = trial.credential().await?;
        let line = credential.current_key().ok_or("a current key")?.public_key.to_openssh();
        trial.sshd.write_authorized_keys(&trial.text_around(&format!("{option} {line}")))?;
        trial.changes().await?;
    }
    Ok(())
}

/// Changes the key and does something on the device when a stage is done, for each stage.
async fn survives(way: Way, strategy: Strategy, act: impl Fn(&Sshd) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let Some(trial) = trial(way.device("")).await? else { return Ok(()) };
    for after in [Stage::Check, Stage::Add, Stage::Prove, Stage::Remove] {
        let (from, before) = (trial.credential().await?, trial.look()?);
        let mut done = 0;
        let finished = trial.change_while(trial.request(strategy), |event| {
            if let What::Stage { stage, state: StageState::Done, .. } = &event.what
                && *stage == after
            {
                done += 1;
                act(&trial.sshd)?;
            }
            Ok(())
        });
        let finished = finished.await?;
        assert_eq!(done, 1, "{after:?} was not met");
        trial.assert_changed(&from, &before, &finished).await?;
    }
    trial.assert_true().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_restarted_between_the_stages_holds_nothing_up() -> Result<(), Trouble> {
    for strategy in STRATEGIES {
        survives(Way::Shell, strategy, |sshd| Ok(sshd.restart()?)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_restarted_between_the_stages_is_entered_anew() -> Result<(), Trouble> {
    for (way, strategy) in Way::BOTH.into_iter().zip(STRATEGIES) {
        survives(way, strategy, |sshd| {
            sshd.stop()?;
            Ok(sshd.start()?)
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_key_replaced_between_the_stages_stops_the_change_until_a_person_decides() -> Result<(), Trouble> {
    // Nothing holds a change up at its last stages for as long as the server needs to be started anew.
    for after in [Stage::Check, Stage::Add] {
        let Some(trial) = trial(Sshd::builder()).await? else { return Ok(()) };
        trial.hurry(2).await?;
        trial.sshd.make_host_keys()?;
        let (from, before) = (trial.credential().await?, trial.look()?);
        let finished = trial.change_while(trial.request(Strategy::TwoPhase), |event| match &event.what {
            What::Stage { stage, state: StageState::Done, .. } if *stage == after => Ok(trial.sshd.put_host_keys()?),
            _ => Ok(()),
        });
        let finished = finished.await?;
        assert_ne!(finished.outcome, Outcome::Changed, "behind {after:?} nothing can be proven: {finished:?}");
        let cause = finished.devices[0].error.as_ref().ok_or("a cause")?;
        assert_eq!(cause.code, "host-key-changed", "behind {after:?}: {finished:?}");
        let mut admitted = 0;
        for version in &trial.credential().await?.key_versions {
            let file = trial.desk.key_file("deploy", version.version).await?;
            admitted += usize::from(trial.sshd.ssh_logs_in(&file, trial.sshd.account())?);
        }
        assert!(admitted > 0, "behind {after:?} nobody gets in");

        let device = trial.desk.keywheel.find_device("web-1").await?.id;
        let keys = trial.sshd.host_keys_public()?;
        let keys = keys.iter().map(|line| PublicKey::from_openssh(line)).collect::<Result<Vec<_>, _>>()?;
        trial.desk.keywheel.pin_host_keys(device, keys, Pinned::Replace).await?;
        let (watch, _watching) = watch();
        let again = match finished.outcome {
            Outcome::Interrupted => {
                // It was on its way back, and goes on so.
                let ended = trial.desk.keywheel.resume(finished.change, watch).await?;
                assert_eq!(ended.outcome, Outcome::RolledBack, "{ended:?}");
                before.iter().try_for_each(|kept| kept.assert_untouched())?;
                trial.change(Strategy::TwoPhase).await?
            }
            Outcome::PartlyChanged => trial.desk.keywheel.retry(finished.change, watch).await?,
            _ => trial.change(Strategy::TwoPhase).await?,
        };
        trial.assert_changed(&from, &before, &again).await?;
        trial.assert_true().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn narrow_servers_are_changed_over_sftp_and_device_by_device() -> Result<(), Trouble> {
    for way in Way::BOTH {
        for strategy in STRATEGIES {
            let Some(trial) = trial(way.device("MaxAuthTries 1\nMaxSessions 1\nMaxStartups 1")).await? else {
                return Ok(());
            };
            // Such a server turns the next one away until it has noted that the last one is gone.
            trial.hurry(3).await?;
            let (from, before) = (trial.credential().await?, trial.look()?);
            let finished = trial.change(strategy).await?;
            trial.assert_changed(&from, &before, &finished).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_the_new_algorithm_unseen_is_left_as_it_was() -> Result<(), Trouble> {
    let config = "PubkeyAcceptedAlgorithms ssh-ed25519";
    for way in Way::BOTH {
        for strategy in STRATEGIES {
            let Some(trial) = trial(way.device(config)).await? else { return Ok(()) };
            if available(trial.sshd.inside("chmod 600 /etc/ssh/sshd_config"))?.is_none() {
                return Ok(());
            }
            let before = trial.look()?;
            let mut request = trial.request(strategy);
            request.algorithm = Some("ecdsa-p256".parse()?);
            let finished = trial.change_while(request, |_| Ok(())).await?;
            trial.assert_rolled_back(&before, &finished, "key-refused").await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn root_is_changed_where_it_may_log_in_and_seen_where_not() -> Result<(), Trouble> {
    for (config, admitted) in [("PermitRootLogin prohibit-password", true), ("PermitRootLogin no", false)] {
        let builder = Sshd::builder().account(Account::new("root")).config(config);
        let Some(trial) = trial(builder).await? else { return Ok(()) };
        if admitted {
            trial.changes().await?;
        } else {
            trial.refuses("authentication-refused").await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_still_serves_the_old_key_is_found_out() -> Result<(), Trouble> {
    let config = "AuthorizedKeysCommand /etc/kw-serve\nAuthorizedKeysCommandUser nobody";
    for strategy in STRATEGIES {
        let Some(trial) = trial(Sshd::builder().config(config)).await? else { return Ok(()) };
        let serve =
            format!("printf '#!/bin/sh\\necho \"{}\"\\n' >/etc/kw-serve; chmod 755 /etc/kw-serve", trial.key.public);
        if available(trial.sshd.inside(&serve))?.is_none() {
            return Ok(());
        }
        let finding = trial.check().await?;
        assert!(finding.warnings.iter().any(|warning| warning.code == "keys-from-elsewhere"), "{finding:?}");
        let finished = trial.change(strategy).await?;
        assert_eq!(finished.outcome, Outcome::PartlyChanged, "{finished:?}");
        assert_eq!(finished.devices[0].state, DeviceState::OldKeyAccepted, "{finished:?}");
        assert_eq!(finished.devices[0].accepts.len(), 2, "both keys log in: {finished:?}");
        trial.assert_true().await?;
        trial.sshd.inside("rm /etc/kw-serve")?;
        let (watch, _watching) = watch();
        let retried = trial.desk.keywheel.retry(finished.change, watch).await?;
        assert_eq!(retried.outcome, Outcome::Changed, "{retried:?}");
        trial.assert_true().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_shell_becomes_nologin_is_finished_over_the_way_that_is_left() -> Result<(), Trouble> {
    for after in [Stage::Check, Stage::Prove] {
        let account = Account::new("kwtest").shell("/bin/bash");
        let Some(trial) = trial(Sshd::builder().account(account)).await? else { return Ok(()) };
        let (from, before) = (trial.credential().await?, trial.look()?);
        let close = || {
            let passwd = trial.sshd.root()?.join("etc/passwd");
            let text = std::fs::read_to_string(&passwd)?;
            std::fs::write(
                Path::new(&passwd),
                text.replace("/home/kwtest:/bin/bash", "/home/kwtest:/usr/sbin/nologin"),
            )?;
            Ok::<(), Trouble>(())
        };
        let finished = trial.change_while(trial.request(Strategy::TwoPhase), |event| match &event.what {
            What::Stage { stage, state: StageState::Done, .. } if *stage == after => close(),
            _ => Ok(()),
        });
        let finished = finished.await?;
        trial.assert_true().await?;
        let again = match finished.outcome {
            Outcome::Changed => finished,
            Outcome::PartlyChanged => {
                let (watch, _watching) = watch();
                trial.desk.keywheel.retry(finished.change, watch).await?
            }
            _ => trial.change(Strategy::TwoPhase).await?,
        };
        trial.assert_changed(&from, &before, &again).await?;
    }
    Ok(())
}
