//! Which host keys a device offers, and whether a `known_hosts` file knows one of them.

use std::{sync::PoisonError, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::time::timeout;

use super::{
    Connector, RemoteError, Route,
    connection::{HostKeys, host_key_algorithms},
};
use crate::key::PublicKey;

/// The types of host keys that are asked for, each on a connection of its own, since a server shows one key at a time.
const TYPES: [&str; 5] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/// What russh calls the host key among the kinds of algorithms, as it stands in the error.
const HOST_KEY_KIND: &str = "key";

/// How long a connection's orderly end may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Asks a device for its host key of each type, one connection after the other.
///
/// The key exchange is gone through, so that the device has proven each key; no authentication follows, neither here nor
/// later on such a connection. A jump device is entered with its own pinned host key.
///
/// # Errors
///
/// An unreachable device, also in the middle of the scan: a part of its keys is not reported as all of them. A type that the
/// device lacks is no error, but to have none of the types is.
pub async fn scan(connector: &Connector, route: &Route) -> Result<Vec<PublicKey>, RemoteError> {
    let mut keys: Vec<PublicKey> = Vec::new();
    let mut lacking = None;
    for key_type in TYPES {
        match connector.open(route, host_key_algorithms([key_type]), HostKeys::Any).await {
            Ok(connection) => {
                let shown = connection.seen.lock().unwrap_or_else(PoisonError::into_inner).host_key.clone();
                let goodbye = connection.handle.disconnect(russh::Disconnect::ByApplication, "", "");
                let _ = timeout(GOODBYE, goodbye).await;
                keys.extend(shown.filter(|key| !keys.iter().any(|known| known.blob() == key.blob())));
            }
            Err(error @ RemoteError::NoCommonAlgorithm { .. }) => {
                if !matches!(&error, RemoteError::NoCommonAlgorithm { kind, .. } if kind == HOST_KEY_KIND) {
                    return Err(error);
                }
                lacking = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match lacking {
        Some(error) if keys.is_empty() => Err(error),
        _ => Ok(keys),
    }
}

/// What a `known_hosts` file says of a host and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownHost {
    /// It names this key for this host.
    Matches,
    /// It names only other keys of this type for this host.
    Differs,
    /// It names no key of this type for this host.
    Absent,
    /// It marks this key as revoked for this host.
    Revoked,
}

/// Looks a host key up in the text of a `known_hosts` file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
///
/// As in OpenSSH, a key of another type says nothing about this one, a matching line outweighs a differing one, and a
/// revocation outweighs both. Lines for certificate authorities are left out, since host certificates are not used here.
pub fn matches_known_hosts(text: &[u8], address: &str, port: u16, key: &PublicKey) -> KnownHost {
    let address = address.to_ascii_lowercase();
    let host = if port == 22 { address } else { format!("[{address}]:{port}") };
    let mut found = KnownHost::Absent;
    for line in text.split(|byte| *byte == b'\n') {
        let Some(entry) = Entry::parse(line) else {
            continue;
        };
        if entry.key_type != key.key_type() || !entry.names(&host) {
            continue;
        }
        let same = entry.blob == key.blob();
        match entry.marker {
            Marker::Revoked if same => return KnownHost::Revoked,
            Marker::Revoked | Marker::Other => {}
            Marker::None if same => found = KnownHost::Matches,
            Marker::None if found == KnownHost::Absent => found = KnownHost::Differs,
            Marker::None => {}
        }
    }
    found
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    None,
    Revoked,
    /// `@cert-authority`, or one that is not known here.
    Other,
}

/// One line of a `known_hosts` file.
#[derive(Debug)]
struct Entry<'a> {
    marker: Marker,
    hosts: &'a str,
    key_type: &'a str,
    blob: Vec<u8>,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        // A comment may hold any bytes; what is looked at before it is text.
        let text = match std::str::from_utf8(line) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(line.get(..error.valid_up_to())?).ok()?,
        };
        let mut words = text.split([' ', '\t', '\r']).filter(|word| !word.is_empty()).peekable();
        let marker = match *words.peek()? {
            "@revoked" => Marker::Revoked,
            word if word.starts_with('@') => Marker::Other,
            word if word.starts_with('#') => return None,
            _ => Marker::None,
        };
        if marker != Marker::None {
            words.next();
        }
        let (hosts, key_type, encoded) = (words.next()?, words.next()?, words.next()?);
        Some(Self { marker, hosts, key_type, blob: STANDARD.decode(encoded).ok()? })
    }

    /// Whether the line is about this host, which is given in lower case and, but for port 22, as `[host]:port`.
    fn names(&self, host: &str) -> bool {
        if let Some(hashed) = self.hosts.strip_prefix("|1|") {
            return is_hash_of(hashed, host);
        }
        let mut named = false;
        for pattern in self.hosts.split(',') {
            let (pattern, negated) = match pattern.strip_prefix('!') {
                Some(pattern) => (pattern, true),
                None => (pattern, false),
            };
            if fits(pattern.to_ascii_lowercase().as_bytes(), host.as_bytes()) {
                if negated {
                    return false;
                }
                named = true;
            }
        }
        named
    }
}

