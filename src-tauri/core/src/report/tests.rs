use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::catalogue::{CredentialId, DeviceId, Happening, credential, key_version, policy};
use crate::credential::{NewCredential, NewSecret};
use crate::device::NewDevice;
use crate::journal::{
    Begin, DeviceState, Effect, EffectResult, Kind, LoginProof, Place, Proof as AskedBy, Write, WriteKind,
};
use crate::key::{Algorithm, Fingerprint, PrivateKey};
use crate::keywheel::testing::keywheel;
use crate::person::NewPerson;
use crate::remote::files::Way;
use crate::rotation::decide::{Direction, Standing};
use crate::rotation::{OnFailure, Stage, Strategy};

/// A name that breaks whatever takes it for markup, a formula or a format.
pub(super) const ODD: &str = "=<script>alert(\"1\")</script>&'{}";

/// A vault with one change, which got through on its first device and failed on the second.
pub(super) struct Changed {
    pub(super) keywheel: Keywheel,
    pub(super) dir: TempDir,
    pub(super) credential: CredentialId,
    pub(super) devices: [DeviceId; 2],
    pub(super) change: ChangeId,
}

impl Changed {
    pub(super) async fn new() -> Self {
        let (keywheel, dir) = keywheel();
        let one = keywheel.add_device(NewDevice::new("web-1", "10.0.0.1")).await.unwrap().id;
        let two = keywheel.add_device(NewDevice::new(ODD, "10.0.0.2")).await.unwrap().id;
        let key = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap();
        let mut new = NewCredential::new("deploy", "deploy", one, NewSecret::Generated(key));
        new.devices = vec![one, two];
        let credential = keywheel.add_credential(new).await.unwrap().id;
        let change = begin(&keywheel, credential, Kind::Rotate).await;
        let this = Self { keywheel, dir, credential, devices: [one, two], change };
        this.work().await;
        this
    }

