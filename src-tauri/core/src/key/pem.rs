//! The text armour around a private key, and what a file without one holds.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use super::{Damage, KeyError, public_key::refuse_type};

/// Some programs leave the padding out; nothing can be mistaken for its lack.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The most bytes of a key file; ssh sets the same bound.
const MAX_LEN: usize = 1 << 20;

/// The kinds of blocks that hold a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `OPENSSH PRIVATE KEY`
    OpenSsh,
    /// `RSA PRIVATE KEY` (PKCS#1)
    Rsa,
    /// `EC PRIVATE KEY` (SEC 1)
    Ec,
    /// `DSA PRIVATE KEY`
    Dsa,
    /// `PRIVATE KEY` (PKCS#8)
    Pkcs8,
    /// `ENCRYPTED PRIVATE KEY` (PKCS#8)
    EncryptedPkcs8,
}

/// A block's content.
pub(super) struct Block {
    pub(super) kind: Kind,
    /// The value of the header `DEK-Info` (RFC 1421, section 4.6.1.3).
    pub(super) dek_info: Option<String>,
    pub(super) data: Zeroizing<Vec<u8>>,
}

/// Finds the first private key of a file, with any text before and after it.
///
/// # Errors
/// What the file holds instead, or why the block can't be read.
pub(super) fn find(file: &[u8]) -> Result<Block, KeyError> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    if file.trim_ascii().is_empty() {
        return Err(KeyError::Empty);
    }
    if file.len() > MAX_LEN {
        return Err(KeyError::NotAPrivateKey);
    }
    let mut lines = file.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
    let mut instead = KeyError::NotAPrivateKey;
    while let Some(line) = lines.next() {
        if line.starts_with(b"PuTTY-User-Key-File-") {
            return Err(KeyError::PuttyFile);
        }
        if let Some(label) = label(line, b"-----BEGIN ") {
            match kind(&label)? {
                Some(kind) => return read(kind, &label, &mut lines),
                None => instead = other_block(&label),
            }
        } else if let Some(refused) = other_line(line) {
            instead = refused;
        }
    }
    Err(instead)
}

fn label(line: &[u8], marker: &[u8]) -> Option<String> {
    let label = line.strip_prefix(marker)?.strip_suffix(b"-----")?;
    Some(String::from_utf8_lossy(label).into_owned())
}

fn kind(label: &str) -> Result<Option<Kind>, KeyError> {
    Ok(Some(match label {
        "OPENSSH PRIVATE KEY" => Kind::OpenSsh,
        "RSA PRIVATE KEY" => Kind::Rsa,
        "EC PRIVATE KEY" => Kind::Ec,
        "DSA PRIVATE KEY" => Kind::Dsa,
        "PRIVATE KEY" => Kind::Pkcs8,
        "ENCRYPTED PRIVATE KEY" => Kind::EncryptedPkcs8,
        // A key pasted into a field for one line: the END line follows on the same one.
        joined if joined.contains("-----") => return Err(Damage::NoLineBreaks.into()),
        _ => return Ok(None),
    }))
}

/// Says what a file is whose only blocks are of another kind.
fn other_block(label: &str) -> KeyError {
    if label.contains("PRIVATE KEY") {
        KeyError::UnsupportedType { name: label.escape_debug().collect() }
    } else if label.contains("CERTIFICATE") {
        KeyError::CertificateGiven
    } else if label.contains("PUBLIC KEY") {
        KeyError::PublicKeyGiven
    } else {
        KeyError::NotAPrivateKey
    }
}

/// Says what a line outside of any block is, if it is something that people take for a private key.
fn other_line(line: &[u8]) -> Option<KeyError> {
    if line.starts_with(b"---- BEGIN SSH2 PUBLIC KEY") {
        return Some(KeyError::PublicKeyGiven);
    }
    if line.starts_with(b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY") {
        return Some(KeyError::UnsupportedType { name: "SSH2 ENCRYPTED PRIVATE KEY".into() });
    }
    let words = || line.split(u8::is_ascii_whitespace).filter_map(|word| std::str::from_utf8(word).ok());
    words().zip(words().skip(1)).find_map(|(name, blob)| {
        // The base64 text of every public key begins with the length of its type's name: three zero bytes.
        let known = ["ssh-", "ecdsa-sha2-", "sk-"].iter().any(|prefix| name.starts_with(prefix));
        if !known || !blob.starts_with("AAAA") {
            return None;
        }
        Some(match refuse_type(name) {
            Err(KeyError::CertificateGiven) => KeyError::CertificateGiven,
            _ => KeyError::PublicKeyGiven,
        })
    })
}

fn read<'a>(kind: Kind, opened: &str, lines: &mut impl Iterator<Item = &'a [u8]>) -> Result<Block, KeyError> {
    let mut dek_info = None;
    let mut encrypted = false;
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_LEN.min(16 * 1024)));
    loop {
        let line = lines.next().ok_or(Damage::NoEnd)?;
        if line.starts_with(b"-----") {
            if label(line, b"-----END ").is_none_or(|closed| closed != opened) {
                return Err(Damage::NoEnd.into());
            }
            break;
        }
        // A colon is no base64, so headers need no blank line behind them to be told.
        if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            let (name, value) = line.split_at(colon);
            let value = std::str::from_utf8(value).map_err(|_| Damage::Header)?.trim_start_matches(':').trim();
            match name {
                b"DEK-Info" => dek_info = Some(value.to_owned()),
                b"Proc-Type" => encrypted = value.ends_with("ENCRYPTED"),
                _ => {}
            }
            continue;
        }
        grow(&mut text, line.len());
        text.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
    }
    if encrypted && dek_info.is_none() {
        return Err(Damage::Header.into());
    }
    let mut data = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let len = BASE64.decode_slice(&*text, &mut data).map_err(Damage::Base64)?;
    data.truncate(len);
    Ok(Block { kind, dek_info, data })
}

/// Makes room by hand: what a growing vector leaves behind would not be zeroized.
fn grow(text: &mut Zeroizing<Vec<u8>>, more: usize) {
    if text.capacity() - text.len() < more {
        let mut larger = Zeroizing::new(Vec::with_capacity((text.len() + more) * 2));
        larger.extend_from_slice(text);
        *text = larger;
    }
}
