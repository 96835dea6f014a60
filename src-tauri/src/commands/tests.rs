//! What the window may call, and what no answer may hold.

use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keywheel_core::audit::Page;
use keywheel_core::catalogue::{CredentialId, DeviceId, Kind};
use keywheel_core::credential::{Automatic, Standing};
use keywheel_core::key::{Algorithm, PrivateKey};
use keywheel_core::report::{ProofFormat, Verdict as ProofVerdict};
use secrecy::SecretString;
use serde::Serialize;
use tauri::ipc::{CallbackFn, Channel, InvokeBody, InvokeResponseBody};
use tauri::test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_app, mock_builder};
use tauri::webview::InvokeRequest;
use tauri::{Manager, State, WebviewWindow, WebviewWindowBuilder};

use super::changes::{ChangeRequest, ConnectChoice};
use super::checks::FormCheck;
use super::credentials::{CredentialForm, FormSecret};
use super::keys::KeyChoice;
use super::*;
use crate::desk::testing::Table;
use crate::desk::{Desk, Happened};
use crate::window::LABEL;

const LOCAL: &str = if cfg!(windows) { "http://tauri.localhost" } else { "tauri://localhost" };

fn call(
    window: &WebviewWindow<MockRuntime>,
    command: &str,
    from: &str,
) -> Result<InvokeResponseBody, serde_json::Value> {
    let request = InvokeRequest {
        cmd: command.to_owned(),
        callback: CallbackFn(0),
        error: CallbackFn(1),
        url: from.parse().unwrap(),
        body: InvokeBody::default(),
        headers: Default::default(),
        invoke_key: INVOKE_KEY.to_owned(),
    };
    get_ipc_response(window, request)
}

#[test]
fn every_command_is_allowed_to_the_one_window_and_to_nobody_else() {
    // What is allowed is decided before a command is looked for, so none needs to be carried out.
    let builder = mock_builder().invoke_handler(|invoke| {
        invoke.resolver.resolve("handled");
        true
    });
    let app = builder.build(tauri::generate_context!(test = true)).unwrap();
    let window = |label| WebviewWindowBuilder::new(&app, label, Default::default()).build().unwrap();
    let (main, other) = (window(LABEL), window("other"));
    for command in COMMANDS {
        assert!(call(&main, command, LOCAL).is_ok(), "{command} would not work in the window");
        assert!(call(&other, command, LOCAL).is_err(), "{command} could be called from another window");
        assert!(call(&main, command, "https://example.org").is_err(), "{command} could be called by a page of the web");
    }
    for command in ["nonsense", "plugin:dialog|open", "plugin:autostart|enable", "plugin:notification|notify"] {
        assert!(call(&main, command, LOCAL).is_err(), "{command} is not ours to be called from the window");
    }
}

#[test]
fn the_capability_names_our_commands_and_nothing_else() {
    let text = include_str!("../../capabilities/main.json");
    let capability: serde_json::Value = serde_json::from_str(text).unwrap();
    let allowed: Vec<&str> =
        capability["permissions"].as_array().unwrap().iter().map(|entry| entry.as_str().unwrap()).collect();
    let commands: Vec<String> = COMMANDS.iter().map(|name| format!("allow-{}", name.replace('_', "-"))).collect();
    assert_eq!(allowed, commands);
    assert_eq!(capability["windows"], serde_json::json!([LABEL]));
    assert!(capability.get("remote").is_none() && capability.get("webviews").is_none());
}

#[test]
fn every_command_in_the_sources_is_in_the_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for after in text.split("#[tauri::command]").skip(1) {
            let name = after.split("fn ").nth(1).unwrap();
            found.push(name[..name.find(['(', '<']).unwrap()].to_owned());
        }
    }
    let mut commands: Vec<&str> = COMMANDS.to_vec();
    commands.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, commands, "a command without an entry can't be called");
}