    async fn work(&self) {
        let (old, new) = (self.fingerprint(1), self.second_key());
        let keywheel = &self.keywheel;
        let now = keywheel.now();
        let write = |tx: &rusqlite::Transaction<'_>, device, kind, before: &[u8], after: &[u8], result| {
            let write = Write {
                write: kind,
                path: ".ssh/authorized_keys".into(),
                resolved: "/home/deploy/.ssh/authorized_keys".into(),
                way: Some(Way::Shell),
                before: journal::effect::hash(before),
                after: journal::effect::hash(after),
                added: Vec::new(),
                removed: Vec::new(),
                stood_before: 0,
            };
            note(tx, self.change, device, Direction::Forward, &Effect::Write(write), result, now);
        };
        let login = |tx: &rusqlite::Transaction<'_>, device, direction, version, key: &Fingerprint, by, accepted| {
            let proof = LoginProof { version, fingerprint: key.clone(), by };
            let server = "SSH-2.0-OpenSSH_9.9".to_owned();
            let result = EffectResult::Answered { accepted, host_key: Some(old.clone()), server };
            note(tx, self.change, device, direction, &Effect::Login(proof), Some(result), now);
        };
        let written =
            |text: &[u8]| Some(EffectResult::Written { hash: journal::effect::hash(text), carried_over: false });
        let done: Result<(), Error> = keywheel.database().write(|tx| {
            let [one, two] = self.devices;
            journal::change::set_to_version(tx, self.change, 1, 2)?;
            write(tx, one, WriteKind::Add, b"old", b"both", written(b"both"));
            login(tx, one, Direction::Forward, 2, &new, AskedBy::Login, true);
            write(tx, two, WriteKind::Add, b"old", b"both", None);
            login(tx, two, Direction::Back, 1, &old, AskedBy::Login, true);
            write(tx, one, WriteKind::Remove, b"both", b"new", written(b"new"));
            login(tx, one, Direction::Forward, 2, &new, AskedBy::Login, true);
            login(tx, one, Direction::Forward, 1, &old, AskedBy::Question, false);
            login(tx, one, Direction::Forward, 2, &new, AskedBy::Login, true);
            let records = journal::device::list(tx, self.change)?;
            for (record, state) in records.into_iter().zip([DeviceState::Changed, DeviceState::Failed]) {
                let cause = crate::error::Report::new("disk-full", "The disk is full.".to_owned(), "Make room.");
                let failed = state == DeviceState::Failed;
                let record = journal::DeviceRecord {
                    state,
                    standing: if failed { Standing::Back } else { Standing::Changed },
                    stage: failed.then_some(Stage::Add),
                    cause: failed.then_some(cause),
                    accepts: vec![if failed { old.clone() } else { new.clone() }],
                    ..record
                };
                journal::device::update(tx, self.change, &record)?;
            }
            journal::change::end(tx, self.change, 1, ChangeState::PartlyChanged, None, now)?;
            Ok(())
        });
        done.unwrap();
        let row = |name, kind, subject: &str| Action::new(name, kind, subject).with(json!({ "change": self.change.0 }));
        keywheel.record(row("stage-add", "device", "web-1"), None).await;
        keywheel.record(Action::new("stage-add", "device", "other").with(json!({ "change": 100 })), None).await;
        keywheel.record(row("credential-rotate", "credential", "deploy"), None).await;
    }

    fn fingerprint(&self, version: u32) -> Fingerprint {
        let versions = self.keywheel.database().read(|conn| key_version::of(conn, self.credential)).unwrap();
        versions.iter().find(|known| known.version == version).unwrap().fingerprint()
    }

    fn second_key(&self) -> Fingerprint {
        let public = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap().public_key().clone();
        let (credential, now) = (self.credential, self.keywheel.now());
        let item = self.keywheel.item_name(credential, 2, public.fingerprint());
        let made = self.keywheel.database().write(|tx| {
            key_version::insert_candidate(tx, credential, 2, &public, &item, now)?;
            key_version::make_current(tx, credential, 2, now)
        });
        made.unwrap();
        public.fingerprint()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the proof and gives its bytes.
    pub(super) async fn proven(&self, format: ProofFormat, name: &str) -> Vec<u8> {
        let path = self.path(name);
        let file = self.keywheel.write_proof(self.change, format, &path).await.unwrap();
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(file.sha256, journal::effect::hash(&bytes));
        bytes
    }

    pub(super) async fn verdict(&self, bytes: &[u8]) -> Verdict {
        self.keywheel.verify_proof(bytes.to_vec()).await.unwrap()
    }
}

fn note(
    tx: &rusqlite::Transaction<'_>,
    change: ChangeId,
    device: DeviceId,
    direction: Direction,
    effect: &Effect,
    result: Option<EffectResult>,
    now: jiff::Timestamp,
) {
    let place = Place { change, epoch: 1, device: Some(device), direction };
    let id = journal::effect::intend(tx, place, effect, now).unwrap();
    if let Some(result) = result {
        journal::effect::conclude(tx, id, &result, now).unwrap();
    }
}

/// Begins a change of the first key version on all devices of a credential.
pub(super) async fn begin(keywheel: &Keywheel, id: CredentialId, kind: Kind) -> ChangeId {
    let credential = keywheel.read(move |conn| credential::by_id(conn, id)).await.unwrap();
    let names = keywheel.database().read(crate::catalogue::device::names).unwrap();
    let device = |id: DeviceId| journal::SnapshotDevice {
        id,
        name: names[&id].clone(),
        address: "10.0.0.1".into(),
        port: 22,
        jump: None,
        authorized_keys_path: None,
        enabled: true,
    };
    let snapshot = journal::Snapshot {
        credential: credential.name.clone(),
        username: credential.username.clone(),
        auth_with: None,
        options: None,
        devices: credential.devices_in_order().into_iter().map(device).collect(),
    };
    let begin = Begin {
        credential: id,
        kind,
        strategy: Strategy::TwoPhase,
        on_failure: OnFailure::Continue,
        at_once: 1,
        from_version: Some(1),
        to_version: None,
        snapshot: &snapshot,
        requested_by: "ana@desk",
        origin: journal::Origin::REQUEST,
        now: keywheel.now(),
    };
    keywheel.database().write(|tx| journal::change::begin(tx, &begin)).unwrap()
}

