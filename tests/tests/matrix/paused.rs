//! The real program, stopped by a signal in the middle of a change and continued when its connections are dead.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use keywheel_core::{
    Keywheel,
    audit::Actor,
    clock::SystemClock,
    credential::{NewCredential, NewSecret},
    device::{NewDevice, Pinned},
    key::{PrivateKey, PublicKey},
    rotation::{Rotate, decide::Outcome},
    vault::OsKeyring,
};
use keywheel_fleet::{
    Client, ClientKey, Embedded, Trouble,
    embedded::{Config, Edge, KeyIs, Point},
    keyring::PrivateKeyring,
    matrix::{Stage, Variant},
    watch,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{sync::oneshot, time::sleep};

use crate::effect::{Effect, after_writes, writes_before};

/// The stage timeout, after which the device itself gives the stopped process up.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A person with a keyring, a data directory and one device.
struct Scene {
    keyring: PrivateKeyring,
    keywheel: Keywheel,
    client: Client,
    device: Arc<Embedded>,
    old: ClientKey,
    dir: tempfile::TempDir,
}

/// The program beside the tests' own: both are built into the same folder.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().and_then(Path::parent).unwrap().join("keywheel")
}

impl Scene {
    async fn new() -> Result<Self, Trouble> {
        let dir = tempfile::tempdir()?;
        let keyring = PrivateKeyring::start(dir.path())?;
        let vault = Arc::new(OsKeyring::open_at(&keyring.address()));
        let data = dir.path().join("data");
        let keywheel = Keywheel::open(&data, vault, Arc::new(SystemClock), Actor::named("tester"))?;
        for name in ["connection-timeout", "stage-timeout"] {
            keywheel.set_setting(name, &TIMEOUT.as_secs().to_string()).await?;
        }
        let client = Client::new()?;
        let old = client.key("deploy", "ed25519")?;
        let device = Embedded::start(Config::default()).await?;
        device.write_authorized_keys(format!("# theirs\n{}\n# end", old.public).as_bytes())?;
        let new = NewDevice { port: device.port().into(), ..NewDevice::new("web-1", "127.0.0.1") };
        let id = keywheel.add_device(new).await?.id;
        let host_key = PublicKey::from_openssh(&device.host_key_public()?)?;
        keywheel.pin_host_keys(id, vec![host_key], Pinned::Keep).await?;
        let key = PrivateKey::import(&std::fs::read(&old.file)?, None)?;
        let secret = NewSecret::Imported { key, from: None };
        let new = NewCredential { devices: vec![id], ..NewCredential::new("deploy", device.account(), id, secret) };
        keywheel.add_credential(new).await?;
        Ok(Self { keyring, keywheel, client, device: Arc::new(device), old, dir })
    }

    /// The program with these arguments.
    fn program(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = Command::new(program());
        self.keyring.set_environment(&mut command);
        command.env("KEYWHEEL_DATA_DIR", self.dir.path().join("data")).arg("--json").args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        command
    }

    /// Makes a change that stops when the new key is proven.
    async fn bring_forward(&self) -> Result<(), Trouble> {
        let (watch, watching) = watch();
        let proven = Point::Key(KeyIs::Other(self.old.public.clone()));
        self.device.once(Edge::After, proven, move || watching.stop.send(true).unwrap());
        let request = Rotate { credential: "deploy".to_owned(), ..Rotate::default() };
        let stopped = self.keywheel.rotate(&request, watch).await?;
        assert_eq!(stopped.outcome, Outcome::Interrupted, "it can't be taken back: {stopped:?}");
        Ok(())
    }

    async fn newest_change(&self) -> Result<String, Trouble> {
        let changes = self.keywheel.database().run_read(keywheel_core::journal::change::list).await?;
        Ok(changes.first().ok_or("a change")?.id.to_string())
    }

