//! The keys in an account's files that are not the credential's: whoever has stolen a key may have added his own.

use serde::{Deserialize, Serialize};

use crate::{
    authorized_keys::{self, Entry, Role},
    catalogue::words,
    key::{Fingerprint, PublicKey},
    remote::program::Probe,
};

words! {
    /// When the other keys of a device were listed.
    Seen {
        /// Before anything was written there.
        Before = "before",
        /// After the old key was refused there.
        After = "after",
    }
}

/// A line that lets another key in than the credential's; all of it is public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct OtherKey {
    /// The file's path, after all links.
    pub file: String,
    /// The line's number, from 1.
    pub line: usize,
    /// The key's type.
    pub key_type: String,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The comment.
    pub comment: String,
    /// The options, without the values of `environment=`, which may be secret.
    pub options: String,
    /// Whether the certificates that it has signed log in, instead of the key itself.
    pub certificate_authority: bool,
}

/// Lists the keys of every file that could be read, but for ours.
pub(super) fn other_keys(probe: &Probe, ours: &[&PublicKey]) -> Vec<OtherKey> {
    let mut seen: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for file in &probe.files {
        let Some(text) = file.content.as_deref().filter(|_| !seen.contains(&file.path.as_str())) else { continue };
        seen.push(&file.path);
        let is_ours = |entry: &Entry| {
            // The key of an authority is another matter, also where it is ours.
            entry.role == Role::Login
                && ours.iter().any(|key| key.key_type() == entry.key_type && key.blob() == entry.blob)
        };
        let others = authorized_keys::all_keys(text).into_iter().filter(|entry| !is_ours(entry));
        found.extend(others.map(|entry| of_entry(&file.path, entry)));
    }
    found
}

fn of_entry(file: &str, entry: Entry) -> OtherKey {
    OtherKey {
        file: file.to_owned(),
        line: entry.line.number,
        fingerprint: Fingerprint::of(&entry.blob),
        comment: String::from_utf8_lossy(&entry.line.comment).trim().to_owned(),
        options: public_options(&String::from_utf8_lossy(&entry.line.options)),
        certificate_authority: entry.role == Role::CertificateAuthority,
        key_type: entry.key_type,
    }
}

/// The options without what the variables of `environment=` are set to (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").
fn public_options(options: &str) -> String {
    const NAME: &str = "environment=";
    let mut shown = String::new();
    for option in authorized_keys::options(options) {
        if !shown.is_empty() {
            shown.push(',');
        }
        match option.get(..NAME.len()) {
            Some(name) if name.eq_ignore_ascii_case(NAME) => {
                let value = option.get(NAME.len()..).unwrap_or_default();
                // Without a variable's name all of it may be the value.
                let variable = value.split_once('=').map_or("\"", |(variable, _)| variable);
                shown.push_str(&format!("{name}{variable}=…\""));
            }
            _ => shown.push_str(option),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Algorithm, PrivateKey};

    fn public(comment: &str) -> PublicKey {
        PrivateKey::generate(Algorithm::Ed25519, comment).unwrap().public_key().clone()
    }

    #[test]
    fn the_options_are_shown_without_the_values_of_variables() {
        for (options, shown) in [
            ("", ""),
            ("no-pty,from=\"10.0.0.0/8,10.1.0.0/16\"", "no-pty,from=\"10.0.0.0/8,10.1.0.0/16\""),
            ("environment=\"TOKEN=abc,def\",no-pty", "environment=\"TOKEN=…\",no-pty"),
            ("no-pty,Environment=\"A=b\\\"c\"", "no-pty,Environment=\"A=…\""),
            ("command=\"echo environment=\\\"A=b\\\"\"", "command=\"echo environment=\\\"A=b\\\"\""),
            ("environment=\"odd\"", "environment=\"=…\""),
        ] {
            assert_eq!(public_options(options), shown, "{options}");
        }
    }

    #[test]
    fn every_key_but_ours_is_told_with_its_file_and_line() {
        let (ours, thief) = (public("deploy"), public("nobody@nowhere"));
        let text = format!(
            "# keys\n{}\nno-pty {}\ncert-authority {}\n",
            ours.to_openssh(),
            thief.to_openssh(),
            ours.to_openssh()
        );
        let entries = authorized_keys::all_keys(text.as_bytes()).into_iter();
        let told: Vec<_> = entries.map(|entry| of_entry("/keys", entry)).collect();
        assert_eq!(told[1].fingerprint, thief.fingerprint());
        assert_eq!(
            (told[1].line, told[1].options.as_str(), told[1].comment.as_str()),
            (3, "no-pty", "nobody@nowhere"),
            "a person must find the line"
        );
        assert!(told[2].certificate_authority && !told[1].certificate_authority);
    }
}