#[tokio::test]
async fn a_proof_tells_each_effect_with_its_stage_and_the_rows_of_the_audit() {
    let changed = Changed::new().await;
    let bytes = changed.proven(ProofFormat::Json, "proof.json").await;
    let proof: Proof = serde_json::from_slice(&bytes).unwrap();
    let [one, two] = proof.devices.as_slice() else { panic!("two devices") };
    let logins: Vec<_> =
        one.logins.iter().map(|login| (login.stage.as_str(), login.version, login.answer.as_str())).collect();
    let told =
        [("prove", 2, "accepted"), ("prove", 2, "accepted"), ("refuse", 1, "refused"), ("refuse", 2, "accepted")];
    assert_eq!(logins, told);
    let stages: Vec<&str> = one.stages.iter().map(|stage| stage.stage.as_str()).collect();
    assert_eq!(stages, ["add", "prove", "remove", "prove", "refuse"]);
    assert_eq!(one.writes[1].after.as_deref(), Some(journal::effect::hash(b"new").as_str()));
    assert_eq!((two.writes[0].result.as_str(), two.writes[0].ended.as_ref()), ("unknown", None));
    assert_eq!(two.logins[0].stage, "roll-back");
    assert_eq!(two.cause.as_ref().map(|cause| cause.code.as_str()), Some("disk-full"));
    let actions: Vec<&str> = proof.audit.rows.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["stage-add", "credential-rotate"], "rows of other changes are not its own");
    assert_eq!(proof.audit.chain_hash.as_deref(), proof.audit.rows.last().map(|row| row.hash.as_str()));
    assert_eq!(proof.change.outcome, "partly-changed");
}

#[tokio::test]
async fn a_page_loads_nothing_runs_nothing_and_takes_no_name_for_markup() {
    let changed = Changed::new().await;
    let page = String::from_utf8(changed.proven(ProofFormat::Html, "proof.html").await).unwrap();
    changed.keywheel.write_fleet_report(FleetFormat::Html, &changed.path("fleet.html")).await.unwrap();
    let fleet = std::fs::read_to_string(changed.path("fleet.html")).unwrap();
    for page in [page, fleet] {
        assert!(page.contains("=&lt;script&gt;alert"), "the device's name is missing");
        for wrong in ["<script", "http:", "https:", "<img", "<link", "src=", "href=", "url(", "@import", " on"] {
            let inside =
                page.match_indices(wrong).find(|(at, _)| page[*at..].starts_with(" on") && is_handler(&page[*at..]));
            let found = if wrong == " on" { inside.is_some() } else { page.contains(wrong) };
            assert!(!found, "{wrong:?} stands in the page");
        }
        assert!(page.contains("default-src 'none'") && page.contains("@page"));
    }
}

/// Whether an attribute begins here that would run something.
fn is_handler(text: &str) -> bool {
    let name: String = text.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    text.trim_start()[name.len()..].starts_with("=\"")
}

#[tokio::test]
async fn a_change_under_way_has_no_proof_and_no_file_is_replaced() {
    let changed = Changed::new().await;
    let running = begin_other(&changed).await;
    let lock = crate::lock::CredentialLock::take(
        changed.keywheel.database().dir(),
        running.0,
        "other",
        crate::lock::Sharing::Exclusive,
    );
    let _lock = lock.unwrap();
    let write = |id, name: &str| {
        let path = changed.path(name);
        let keywheel = changed.keywheel.clone();
        async move { keywheel.write_proof(id, ProofFormat::Json, &path).await }
    };
    assert_eq!(write(running.1, "running.json").await.unwrap_err().code(), "change-state");
    assert!(!changed.path("running.json").exists());
    assert_eq!(write(ChangeId(77), "none.json").await.unwrap_err().code(), "no-such-change");
    std::fs::write(changed.path("mine"), b"mine").unwrap();
    assert_eq!(write(changed.change, "mine").await.unwrap_err().code(), "file-exists");
    assert_eq!(std::fs::read(changed.path("mine")).unwrap(), b"mine");
    let rows = changed.keywheel.audit_rows(Default::default()).await.unwrap();
    let told: Vec<_> = rows.iter().filter(|row| row.action == REPORT_WRITE).map(|row| row.code.as_deref()).collect();
    assert_eq!(told, [Some("change-state"), Some("no-such-change"), Some("file-exists")]);
}

