//! What a backup says of itself: which vault, from when, and which secret stands in which file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::catalogue::{CredentialId, Kind, VersionState};
use crate::database::{DatabaseError, column};
use crate::vault::ItemName;

/// The version of the archive's layout.
pub(super) const FORMAT: u32 = 1;

/// The files of the archive.
pub(super) const README: &str = "keywheel-backup/README.txt";
pub(super) const MANIFEST: &str = "keywheel-backup/manifest.json";
pub(super) const MISSING: &str = "keywheel-backup/missing.json";
pub(super) const DATABASE: &str = "keywheel-backup/keywheel.db";

/// What stands in the archive for whoever unpacks it by hand.
pub(super) const README_TEXT: &str = "\
This is a backup of Keywheel, a vault for SSH keys.

keys/           one private key per file, as OpenSSH has it: NAME-NUMBER-vVERSION-STATE.
                The key that logs in is the one whose name ends with \"current\":
                ssh -i keywheel-backup/keys/deploy-1-v3-current deploy@host
passwords/      one password per file
manifest.json   which file is which item of the keyring
missing.json    items that the keyring did not hold when the backup was made
keywheel.db     the catalogue, the changes and the audit: a database of SQLite

Keywheel takes all of it back with: keywheel backup restore FILE
";

/// The first file of the archive that a program reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The version of the archive's layout.
    pub(super) format: u32,
    /// The version of the program that wrote it.
    pub(super) keywheel: String,
    /// When, in RFC 3339.
    pub(super) created: String,
    /// Who.
    pub(super) actor: String,
    /// The identity of the data directory.
    pub(super) vault: String,
    /// The last row of the audit that the database in it has.
    pub(super) audit: Option<AuditEnd>,
    /// The secrets, in the order of their files.
    pub(super) secrets: Vec<Listed>,
}

/// A row of the audit by number and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AuditEnd {
    pub(super) row: i64,
    pub(super) hash: String,
}

/// A secret of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    /// Its file in the archive.
    pub(super) file: String,
    /// The keyring item.
    pub(super) item: ItemName,
    /// The credential's number.
    pub(super) id: CredentialId,
    /// The credential's name.
    pub(super) credential: String,
    /// The account on the devices.
    pub(super) username: String,
    /// Whether it is a key or a password.
    pub(super) kind: Kind,
    /// The version.
    pub(super) version: u32,
    /// Where in its life the version stood.
    pub(super) state: VersionState,
}

