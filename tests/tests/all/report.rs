//! Proofs of real changes: what they say is compared with the devices' files, and searched for what must not be in them.

use keywheel_core::journal::effect::hash;
use keywheel_core::key::PrivateKey;
use keywheel_fleet::{Fleet, Sshd, Traces, Trouble, available};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cli::{User, is_stage};

/// A line of somebody else's, with what may be secret in it.
const THEIRS: &str = "environment=\"TOKEN=xyzzy-secret\" ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB plugh@elsewhere";

/// What a proof must not hold: parts of the lines that are not ours.
const FOREIGN: [&str; 4] = ["xyzzy", "TOKEN", "AQEBAQEBAQEB", "plugh"];

/// A user whose key stands on all devices of a fleet, beside somebody else's.
struct Scene {
    user: User,
    fleet: Fleet,
    /// What must be in no report: the seeds of all keys so far.
    seeds: Traces,
}

impl Scene {
    fn new(devices: usize) -> Result<Option<Self>, Trouble> {
        let Some(fleet) = available(Fleet::start(devices))? else { return Ok(None) };
        let user = User::new()?;
        let key = user.deploy(&fleet.devices.iter().collect::<Vec<_>>())?;
        for sshd in &fleet.devices {
            let text = [THEIRS.as_bytes(), b"\n", &sshd.authorized_keys()?].concat();
            sshd.write_authorized_keys(&text)?;
        }
        let seeds = Traces::of_key(&PrivateKey::import(&std::fs::read(&key.file)?, None)?)?;
        Ok(Some(Self { user, fleet, seeds }))
    }

    fn hashes(&self) -> Result<Vec<String>, Trouble> {
        let hashed = |sshd: &Sshd| -> Result<String, Trouble> { Ok(hash(&sshd.authorized_keys()?)) };
        self.fleet.devices.iter().map(hashed).collect()
    }

    /// Writes the proof of a change in both forms, looks at what must hold of any, and gives its facts.
    fn proof(&mut self, change: &Value) -> Result<Value, Trouble> {
        let id = change.to_string();
        let revealed = self.user.path(&format!("key-{id}"));
        self.user.done(&["credential", "reveal", "deploy", "--out", &revealed.display().to_string(), "--yes"])?;
        let key = PrivateKey::import(&std::fs::read(&revealed)?, None)?;
        let seeds = std::mem::take(&mut self.seeds).and(Traces::of_key(&key)?);
        let mut facts = Value::Null;
        for format in ["json", "html"] {
            let file = self.user.path(&format!("proof-{id}.{format}"));
            let name = file.display().to_string();
            let written = self.user.done(&["report", "change", &id, "--format", format, "--out", &name])?;
            let bytes = std::fs::read(&file)?;
            assert_eq!(written.last()["sha256"], hash(&bytes), "{}", written.stdout);
            assert_eq!(seeds.look(&name, &bytes), Vec::<String>::new(), "a private key is in the proof");
            let text = String::from_utf8(bytes)?;
            for foreign in FOREIGN {
                assert!(!text.contains(foreign), "{foreign} of a foreign line is in {name}");
            }
            if format == "json" {
                facts = serde_json::from_str(&text)?;
            } else {
                assert_loads_nothing(&text);
            }
            let verified = self.user.done(&["report", "verify", &name])?;
            assert_eq!(verified.last()["proof"], "right", "{}", verified.stdout);
            self.user.refused(&["report", "change", &id, "--format", format, "--out", &name], 2, "file-exists")?;
        }
        self.seeds = seeds;
        Ok(facts)
    }

    /// A proof with one value altered is found, and the value named.
    fn assert_found(&self, facts: &Value, pointer: &str, at: &str) -> Result<(), Trouble> {
        let mut altered = facts.clone();
        *altered.pointer_mut(pointer).ok_or("no such value")? = json!("altered");
        let file = self.user.path("altered.json");
        std::fs::write(&file, altered.to_string())?;
        let verified = self.user.run(&["report", "verify", &file.display().to_string()])?;
        assert_eq!((verified.status, &verified.last()["proof"]), (Some(1), &json!("altered")), "{}", verified.stdout);
        assert_eq!(verified.last()["first"]["at"], at, "{}", verified.stdout);
        Ok(())
    }
}

fn assert_loads_nothing(page: &str) {
    for wrong in ["<script", "http:", "https:", "<link", "<img", "src=", "href=", "url(", "@import", "javascript:"] {
        assert!(!page.contains(wrong), "{wrong} stands in the page");
    }
    assert!(page.contains("default-src 'none'") && page.contains("size: A4"), "it must say what it may load: nothing");
    assert!(page.contains("table-header-group") && page.contains("break-inside: avoid"), "it must print well");
}

/// The hashes of a device's writes in turn: before and after each.
fn chain(device: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let writes = device["writes"].as_array().cloned().unwrap_or_default();
    writes.iter().map(|write| (text(&write["before"]), text(&write["after"]))).collect()
}

