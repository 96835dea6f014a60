//! What Keywheel reads in a file is what a real `sshd` reads in it.

use std::sync::Arc;

use keywheel_core::{
    authorized_keys,
    key::{PrivateKey, PublicKey},
    remote::{Connector, LogIn, Route, Secret, Target, Timeouts},
};
use keywheel_fleet::{
    Client, Sshd, Trouble,
    authorized_keys_cases::{CASES, Case, RSA_CASES, Truth},
    available,
};

fn parts(public: &str) -> (&str, &str) {
    let mut words = public.split(' ');
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

/// Tries each case on a real sshd: does a login with the key succeed, and does Keywheel find its lines?
async fn hold_against_sshd(kind: &str, cases: impl Iterator<Item = &'static Case>) -> Result<(), Trouble> {
    let Some(sshd) = available(Sshd::builder().config("PermitUserEnvironment yes\nMaxStartups 100").start())? else {
        return Ok(());
    };
    let client = Client::new()?;
    let (key, other) = (client.key("key", kind)?, client.key("other", "ed25519")?);
    let private = Arc::new(PrivateKey::import(&std::fs::read(&key.file)?, None)?);
    let public = private.public_key().clone();
    let host_keys = sshd.host_keys_public()?;
    let target = Target {
        name: "web-1".into(),
        address: "127.0.0.1".into(),
        port: sshd.port(),
        host_keys: host_keys.iter().map(|line| PublicKey::from_openssh(line)).collect::<Result<_, _>>()?,
    };
    let route = Route { target, jump: None };
    let connector = Connector::new(Timeouts::default());
    let mut differing = Vec::new();
    for case in cases {
        let text = case.text(parts(&key.public), parts(&other.public));
        sshd.write_authorized_keys(&text)?;
        let found =
            authorized_keys::lines(&text, authorized_keys::Key { key_type: public.key_type(), blob: public.blob() });
        let connection = connector.connect(&route).await?;
        let accepted = match connection.log_in(sshd.account(), &Secret::Key(Arc::clone(&private))).await {
            LogIn::Accepted(session) => {
                session.close().await;
                true
            }
            LogIn::Not(..) => false,
        };
        let expected = match case.truth {
            Truth::LogsIn(lines) => (true, lines),
            Truth::OptionsRefuse(lines) => (false, lines),
            Truth::Absent => (false, 0),
        };
        if (accepted, found.len()) != expected {
            differing.push(format!("{}: sshd {accepted}, {} lines found, {:?}", case.name, found.len(), case.truth));
        }
    }
    assert!(differing.is_empty(), "a line read wrongly is edited wrongly:\n{}", differing.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_an_ed25519_key_is_as_sshd_has_it() -> Result<(), Trouble> {
    hold_against_sshd("ed25519", CASES.iter()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_an_rsa_key_is_as_sshd_has_it() -> Result<(), Trouble> {
    hold_against_sshd("rsa", CASES.iter().chain(RSA_CASES)).await
}
