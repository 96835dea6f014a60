//! A key as it stands in a line: base64 of its encoding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The types sshd reads at the place of a key, each with the type of key it stands for.
///
/// OpenSSH takes the names of signature algorithms there too (`rsa-sha2-256 AAAAB3…` logs in). Certificates are not among
/// them: sshd reads such a line, but lets nobody in for it.
const TYPES: [(&str, &str); 11] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("ssh-rsa", "ssh-rsa"),
    ("rsa-sha2-256", "ssh-rsa"),
    ("rsa-sha2-512", "ssh-rsa"),
    ("ssh-dss", "ssh-dss"),
    ("sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com"),
    ("sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
    ("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
];

/// OpenSSH refuses to read a shorter modulus (`SSH_RSA_MINIMUM_MODULUS_SIZE`).
const RSA_MINIMUM_BITS: usize = 1024;

/// The type of key that a name at the start of a line or of a blob stands for.
pub(super) fn key_type(name: &[u8]) -> Option<&'static str> {
    TYPES.iter().find(|(written, _)| written.as_bytes() == name).map(|(_, stands_for)| *stands_for)
}

/// Decodes a key's base64 as OpenSSH does (`b64_pton`): white space within is skipped, the padding must be there.
pub(super) fn decode(base64: &[u8]) -> Option<Vec<u8>> {
    let dense: Vec<u8> = base64.iter().copied().filter(|byte| !is_space(*byte)).collect();
    STANDARD.decode(dense).ok().filter(|blob| !blob.is_empty())
}

/// Encodes a key for a line.
pub(super) fn encode(blob: &[u8]) -> String {
    STANDARD.encode(blob)
}

/// C's `isspace`, which is wider than Rust's by the vertical tab.
pub(super) fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// The encoding a key has when written by the book, or nothing if sshd would not read it as a key of this type.
///
/// sshd compares numbers, not bytes: an RSA blob with superfluous zeros before a number is the same key.
pub(super) fn canonical(key_type: &str, blob: &[u8]) -> Option<Vec<u8>> {
    let mut rest = blob;
    if self::key_type(string(&mut rest)?)? != key_type {
        return None;
    }
    let mut canonical = Vec::with_capacity(blob.len());
    push(&mut canonical, key_type.as_bytes());
    match key_type {
        "ssh-ed25519" => push(&mut canonical, string(&mut rest).filter(|point| point.len() == 32)?),
        "sk-ssh-ed25519@openssh.com" => {
            push(&mut canonical, string(&mut rest).filter(|point| point.len() == 32)?);
            push(&mut canonical, string(&mut rest)?);
        }
        "ssh-rsa" => {
            number(&mut canonical, &mut rest)?;
            let bits = number(&mut canonical, &mut rest)?;
            if bits < RSA_MINIMUM_BITS {
                return None;
            }
        }
        "ssh-dss" => {
            for _ in 0..4 {
                number(&mut canonical, &mut rest)?;
            }
        }
        "sk-ecdsa-sha2-nistp256@openssh.com" => {
            point(&mut canonical, &mut rest, "nistp256")?;
            push(&mut canonical, string(&mut rest)?);
        }
        ecdsa => point(&mut canonical, &mut rest, ecdsa.strip_prefix("ecdsa-sha2-")?)?,
    }
    // OpenSSH refuses a key with anything behind it.
    rest.is_empty().then_some(canonical)
}

/// Takes a `string` of RFC 4251, section 5.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let (string, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(string)
}

fn push(blob: &mut Vec<u8>, string: &[u8]) {
    // Each string was cut out of a blob whose lengths are 32 bits wide.
    blob.extend_from_slice(&u32::try_from(string.len()).unwrap_or(u32::MAX).to_be_bytes());
    blob.extend_from_slice(string);
}

/// Takes an `mpint` of RFC 4251, section 5, that is not negative, and tells its length in bits.
fn number(canonical: &mut Vec<u8>, rest: &mut &[u8]) -> Option<usize> {
    let written = string(rest)?;
    if written.first().is_some_and(|first| first & 0x80 != 0) {
        return None;
    }
    let zeros = written.iter().take_while(|byte| **byte == 0).count();
    let digits = written.get(zeros..)?;
    let first = digits.first().copied().unwrap_or_default();
    let mut number = Vec::with_capacity(digits.len() + 1);
    if first & 0x80 != 0 {
        number.push(0);
    }
    number.extend_from_slice(digits);
    push(canonical, &number);
    Some((digits.len() * 8).saturating_sub(first.leading_zeros() as usize))
}

/// Takes the name of a curve and an uncompressed point on it (RFC 5656, section 3.1).
fn point(canonical: &mut Vec<u8>, rest: &mut &[u8], curve: &str) -> Option<()> {
    push(canonical, string(rest).filter(|name| *name == curve.as_bytes())?);
    push(canonical, string(rest).filter(|point| point.first() == Some(&4))?);
    Some(())
}