/// Whether `salt|hash` is of this host: the hash is HMAC-SHA1 with the salt as its key.
fn is_hash_of(hashed: &str, host: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else {
        return false;
    };
    let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    hmac::sign(&key, host.as_bytes()).as_ref() == hash
}

/// Whether a pattern of ssh_config(5), section PATTERNS, fits a name: `*` is any number of characters, `?` exactly one.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    // Where the last `*` stood, and how much of the name was left there.
    let mut star: Option<(&[u8], &[u8])> = None;
    let (mut pattern, mut name) = (pattern, name);
    loop {
        match (pattern.split_first(), name.split_first()) {
            (Some((b'*', rest)), _) => {
                star = Some((rest, name));
                pattern = rest;
            }
            (Some((wanted, after)), Some((is, left))) if *wanted == b'?' || wanted == is => {
                (pattern, name) = (after, left);
            }
            (None, None) => return true,
            _ => {
                let Some((after, [_, left @ ..])) = star else {
                    return false;
                };
                star = Some((after, left));
                (pattern, name) = (after, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Kq7Lx0v7v0Qq0m0sUe7K4nYk4w0r8fO0b8k4m6d1e";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKkq7Lx0v7v0Qq0m0sUe7K4nYk4w0r8fO0b8k4m6d1eA";

    #[test]
    fn a_line_counts_only_for_the_hosts_it_names() {
        use KnownHost::{Absent, Differs, Matches, Revoked};
        let key = PublicKey::from_openssh(KEY).unwrap();
        let table: [(String, &str, u16, KnownHost); 20] = [
            (format!("example.org {KEY}"), "example.org", 22, Matches),
            (format!("example.org {KEY}"), "EXAMPLE.org", 22, Matches),
            (format!("Example.Org {KEY} a comment\r"), "example.org", 22, Matches),
            (format!("example.org {KEY}"), "example.org", 2222, Absent),
            (format!("[example.org]:2222 {KEY}"), "example.org", 2222, Matches),
            (format!("[example.org]:2222 {KEY}"), "example.org", 22, Absent),
            (format!("a,10.0.0.7,b {KEY}"), "10.0.0.7", 22, Matches),
            (format!("*.example.org,!web.example.org {KEY}"), "web.example.org", 22, Absent),
            (format!("*.example.org,!web.example.org {KEY}"), "db.example.org", 22, Matches),
            (format!("db?.example.org {KEY}"), "db1.example.org", 22, Matches),
            (format!("db?.example.org {KEY}"), "db.example.org", 22, Absent),
            (format!("  # example.org {KEY}"), "example.org", 22, Absent),
            (format!("example.org {OTHER}"), "example.org", 22, Differs),
            (format!("example.org {OTHER}\nexample.org {KEY}\n"), "example.org", 22, Matches),
            (format!("example.org {KEY}\n@revoked * {KEY}\n"), "example.org", 22, Revoked),
            (format!("@revoked * {OTHER}"), "example.org", 22, Absent),
            (format!("@cert-authority * {KEY}"), "example.org", 22, Absent),
            ("example.org ecdsa-sha2-nistp256 AAAA".to_owned(), "example.org", 22, Absent),
            ("example.org ssh-ed25519 not-base64!".to_owned(), "example.org", 22, Absent),
            (String::new(), "example.org", 22, Absent),
        ];
        for (text, address, port, expected) in table {
            let said = matches_known_hosts(text.as_bytes(), address, port, &key);
            assert_eq!(
                said, expected,
                "a wrong host key would be trusted or a right one refused: {text:?} for {address}"
            );
        }
        let damaged = [b"\xff\xfe ", KEY.as_bytes(), b"\nexample.org ", KEY.as_bytes(), b" \xff\n"].concat();
        assert_eq!(
            matches_known_hosts(&damaged, "example.org", 22, &key),
            Matches,
            "bytes that are no text hide a line"
        );
    }

    #[test]
    fn patterns_with_many_stars_end() {
        let name = "a".repeat(200);
        assert!(!fits(format!("{}b", "a*".repeat(60)).as_bytes(), name.as_bytes()), "the pattern must not fit");
        assert!(fits(b"*a*a*", name.as_bytes()), "the pattern must fit");
        assert!(fits(b"*", b""), "a star fits nothing at all, too");
    }
}