async fn begin_other(changed: &Changed) -> (CredentialId, ChangeId) {
    let key = PrivateKey::generate(Algorithm::Ed25519, "other").unwrap();
    let new = NewCredential::new("other", "other", changed.devices[0], NewSecret::Generated(key));
    let id = changed.keywheel.add_credential(new).await.unwrap().id;
    (id, begin(&changed.keywheel, id, Kind::Rotate).await)
}

#[tokio::test]
async fn the_fleet_report_tells_ages_failures_keys_left_and_what_was_never_proven() {
    let changed = Changed::new().await;
    let keywheel = &changed.keywheel;
    let [one, two] = changed.devices;
    let now = keywheel.now();
    let before = keywheel.fleet().await.unwrap();
    let left: Vec<_> = before.credentials[0].keys_left.iter().map(|left| (left.device.as_str(), left.answer)).collect();
    assert_eq!(left, [(ODD, "unknown")], "nobody has asked the device that the change did not get to");
    let noted = keywheel.database().write(|tx| {
        key_version::note(tx, changed.credential, 1, one, Happening::Refused, now)?;
        key_version::note(tx, changed.credential, 1, two, Happening::Accepted, now)?;
        key_version::note(tx, changed.credential, 2, one, Happening::Accepted, now)
    });
    noted.unwrap();
    let owner = NewPerson { name: "+Ana".to_owned(), email: String::new(), active: true };
    let owner = keywheel.save_person(None, owner).await.unwrap().view.id;
    begin_other(&changed).await;
    let secret = NewSecret::Password(secrecy::SecretString::from("hunter2"));
    let mut password = NewCredential::new("root", "root", one, secret);
    password.owner = Some(owner);
    keywheel.add_credential(password).await.unwrap();
    let fleet = keywheel.fleet().await.unwrap();
    let row = |name: &str| fleet.credentials.iter().find(|row| row.name == name).unwrap();
    let deploy = row("deploy");
    assert_eq!((deploy.key_age_days, deploy.maximum_age_days, deploy.overdue), (Some(0), Some(90), Some(false)));
    assert_eq!(deploy.never_proven, [ODD]);
    let left: Vec<_> = deploy.keys_left.iter().map(|left| (left.device.as_str(), left.version, left.answer)).collect();
    assert_eq!(left, [(ODD, 1, "accepted")], "what was refused is not left");
    let last = deploy.last_change.as_ref().unwrap();
    assert_eq!((last.id, last.outcome.as_str()), (changed.change.0, "partly-changed"));
    assert_eq!((last.failures[0].device.as_str(), last.failures[0].code.as_deref()), (ODD, Some("disk-full")));
    assert_eq!(row("other").last_change.as_ref().unwrap().outcome, "interrupted", "nobody holds its lock");
    assert_eq!((row("root").overdue, row("root").maximum_age_days), (None, None), "a password is never changed");
    assert_eq!((fleet.totals.keys, fleet.totals.failed, fleet.totals.with_keys_left), (2, 2, 1));

    keywheel.write_fleet_report(FleetFormat::Csv, &changed.path("fleet.csv")).await.unwrap();
    let text = std::fs::read_to_string(changed.path("fleet.csv")).unwrap();
    assert!(text.ends_with("\r\n"), "RFC 4180 ends each record with CRLF");
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<_> = reader.records().map(|row| row.unwrap()).collect();
    let find = |name: &str| rows.iter().find(|row| &row[at("name")] == name).unwrap();
    assert_eq!(&find("root")[at("owner")], "'+Ana", "a spreadsheet would take it for a formula");
    assert_eq!(&find("deploy")[at("never_proven")], format!("'{ODD}"));
    assert_eq!(&find("deploy")[at("failures")], format!("'{ODD}: failed (disk-full)"));
    assert_eq!((&find("deploy")[at("overdue")], &find("root")[at("overdue")]), ("no", ""));
    for row in &rows {
        assert!(row.iter().all(|field| !field.starts_with(['=', '+', '-', '@', '\t', '\r'])), "{row:?}");
    }
}