/// What is never to be seen in an answer, in the forms in which bytes get into JSON.
struct Marked(Vec<(&'static str, String)>);

impl Marked {
    fn password(text: &str) -> Self {
        Self(vec![
            ("the password", text.to_owned()),
            ("the password in base64", STANDARD.encode(text).trim_end_matches('=').to_owned()),
            ("the password's bytes", numbers(text.as_bytes())),
        ])
    }

    fn key(key: &PrivateKey) -> Self {
        let (secret, blob) = (key.to_secret_bytes(), key.public_key().blob());
        // The private half of Ed25519 stands before the last copy of the public one.
        let public = &blob[blob.len() - 32..];
        let at = (0..=secret.len() - 32).rev().find(|at| &secret[*at..*at + 32] == public).unwrap();
        let seed = &secret[at - 32..at];
        let mut forms = vec![
            ("a private key's bytes", numbers(seed)),
            ("a private key in hexadecimal", seed.iter().map(|byte| format!("{byte:02x}")).collect()),
            ("a private key file", "PRIVATE KEY".to_owned()),
        ];
        // In the base64 of something larger it may begin at any of three places.
        for skipped in 0..3 {
            let part = &seed[skipped..skipped + 27];
            forms.push(("a private key in base64", STANDARD.encode(part)));
        }
        Self(forms)
    }

    fn look_in(&self, answer: &str) {
        for (what, form) in &self.0 {
            assert!(!answer.contains(form), "{what} is in {answer}");
        }
    }
}

fn numbers(bytes: &[u8]) -> String {
    bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
}

/// A page that collects what it is sent.
fn page<T>(heard: &Arc<Mutex<Vec<String>>>) -> Channel<T> {
    let heard = Arc::clone(heard);
    Channel::new(move |body| {
        if let InvokeResponseBody::Json(text) = body {
            heard.lock().unwrap().push(text);
        }
        Ok(())
    })
}

fn form(name: &str, on: DeviceId, secret: FormSecret) -> CredentialForm {
    CredentialForm {
        name: name.to_owned(),
        username: "root".to_owned(),
        kind: if matches!(secret, FormSecret::Key(_)) { Kind::SshKey } else { Kind::Password },
        original_device: Some(on),
        enabled: true,
        tags: Vec::new(),
        owner: None,
        automatic: Automatic::default(),
        policy: None,
        devices: vec![on],
        secret: Some(secret),
    }
}

fn request(kind: keywheel_core::journal::Kind, credential: CredentialId) -> ChangeRequest {
    ChangeRequest {
        kind,
        credential,
        connect_with: ConnectChoice::Itself,
        algorithm: None,
        strategy: None,
        on_failure: None,
        at_once: None,
        leave_out: Vec::new(),
        devices: None,
        options: None,
    }
}

fn json(answer: impl Serialize) -> String {
    serde_json::to_string(&answer).unwrap()
}

fn secret(text: &str) -> FormSecret {
    serde_json::from_value(serde_json::json!({ "password": text })).unwrap()
}

#[tokio::test]
async fn no_answer_holds_a_private_key_or_a_password() {
    const PASSWORD: &str = "correct horse battery staple";
    const PASSPHRASE: &str = "seven sealed seas";
    let mut table = Table::laid();
    let app = mock_app();
    app.manage(Arc::clone(&table.desk));
    let desk = || -> State<'_, Arc<Desk>> { app.state() };
    let heard = Arc::new(Mutex::new(Vec::new()));
    opening::watch(desk(), page(&heard)).await.unwrap();
    let web = table.device("web-1").await;

    let mut answers = vec![json(opening::opening(desk()).await.unwrap())];
    let made = keys::generate_key(desk(), Algorithm::Ed25519, "deploy".to_owned()).await.unwrap();
    let generated = table.desk.drafts().key(made.draft).unwrap();
    answers.push(json(&made));

    let sealed = PrivateKey::generate(Algorithm::Ed25519, "sealed").unwrap();
    let file = table.dir.path().join("sealed");
    std::fs::write(&file, sealed.write_openssh(Some(&SecretString::from(PASSPHRASE))).unwrap().as_bytes()).unwrap();
    let choice = keys::import_file(&table.desk, file).await.unwrap();
    answers.push(json(&choice));
    let KeyChoice::Encrypted { draft, .. } = choice else { panic!("an encrypted key was read without a passphrase") };
    let typed = |text: &str| serde_json::from_value(serde_json::json!(text)).unwrap();
    let wrong = keys::unlock_key(desk(), draft, typed("wrong")).await.unwrap_err();
    assert_eq!(wrong.field.as_deref(), Some("passphrase"), "the form would not know where to show it");
    answers.push(json(&wrong));
    answers.push(json(keys::unlock_key(desk(), draft, typed(PASSPHRASE)).await.unwrap()));
    let pasted = PrivateKey::generate(Algorithm::Ed25519, "pasted").unwrap();
    let bytes = zeroize::Zeroizing::new(pasted.write_openssh(None).unwrap().as_bytes().to_vec());
    answers.push(json(keys::import(&table.desk, bytes, None).await.unwrap()));

    let check = FormCheck { id: None, form: form("deploy", web, FormSecret::Key(made.draft)) };
    checks::check_form(desk(), check, page(&heard)).await.unwrap();
    let deploy = form("deploy", web, FormSecret::Key(made.draft));
    let deploy = credentials::save_credential(desk(), None, deploy, Standing::Refuse).await.unwrap();
    let root = form("root", web, secret(PASSWORD));
    let root = credentials::save_credential(desk(), None, root, Standing::Refuse).await.unwrap();
    let unfit = form("bad", web, secret(&format!("{PASSWORD}\n")));
    answers.push(json(credentials::save_credential(desk(), None, unfit, Standing::Refuse).await.unwrap_err()));

    for id in [deploy, root] {
        answers.push(json(credentials::credential(desk(), id).await.unwrap()));
    }
    answers.push(json(credentials::credentials(desk()).await.unwrap()));
    answers.push(json(credentials::accepts(desk(), deploy).await.unwrap()));
    let revealed = table.dir.path().join("revealed");
    answers.push(json(credentials::reveal(&table.desk, deploy, &revealed, None).await.unwrap()));
    answers.push(json(credentials::reveal(&table.desk, deploy, &revealed, None).await.unwrap_err()));

    let request = || request(keywheel_core::journal::Kind::Rotate, deploy);
    checks::check_devices(desk(), request(), None, page(&heard)).await.unwrap();
    let change = changes::begin_change(desk(), request()).await.unwrap();
    while let Happened::Told(event) = table.happened.recv().await.unwrap() {
        answers.push(json(event));
    }
    answers.push(json(changes::change(desk(), change).await.unwrap()));
    answers.push(json(changes::changes(desk()).await.unwrap()));
    for format in [ProofFormat::Html, ProofFormat::Json] {
        let proof = table.dir.path().join(format!("proof.{format}"));
        table.desk.keywheel().unwrap().write_proof(change, format, &proof).await.unwrap();
        answers.push(std::fs::read_to_string(&proof).unwrap());
        let verified = reports::verify(&table.desk, &proof).await.unwrap();
        assert!(matches!(verified.verdict, ProofVerdict::Right { .. }), "{verified:?}");
        answers.push(json(verified));
    }
    answers.push(json(devices::devices(desk()).await.unwrap()));
    answers.push(json(settings::settings(desk()).await.unwrap()));
    answers.push(json(backup::backup_standing(desk()).await.unwrap()));
    answers.push(json(overview::proposals(desk()).await.unwrap()));
    let all = Page { limit: 1000, ..Page::default() };
    answers.push(json(audit::audit(desk(), all).await.unwrap()));
    answers.append(&mut heard.lock().unwrap());

    let read = std::fs::read(&revealed).unwrap();
    let kept = PrivateKey::import(&read, None).unwrap();
    assert_eq!(kept.public_key(), generated.public_key(), "what is looked for must be the key that was saved");
    assert!(answers.len() > 20, "the answers of the commands must be among those that are looked at");
    let marked = [&generated, &Arc::new(sealed), &Arc::new(pasted)].map(|key| Marked::key(key));
    for answer in &answers {
        for marked in marked.iter().chain(&[Marked::password(PASSWORD), Marked::password(PASSPHRASE)]) {
            marked.look_in(answer);
        }
    }
}

#[test]
#[should_panic(expected = "a private key in base64")]
fn a_key_in_an_answer_is_found() {
    let key = PrivateKey::generate(Algorithm::Ed25519, "x").unwrap();
    let mut marked = Marked::key(&key);
    marked.0.retain(|(what, _)| *what != "a private key file");
    marked.look_in(&STANDARD.encode(key.to_secret_bytes()));
}

#[tokio::test]
async fn a_refused_form_keeps_its_key_for_the_next_try() {
    let table = Table::laid();
    let app = mock_app();
    app.manage(Arc::clone(&table.desk));
    let web = table.device("web-1").await;
    table.credential("taken", web).await;
    let made = keys::generate_key(app.state(), Algorithm::Ed25519, "x".to_owned()).await.unwrap();
    let save = |name| {
        credentials::save_credential(app.state(), None, form(name, web, FormSecret::Key(made.draft)), Standing::Refuse)
    };
    assert_eq!(save("taken").await.unwrap_err().code, "name-taken");
    let id = save("deploy").await.unwrap();
    let page = credentials::credential(app.state(), id).await.unwrap();
    assert_eq!(page.credential.view.fingerprint, Some(made.fingerprint), "another key would be saved than was shown");
    assert_eq!(save("again").await.unwrap_err().code, "draft-gone", "one key would become two credentials");
    assert_eq!(table.vault.names().len(), 2);
}

#[tokio::test]
async fn a_file_with_devices_is_shown_and_then_imported_once() {
    let table = Table::laid();
    let app = mock_app();
    app.manage(Arc::clone(&table.desk));
    let file = table.dir.path().join("hosts.csv");
    std::fs::write(&file, "name,address\nweb-1,10.0.0.1\n").unwrap();
    let shown = devices::preview(&table.desk, file).await.unwrap();
    assert!(devices::devices(app.state()).await.unwrap().is_empty(), "a preview must write nothing");
    let done = devices::import_devices(app.state(), shown.draft).await.unwrap();
    assert_eq!(done, shown.preview);
    assert_eq!(devices::devices(app.state()).await.unwrap().len(), 1);
    assert_eq!(devices::import_devices(app.state(), shown.draft).await.unwrap_err().code, "draft-gone");
}

#[tokio::test]
async fn only_a_key_of_the_last_scan_is_pinned() {
    let table = Table::laid();
    let app = mock_app();
    app.manage(Arc::clone(&table.desk));
    let web = table.device("web-1").await;
    let pin = devices::Pin { device_id: web, fingerprint: "SHA256:x".to_owned(), replace: true };
    let done = devices::pin_host_keys(app.state(), vec![pin]).await.unwrap();
    assert_eq!((done.pinned, done.failed[0].code.as_str()), (0, "host-key-not-offered"));
}

#[tokio::test]
async fn a_scan_tells_what_failed_at_each_device() {
    let table = Table::laid();
    let app = mock_app();
    app.manage(Arc::clone(&table.desk));
    let web = table.device("web-1").await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    devices::scan_devices(app.state(), vec![web, DeviceId(99)], page(&heard)).await.unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 2);
    assert!(heard.iter().any(|scanned| scanned.contains("\"device\":\"web-1\"") && scanned.contains("\"code\"")));
}

#[tokio::test]
async fn a_key_is_not_revealed_before_its_name_was_typed() {
    let table = Table::laid();
    let app = mock_app();
    app.manage(Arc::clone(&table.desk));
    let window = WebviewWindowBuilder::new(&app, LABEL, Default::default()).build().unwrap();
    let web = table.device("web-1").await;
    let id = table.credential("deploy", web).await;
    for typed in ["", "Deploy", "deploy ", "root"] {
        let reveal = credentials::reveal_key(window.clone(), app.state(), id, typed.to_owned(), None);
        assert_eq!(reveal.await.unwrap_err().code, "not-confirmed", "{typed:?} would do");
    }
}

#[tokio::test]
async fn a_file_that_is_no_proof_is_refused_with_its_reason() {
    let table = Table::laid();
    let file = table.dir.path().join("notes.txt");
    std::fs::write(&file, "hello").unwrap();
    assert_eq!(reports::verify(&table.desk, &file).await.unwrap_err().code, "not-a-proof");
    let none = table.dir.path().join("none");
    assert_eq!(reports::verify(&table.desk, &none).await.unwrap_err().code, "file-unreadable");
}

#[tokio::test]
async fn a_removal_from_no_device_is_not_one_from_all() {
    let table = Table::laid();
    let app = mock_app();
    app.manage(Arc::clone(&table.desk));
    let web = table.device("web-1").await;
    let id = table.credential("deploy", web).await;
    let none = ChangeRequest { devices: Some(Vec::new()), ..request(keywheel_core::journal::Kind::Uninstall, id) };
    let error = changes::begin_change(app.state(), none).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.field.as_deref()), ("field-missing", Some("devices")));
    assert!(changes::changes(app.state()).await.unwrap().is_empty(), "the key would be taken off every device");
}

#[tokio::test]
async fn a_page_that_is_loaded_anew_leaves_no_key_behind_and_nothing_that_it_looked_at() {
    let table = Table::laid();
    let app = mock_app();
    app.manage(Arc::clone(&table.desk));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let made = keys::generate_key(app.state(), Algorithm::Ed25519, "x".to_owned()).await.unwrap();
    let (scan, check) = (table.desk.scans.stops.begin(), table.desk.checks.begin());
    opening::watch(app.state(), page(&heard)).await.unwrap();
    assert!(table.desk.drafts().key(made.draft).is_err(), "a private key that nobody can save would stay in memory");
    assert!(*scan.borrow() && *check.borrow(), "devices would be asked for nobody");
}