/// The logins of one stage: which key, how, and what came of it.
fn logins<'a>(device: &'a Value, stage: &str) -> Vec<(&'a Value, &'a str, &'a str)> {
    let all = device["logins"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_stage = all.iter().filter(|login| login["stage"] == stage);
    let word = |value: &'a Value| value.as_str().unwrap_or_default();
    of_stage.map(|login| (&login["fingerprint"], word(&login["by"]), word(&login["answer"]))).collect()
}

#[test]
fn the_proof_of_a_change_says_what_its_devices_hold_and_an_altered_one_is_found() -> Result<(), Trouble> {
    let Some(mut scene) = Scene::new(2)? else { return Ok(()) };
    let before = scene.hashes()?;
    let done = scene.user.done(&["rotate", "deploy"])?;
    let facts = scene.proof(&done.last()["change"])?;
    let after = scene.hashes()?;
    let (old, new) = (&facts["change"]["old_key"]["fingerprint"], &facts["change"]["new_key"]["fingerprint"]);
    assert_eq!(
        (facts["change"]["outcome"].as_str(), facts["change"]["strategy"].as_str()),
        (Some("changed"), Some("two-phase"))
    );
    assert_eq!(facts["change"]["credential"], "deploy");
    for (index, device) in facts["devices"].as_array().ok_or("devices")?.iter().enumerate() {
        let [add, remove] = chain(device).try_into().map_err(|other| format!("{other:?}"))?;
        assert_eq!((&add.0, &add.1, &remove.1), (&before[index], &remove.0, &after[index]), "{device}");
        assert_eq!(device["writes"][0]["method"], "shell", "{device}");
        assert_eq!(
            (device["name"].as_str(), device["position"].as_u64()),
            (Some(["web-1", "web-2"][index]), Some(index as u64 + 1))
        );
        assert!(logins(device, "prove").contains(&(new, "login", "accepted")), "{device}");
        let refuse = logins(device, "refuse");
        assert_eq!(refuse.first().map(|first| (first.0, first.2)), Some((old, "refused")), "{device}");
        assert_eq!(refuse.last(), Some(&(new, "login", "accepted")), "{device}");
        let stages: Vec<_> =
            device["stages"].as_array().ok_or("stages")?.iter().map(|stage| stage["stage"].clone()).collect();
        assert_eq!(stages, ["add", "prove", "remove", "refuse"], "{device}");
        let shown = scene.user.done(&["device", "show", ["web-1", "web-2"][index]])?;
        let pinned: Vec<&Value> =
            shown.last()["host_keys"].as_array().ok_or("host keys")?.iter().map(|key| &key["fingerprint"]).collect();
        assert!(pinned.contains(&&device["host_keys"][0]), "{device}");
    }
    let rows = scene.user.done(&["audit", "list"])?;
    let told = facts["audit"]["rows"].as_array().ok_or("rows")?;
    for row in told {
        let found = rows.lines.iter().find(|known| known["id"] == row["id"]).ok_or("a row of the audit")?;
        assert_eq!((&found["hash"], &found["action"]), (&row["hash"], &row["action"]));
    }
    assert_eq!(facts["audit"]["chain_hash"], told.last().ok_or("a row")?["hash"]);
    assert_eq!(told.last().ok_or("a row")?["action"], "credential-rotate", "the end of the change is its last row");

    scene.assert_found(&facts, "/devices/1/writes/1/after", "devices[1].writes[1].after")?;
    scene.assert_found(&facts, "/devices/0/logins/0/answer", "devices[0].logins[0].answer")?;
    scene.assert_found(&facts, "/audit/rows/0/hash", "audit.rows[0].hash")?;
    let proof = scene.user.path(&format!("proof-{}.html", done.last()["change"])).display().to_string();
    let page = std::fs::read_to_string(&proof)?;
    let altered = scene.user.path("altered.html").display().to_string();
    std::fs::write(&altered, page.replacen("accepted", "refused", 1))?;
    let verified = scene.user.run(&["report", "verify", &altered])?;
    assert_eq!((verified.status, &verified.last()["first"]["at"]), (Some(1), &json!("page")), "{}", verified.stdout);
    scene.user.refused(&["report", "verify", &scene.user.path("key-1").display().to_string()], 2, "not-a-proof")?;

    // An undo is a change of its own; the proof of the one that is undone stays right.
    scene.user.done(&["change", "undo", &done.last()["change"].to_string()])?;
    scene.user.done(&["report", "verify", &proof])?;
    let stranger = User::new()?;
    let verified = stranger.run(&["report", "verify", &proof])?;
    assert_eq!((verified.status, &verified.last()["proof"]), (Some(1), &json!("other-vault")), "{}", verified.stdout);
    Ok(())
}

#[test]
fn the_proof_of_a_change_that_was_taken_back_ends_with_the_files_as_they_were() -> Result<(), Trouble> {
    let Some(mut scene) = Scene::new(2)? else { return Ok(()) };
    let before = scene.hashes()?;
    scene.user.done(&["settings", "set", "stage-timeout", "3"])?;
    let started = scene.user.start_until(&["rotate", "deploy"], |event| is_stage(event, "web-1", "prove", "done"))?;
    started.signal(Signal::SIGKILL)?;
    started.end()?;
    let id = scene.user.done(&["change", "list"])?.last()["id"].clone();
    let interrupted = scene.user.path("interrupted.json").display().to_string();
    scene.user.done(&["report", "change", &id.to_string(), "--format", "json", "--out", &interrupted])?;
    scene.user.done(&["change", "roll-back", &id.to_string()])?;
    let facts = scene.proof(&id)?;
    assert_eq!((&facts["change"]["outcome"], &facts["change"]["attempts"]), (&json!("rolled-back"), &json!(2)));
    let first = &facts["devices"][0];
    let writes = chain(first);
    assert_eq!(writes.first().map(|write| &write.0), Some(&before[0]), "{first}");
    assert_eq!(writes.last().map(|write| &write.1), Some(&before[0]), "{first}");
    let old = &facts["change"]["old_key"]["fingerprint"];
    assert_eq!(logins(first, "roll-back").last(), Some(&(old, "login", "accepted")), "{first}");
    assert_eq!(scene.hashes()?, before);
    let verified = scene.user.done(&["report", "verify", &interrupted])?;
    assert_eq!((&verified.last()["outcome"], &verified.last()["gone_on"]), (&json!("interrupted"), &json!(true)));
    Ok(())
}

#[test]
fn the_proof_of_a_change_in_part_names_the_device_and_the_fleet_report_what_is_left() -> Result<(), Trouble> {
    let Some(mut scene) = Scene::new(2)? else { return Ok(()) };
    let before = scene.hashes()?;
    scene.fleet.devices[1].stop()?;
    let partly = scene.user.run(&["rotate", "deploy", "--on-failure", "continue"])?;
    assert_eq!(partly.last()["outcome"], "partly-changed", "{}", partly.stdout);
    let facts = scene.proof(&partly.last()["change"])?;
    let [first, second] = [&facts["devices"][0], &facts["devices"][1]];
    assert_eq!(
        (chain(first).last().map(|write| &write.1), scene.hashes()?.first()),
        (scene.hashes()?.first(), chain(first).last().map(|write| &write.1))
    );
    assert_eq!((second["cause"]["code"].as_str(), chain(second).len()), (Some("connection-refused"), 0), "{second}");
    assert_eq!(scene.hashes()?[1], before[1]);

    for format in ["csv", "json", "html"] {
        let file = scene.user.path(&format!("fleet.{format}"));
        let name = file.display().to_string();
        scene.user.done(&["report", "fleet", "--format", format, "--out", &name])?;
        let text = std::fs::read_to_string(&file)?;
        assert_eq!(scene.seeds.look(&name, text.as_bytes()), Vec::<String>::new());
        assert!(FOREIGN.iter().all(|foreign| !text.contains(foreign)), "a foreign line is in {name}");
        assert!(
            text.contains("deploy") && text.contains("connection-refused") && text.contains("partly-changed"),
            "{text}"
        );
        if format == "html" {
            assert_loads_nothing(&text);
        }
        if format == "json" {
            let fleet: Value = serde_json::from_str(&text)?;
            let deploy = &fleet["credentials"][0];
            assert_eq!((&deploy["never_proven"], &deploy["overdue"]), (&json!(["web-2"]), &json!(false)), "{deploy}");
            let left: Vec<_> = deploy["keys_left"].as_array().ok_or("keys")?.iter().map(|key| &key["device"]).collect();
            assert_eq!(left, ["web-2"], "{deploy}");
        }
    }
    Ok(())
}

#[test]
fn the_proof_of_an_emergency_names_the_devices_that_refuse_the_compromised_key() -> Result<(), Trouble> {
    let Some(mut scene) = Scene::new(2)? else { return Ok(()) };
    scene.fleet.devices[1].stop()?;
    let partly = scene.user.run(&["rotate", "deploy", "--strategy", "emergency", "--yes"])?;
    assert_eq!(partly.last()["outcome"], "partly-changed", "{}", partly.stdout);
    let facts = scene.proof(&partly.last()["change"])?;
    assert_eq!(
        (&facts["change"]["strategy"], &facts["change"]["outcome"]),
        (&json!("emergency"), &json!("partly-changed"))
    );
    let old = &facts["change"]["old_key"]["fingerprint"];
    let refused = |device: &Value| logins(device, "refuse").iter().any(|login| login.0 == old && login.2 == "refused");
    assert!(refused(&facts["devices"][0]) && !refused(&facts["devices"][1]), "{facts}");
    assert_eq!(chain(&facts["devices"][0]).last().map(|write| &write.1), scene.hashes()?.first());
    Ok(())
}