    /// Exactly one version of the key logs in: this one.
    async fn assert_on(&self, version: u32, said: &str) -> Result<(), Trouble> {
        let credential = self.keywheel.find_credential("deploy").await?;
        assert_eq!(credential.current_key().map(|key| key.version), Some(version), "{said}");
        for known in &credential.key_versions {
            let key = self.keywheel.read_key(&credential, known).await?;
            let file = self.client.key_file(&format!("version-{}", known.version), &key.write_openssh(None)?)?;
            let (client, target) = (&self.client, self.device.target()?);
            let accepted = tokio::task::block_in_place(|| client.logs_in(&target, &file))?;
            assert_eq!(accepted, known.version == version, "version {}: {said}", known.version);
        }
        let current = credential.key_version(version).ok_or("the version")?.public_key.to_openssh();
        assert_eq!(String::from_utf8(self.device.authorized_keys()?)?, format!("# theirs\n{current}\n# end"));
        let left = std::fs::read_dir(self.device.home().join(".ssh"))?.count();
        assert_eq!(left, 1, "a temporary file stayed: {said}");
        Ok(())
    }
}

/// Stops the program at a stage's effect; meanwhile nobody else may take the change up; then it goes on.
async fn stop_and_continue(stage: Stage) -> Result<(), Trouble> {
    let scene = Scene::new().await?;
    let back = stage == Stage::TakeBack;
    if back {
        scene.bring_forward().await?;
    }
    let process = Arc::new(OnceLock::<Pid>::new());
    let (reached, stopped) = oneshot::channel();
    let (device, id) = (Arc::clone(&scene.device), Arc::clone(&process));
    let effect = Effect::of(stage, Variant::Shell, &scene.old.public);
    let act = move || {
        device.once(Edge::Before, effect.point(), move || {
            while id.get().is_none() {
                std::thread::yield_now();
            }
            kill(*id.get().unwrap(), Signal::SIGSTOP).unwrap();
            reached.send(()).unwrap();
        });
    };
    after_writes(Arc::clone(&scene.device), Variant::Shell, writes_before(stage), Box::new(act));
    let child = if back {
        scene.program(&["change", "roll-back", &scene.newest_change().await?]).spawn()?
    } else {
        scene.program(&["rotate", "deploy"]).spawn()?
    };
    process.set(Pid::from_raw(child.id().ok_or("a process")?.try_into()?)).map_err(|_| "one process")?;
    stopped.await?;

    let other = scene.program(&["change", if back { "roll-back" } else { "resume" }, &scene.newest_change().await?]);
    let said = output(other).await?;
    assert_eq!(said["error"]["code"], "busy", "two processes would change one key: {said}");
    // By now the device has given up what the process had begun there, and the network its connections.
    sleep(TIMEOUT).await;
    scene.device.cut_all();
    kill(*process.get().ok_or("a process")?, Signal::SIGCONT)?;
    let ended = child.wait_with_output().await?;
    let said = String::from_utf8(ended.stdout)?;
    let last: Value = serde_json::from_str(said.lines().last().ok_or("no answer")?)?;
    let (outcome, version) = match stage {
        Stage::Check => ("failed", 1),
        Stage::TakeBack => ("rolled-back", 1),
        Stage::Add | Stage::Prove | Stage::Remove | Stage::Refuse => ("changed", 2),
    };
    assert_eq!(last["outcome"], outcome, "{said}");
    scene.assert_on(version, &said).await
}

async fn output(mut command: tokio::process::Command) -> Result<Value, Trouble> {
    let output = command.output().await?;
    let text = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(text.lines().last().ok_or("no answer")?)?)
}

column_apart! {
    /// The process is stopped, and goes on later.
    stopped_and_continued: Paused, super::stop_and_continue, {
        in_check: [Shell: Refused],
        in_add: [Shell: Done],
        in_prove: [Shell: Done],
        in_remove: [Shell: Done],
        in_refuse: [Shell: Done],
        in_take_back: [Shell: Done],
    }
}
