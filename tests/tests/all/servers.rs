//! Key changes on SSH servers other than OpenSSH's.

use std::path::PathBuf;

use keywheel_core::{
    catalogue::Credential,
    rotation::{
        ConnectWith, Finished, Rotate, Stage, Strategy,
        decide::Outcome,
        event::{StageState, What},
    },
};
use keywheel_fleet::{
    Account, ClientKey, Desk, Dropbear, Host, Kept, Target, Tinysshd, Trouble, available, desk::Watching, watch,
};

const STRATEGIES: [Strategy; 2] = [Strategy::TwoPhase, Strategy::DeviceByDevice];

/// One credential "deploy" on one such device.
struct Small {
    desk: Desk,
    key: ClientKey,
    target: Target,
    file: PathBuf,
}

impl Small {
    /// Puts a key with these options on a device, among lines that must stay.
    async fn at(host: &Host, target: Target, options: &str) -> Result<Self, Trouble> {
        let desk = Desk::open()?;
        let (key, other) = (desk.client.key("deploy", "ed25519")?, desk.client.key("other", "ed25519")?);
        let text = format!("# kept\n{}\n{options}{}\n# end\n", other.public, key.public);
        host.write_authorized_keys(text.as_bytes())?;
        let device = desk.device_at("box-1", target.port, &target.host_keys).await?;
        desk.credential("deploy", &target.account, &key.file, &[device]).await?;
        Ok(Self { desk, key, target, file: host.authorized_keys_path() })
    }

    fn begin(&self, strategy: Strategy) -> (impl Future<Output = Result<Finished, Trouble>> + use<>, Watching) {
        let (watch, watching) = watch();
        let keywheel = self.desk.keywheel.clone();
        let request = Rotate { credential: "deploy".into(), strategy: Some(strategy), ..Rotate::default() };
        (async move { Ok(keywheel.rotate(&request, watch).await?) }, watching)
    }

    async fn credential(&self) -> Result<Credential, Trouble> {
        Ok(self.desk.keywheel.find_credential("deploy").await?)
    }

    /// Asserts that the device is on the current key, and that no byte but the key's own is otherwise than before.
    async fn assert_changed(&self, from: &Credential, before: &Kept, finished: &Finished) -> Result<(), Trouble> {
        assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
        let now = self.credential().await?;
        let (old, new) = (from.current_key().ok_or("a key")?, now.current_key().ok_or("a key")?);
        let text = String::from_utf8_lossy(before.bytes()).into_owned();
        before.assert_holds(text.replace(&old.public_key.to_openssh(), &new.public_key.to_openssh()).as_bytes())?;
        let (old, new) =
            (self.desk.key_file("deploy", old.version).await?, self.desk.key_file("deploy", new.version).await?);
        assert!(self.desk.client.logs_in(&self.target, &new)?, "the new key must log in");
        assert!(!self.desk.client.logs_in(&self.target, &old)?, "the old key must be refused");
        Ok(())
    }

    /// Changes the key under both strategies, goes back from the middle of a change, and undoes the last one.
    async fn goes_all_ways(&self) -> Result<(), Trouble> {
        for strategy in STRATEGIES {
            let (from, before) = (self.credential().await?, Kept::look(&self.file)?);
            let (change, _watching) = self.begin(strategy);
            let finished = change.await?;
            self.assert_changed(&from, &before, &finished).await?;
            let (watch, _watching) = watch();
            let undone = self.desk.keywheel.undo(finished.change, watch).await?;
            assert_eq!(undone.outcome, Outcome::Changed, "{undone:?}");
            before.assert_untouched()?;
            assert!(self.desk.client.logs_in(&self.target, &self.key.file)?, "the first key must log in again");
        }
        let before = Kept::look(&self.file)?;
        let (change, mut watching) = self.begin(Strategy::TwoPhase);
        let running = tokio::spawn(change);
        while let Some(event) = watching.events.recv().await {
            if let What::Stage { stage: Stage::Add, state: StageState::Done, .. } = &event.what {
                watching.stop.send(true)?;
                break;
            }
        }
        let stopped = running.await??;
        let (watch, _watching) = watch();
        if stopped.outcome == Outcome::Interrupted {
            let back = self.desk.keywheel.roll_back(stopped.change, watch).await?;
            assert_eq!(back.outcome, Outcome::RolledBack, "{back:?}");
            before.assert_untouched()?;
        }
        assert!(self.desk.client.logs_in(&self.target, &self.key.file)?, "the first key must log in");
        Ok(())
    }

    /// Asserts that a change sees this cause before it writes anything.
    async fn refuses(&self, code: &str) -> Result<(), Trouble> {
        let before = Kept::look(&self.file)?;
        let findings = self.desk.keywheel.check("deploy", &ConnectWith::AsStored).await?;
        let codes: Vec<&str> = findings[0].problems.iter().map(|problem| problem.code.as_str()).collect();
        assert_eq!(codes, [code], "{findings:?}");
        let (change, _watching) = self.begin(Strategy::TwoPhase);
        let finished = change.await?;
        assert_eq!(finished.outcome, Outcome::Failed, "{finished:?}");
        Ok(before.assert_untouched()?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_on_dropbear_goes_all_ways() -> Result<(), Trouble> {
    let Some(device) = available(Dropbear::start(&[]))? else { return Ok(()) };
    Small::at(&device, device.target(), "no-pty,no-port-forwarding ").await?.goes_all_ways().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_on_tinysshd_goes_all_ways() -> Result<(), Trouble> {
    let Some(device) = available(Tinysshd::start(&[]))? else { return Ok(()) };
    Small::at(&device, device.target(), "").await?.goes_all_ways().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropbear_restarted_between_the_stages_is_entered_anew() -> Result<(), Trouble> {
    let Some(device) = available(Dropbear::start(&[]))? else { return Ok(()) };
    let small = Small::at(&device, device.target(), "").await?;
    for after in [Stage::Check, Stage::Add, Stage::Prove, Stage::Remove] {
        let (from, before) = (small.credential().await?, Kept::look(&small.file)?);
        let (change, mut watching) = small.begin(Strategy::TwoPhase);
        let running = tokio::spawn(change);
        while let Some(event) = watching.events.recv().await {
            if let What::Stage { stage, state: StageState::Done, .. } = &event.what
                && *stage == after
            {
                device.stop()?;
                device.restart()?;
            }
        }
        small.assert_changed(&from, &before, &running.await??).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_the_server_cannot_read_lets_nobody_in_and_is_left() -> Result<(), Trouble> {
    let Some(dropbear) = available(Dropbear::start(&[]))? else { return Ok(()) };
    let small = Small::at(&dropbear, dropbear.target(), "expiry-time=\"29991231\" ").await?;
    small.refuses("authentication-refused").await?;
    let Some(tinysshd) = available(Tinysshd::start(&[]))? else { return Ok(()) };
    let small = Small::at(&tinysshd, tinysshd.target(), "no-pty ").await?;
    small.refuses("authentication-refused").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_shell_may_not_log_in_on_dropbear_and_is_left() -> Result<(), Trouble> {
    // Dropbear wants a shell that stands in /etc/shells.
    let account = Account::new("kwtest").shell("/usr/sbin/nologin");
    let Some(device) = available(Dropbear::start(&[account]))? else { return Ok(()) };
    Small::at(&device, device.target(), "").await?.refuses("authentication-refused").await
}