#[tokio::test]
async fn a_key_is_overdue_from_the_day_on_that_its_policy_names() {
    let (keywheel, _dir, _, clock) = crate::keywheel::testing::with_parts();
    let device = keywheel.add_device(NewDevice::new("web-1", "10.0.0.1")).await.unwrap().id;
    let key = PrivateKey::generate(Algorithm::Ed25519, "deploy").unwrap();
    keywheel.add_credential(NewCredential::new("deploy", "deploy", device, NewSecret::Generated(key))).await.unwrap();
    let most = keywheel.find_policy(policy::STANDARD).await.unwrap().maximum_age_days;
    let told = async || {
        let row = keywheel.fleet().await.unwrap().credentials.remove(0);
        (row.key_age_days, row.overdue)
    };
    clock.pass(jiff::SignedDuration::from_hours(i64::from(most) * 24 - 1));
    assert_eq!(told().await, (Some(89), Some(false)));
    clock.pass(jiff::SignedDuration::from_hours(1));
    assert_eq!(told().await, (Some(90), Some(true)));
    clock.pass(jiff::SignedDuration::from_hours(-200 * 24));
    assert_eq!(told().await, (Some(0), Some(false)), "a clock that was set back makes no key older than it is");
}

#[tokio::test]
async fn a_fleet_of_thousands_is_told_whole() {
    let (keywheel, dir) = keywheel();
    let device = keywheel.add_device(NewDevice::new("first", "10.0.0.1")).await.unwrap().id;
    let key = PrivateKey::generate(Algorithm::Ed25519, "first").unwrap();
    let new = NewCredential::new("first", "first", device, NewSecret::Generated(key));
    keywheel.add_credential(new).await.unwrap();
    let grown = keywheel.database().write(|tx| {
        tx.execute_batch(
            "WITH RECURSIVE number (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM number WHERE n < 10000)
             INSERT INTO device (id, name, address, port, enabled, created)
                 SELECT n, 'web-' || n, '10.0.0.1', 22, 1, device.created FROM number, device WHERE device.id = 1;
             WITH RECURSIVE number (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM number WHERE n < 2000)
             INSERT INTO credential (id, name, kind, username, original_device, enabled, automatic_change, policy, ready, created)
                 SELECT n, 'key-' || n, kind, username, n * 5, 1, 0, policy, 1, created FROM number, credential
                 WHERE credential.id = 1;
             INSERT INTO credential_device (credential, device)
                 SELECT credential.id, device.id FROM credential JOIN device ON (device.id - 1) / 5 = credential.id - 1
                 WHERE credential.id > 1;
             INSERT INTO key_version (credential, version, state, public_key, fingerprint, item, compromised, created)
                 SELECT credential.id, version, state, public_key, fingerprint, item || credential.id, 0, key_version.created
                 FROM credential, key_version WHERE credential.id > 1;
             INSERT INTO installed_on (credential, version, device, accepted_at)
                 SELECT credential, 1, device, '2026-11-24T08:00:00.000Z' FROM credential_device WHERE device % 2 = 0;",
        )
        .map_err(crate::database::DatabaseError::from)
    });
    grown.unwrap();
    for format in [FleetFormat::Csv, FleetFormat::Json, FleetFormat::Html] {
        keywheel.write_fleet_report(format, &dir.path().join(format.as_str())).await.unwrap();
    }
    let text = std::fs::read_to_string(dir.path().join("json")).unwrap();
    let fleet: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&fleet["totals"]["credentials"], &fleet["totals"]["with_never_proven"]), (&json!(2000), &json!(2000)));
    let text = std::fs::read_to_string(dir.path().join("csv")).unwrap();
    assert_eq!(text.lines().count(), 2001);
    let page = std::fs::read_to_string(dir.path().join("html")).unwrap();
    assert!((2..=2000).all(|number| page.contains(&format!("key-{number}<"))), "a credential is missing");
}

#[test]
fn a_field_that_a_spreadsheet_would_run_is_made_text() {
    use super::csv::guarded;
    for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
        assert_eq!(guarded(formula.to_owned()), format!("'{formula}"));
    }
    for text in ["", "web-1", "a=b", "90"] {
        assert_eq!(guarded(text.to_owned()), text);
    }
}