/// Lists the secrets that a database knows to lie in the keyring.
pub(super) fn secrets(conn: &Connection) -> Result<Vec<Listed>, DatabaseError> {
    let mut statement = conn.prepare(
        "SELECT version.item, credential.id, credential.name, credential.username, credential.kind, version.version,
                version.state
         FROM (SELECT credential, version, state, item FROM key_version
               UNION ALL SELECT credential, version, state, item FROM password_version) AS version
         JOIN credential ON credential.id = version.credential
         WHERE version.state <> 'destroyed' ORDER BY credential.id, version.version",
    )?;
    let rows = statement.query_map([], |row| {
        let (id, credential): (CredentialId, String) = (row.get(1)?, row.get(2)?);
        let (kind, version, state) = (column::parsed(row, 4)?, row.get(5)?, column::parsed(row, 6)?);
        Ok(Listed {
            file: file_name(kind, &credential, id, version, state),
            item: column::parsed(row, 0)?,
            id,
            credential,
            username: row.get(3)?,
            kind,
            version,
            state,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The last row of a database's audit.
pub(super) fn audit_end(conn: &Connection) -> Result<Option<AuditEnd>, DatabaseError> {
    let last = conn.query_row("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1", [], |row| {
        Ok(AuditEnd { row: row.get(0)?, hash: hex::encode(row.get::<_, [u8; 32]>(1)?) })
    });
    Ok(last.optional()?)
}

/// A name that every file system takes and that a person can type.
fn file_name(kind: Kind, credential: &str, id: CredentialId, version: u32, state: VersionState) -> String {
    let folder = match kind {
        Kind::SshKey => "keys",
        Kind::Password => "passwords",
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    let name: String = credential.chars().map(plain).take(24).collect();
    format!("keywheel-backup/{folder}/{name}-{id}-v{version}-{state}")
}

const BEGIN: &[u8] = b"-----BEGIN OPENSSH PRIVATE KEY-----\n";
const END: &[u8] = b"-----END OPENSSH PRIVATE KEY-----\n";

/// A secret as it stands in its file: a key in the armour of OpenSSH (PROTOCOL.key), a password as it is.
pub(super) fn to_file(kind: Kind, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    if kind == Kind::Password {
        return Zeroizing::new(secret.to_vec());
    }
    let mut digits = Zeroizing::new(vec![0; secret.len().div_ceil(3) * 4]);
    // The buffer has exactly the length that base64 has with its padding.
    let length = STANDARD.encode_slice(secret, &mut digits).unwrap_or(0);
    let mut text = Zeroizing::new(Vec::with_capacity(BEGIN.len() + length + length / 70 + 1 + END.len()));
    text.extend_from_slice(BEGIN);
    for line in digits.get(..length).unwrap_or_default().chunks(70) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend_from_slice(END);
    text
}

/// The secret of a file, as the keyring holds it; none if the file is not as [`to_file`] writes it.
pub(super) fn from_file(kind: Kind, file: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if kind == Kind::Password {
        return Some(Zeroizing::new(file.to_vec()));
    }
    let body = file.strip_prefix(BEGIN)?.strip_suffix(END)?;
    let mut digits = Zeroizing::new(Vec::with_capacity(body.len()));
    digits.extend(body.iter().copied().filter(|byte| *byte != b'\n'));
    let mut secret = Zeroizing::new(vec![0; digits.len() / 4 * 3 + 3]);
    let length = STANDARD.decode_slice(digits.as_slice(), &mut secret).ok()?;
    secret.truncate(length);
    Some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Algorithm, PrivateKey};

    #[test]
    fn a_key_stands_in_its_file_as_openssh_has_it_and_comes_back_byte_for_byte() {
        for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::EcdsaP521, Algorithm::Rsa(2048)] {
            let key = PrivateKey::generate(algorithm, "deploy@desk").unwrap();
            let secret = key.to_secret_bytes();
            let file = to_file(Kind::SshKey, &secret);
            let read = PrivateKey::import(&file, None).unwrap();
            assert_eq!(read.public_key(), key.public_key(), "ssh must take the file as it is");
            assert_eq!(from_file(Kind::SshKey, &file).unwrap(), secret, "the keyring item would differ");
        }
    }

    #[test]
    fn a_password_stands_in_its_file_as_it_is() {
        let file = to_file(Kind::Password, "pässwort".as_bytes());
        assert_eq!(file.as_slice(), "pässwort".as_bytes());
        assert_eq!(from_file(Kind::Password, &file).unwrap().as_slice(), "pässwort".as_bytes());
    }

    #[test]
    fn a_file_that_is_no_key_gives_none() {
        for file in [&b""[..], b"-----BEGIN OPENSSH PRIVATE KEY-----\n", b"-----BEGIN OPENSSH PRIVATE KEY-----\n!\n"] {
            assert!(from_file(Kind::SshKey, file).is_none());
        }
    }

    #[test]
    fn a_files_name_can_be_typed_and_fits() {
        let name = |credential: &str| {
            file_name(Kind::SshKey, credential, CredentialId(i64::MAX), u32::MAX, VersionState::Candidate)
        };
        assert_eq!(
            file_name(Kind::Password, "root (db/é)", CredentialId(2), 1, VersionState::Current),
            "keywheel-backup/passwords/root__db___-2-v1-current"
        );
        assert!(name(&"x".repeat(500)).len() <= crate::backup::archive::LONGEST_NAME);
        assert!(!name("../../etc/passwd").contains(".."), "an archive must not lead out of its folder");
    }
}
