//! The lines of an `authorized_keys` file: found, added and taken out, without touching any other byte.
//!
//! Everything here is a function of the bytes just read: no file is opened, and any bytes are taken. A line belongs to a
//! key if sshd would read it as that key, by type and decoded blob: never by its comment, never text inside quotes, never
//! a certificate authority. How sshd reads a line was taken from sshd(8), AUTHORIZED_KEYS FILE FORMAT, and confirmed by
//! logins on OpenSSH (the cases stand in `tests/src/authorized_keys_cases.rs`).

mod blob;
mod diff;
mod edit;
mod line;

pub use diff::{diff, untouched_lines};
pub use edit::{Edit, EditError, add, append, remove, restore, take_back, withdraw};
pub use line::options;

/// What a line is matched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// The key's type, as it stands in the file (`ssh-ed25519`).
    pub key_type: &'a str,
    /// The key's encoding (RFC 4253, section 6.6), of which the file holds the base64.
    pub blob: &'a [u8],
}

/// A line that sshd reads as a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its place in the file, from 1.
    pub number: usize,
    /// The blanks before its first word.
    pub leading: Vec<u8>,
    /// The options as they stand there, without the blank behind them; empty if there are none.
    pub options: Vec<u8>,
    /// What follows the key, without the blank before it.
    pub comment: Vec<u8>,
    /// The whole line without its end.
    pub bytes: Vec<u8>,
}

/// What a line lets its key do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The key itself logs in.
    Login,
    /// Certificates that the key has signed log in; the key itself doesn't (`cert-authority`).
    CertificateAuthority,
}

/// A line of any key, with that key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line.
    pub line: Line,
    /// The key's type. An RSA key is `ssh-rsa` here even where the line calls it by a signature algorithm.
    pub key_type: String,
    /// The key's encoding (RFC 4253, section 6.6).
    pub blob: Vec<u8>,
    /// What the line lets the key do.
    pub role: Role,
}

/// Finds every line that sshd reads as this key, for a login with the key itself.
///
/// Whether the server knows all of the line's options is not judged: it depends on the server's version, and a line that
/// is refused today works after an update.
pub fn lines(text: &[u8], key: Key<'_>) -> Vec<Line> {
    let wanted = line::Wanted::new(&[key]);
    line::split(text)
        .filter_map(|raw| {
            line::parse(raw.content).filter(|parsed| wanted.has(parsed)).map(|parsed| parsed.to_line(raw.number))
        })
        .collect()
}

/// Finds every line that sshd reads as some key.
///
/// Lines that hold a certificate are left out, since sshd lets nobody in for them.
pub fn all_keys(text: &[u8]) -> Vec<Entry> {
    line::split(text)
        .filter_map(|raw| {
            let parsed = line::parse(raw.content)?;
            Some(Entry {
                line: parsed.to_line(raw.number),
                key_type: parsed.key_type.to_owned(),
                role: parsed.role(),
                blob: parsed.blob,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
