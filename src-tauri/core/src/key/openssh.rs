//! OpenSSH's own container of private keys (OpenSSH's PROTOCOL.key).
//!
//! Read here and not by `ssh-key`, since that refuses ECDSA keys whose secret number is short (which `ssh-keygen`
//! writes), sets no bound to the work that a file may ask for, and does not tell a wrong passphrase from a damaged file.

use ssh_key::{Cipher, EcdsaCurve, Kdf, private::KeypairData, public::KeyData};
use zeroize::Zeroizing;

use super::{
    Damage, KeyError,
    pair::{self, RsaNumbers},
    public_key::refuse_type,
};

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The most rounds of `bcrypt_pbkdf` that are worked through: about half a minute, where `ssh-keygen` writes 16 or 24.
const MAX_ROUNDS: u32 = 4096;

/// A pair and the comment stored with it.
pub(super) struct Opened {
    pub(super) pair: KeypairData,
    pub(super) comment: String,
}

/// Opens a container.
pub(super) fn open(container: &[u8], passphrase: Option<&str>) -> Result<Opened, KeyError> {
    let mut fields = Fields(container.strip_prefix(MAGIC).ok_or(Damage::Field("magic"))?);
    let cipher = fields.text("cipher")?;
    let kdf = fields.text("kdf")?;
    let kdf_options = fields.string("kdf options")?;
    if fields.number("number of keys")? != 1 {
        return Err(KeyError::UnsupportedType { name: "a file with several keys".into() });
    }
    let public = fields.string("public key")?;
    // The type stands outside the encryption: no passphrase is asked for a key that will be refused.
    let name = Fields(public).text("key type")?;
    refuse_type(name)?;

    let sealed = fields.string("private key")?;
    let opened = if cipher == "none" {
        fields.end()?;
        read_private(sealed, Damage::Field("check number").into())?
    } else {
        let cipher = Cipher::new(cipher)
            .map_err(|_| KeyError::UnsupportedEncryption { name: cipher.escape_debug().collect() })?;
        let kdf = read_kdf(kdf, kdf_options)?;
        let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
        let plain = decrypt(cipher, &kdf, passphrase, sealed, fields.0)?;
        read_private(&plain, KeyError::WrongPassphrase)?
    };

    let derived = KeyData::try_from(&opened.pair).map_err(|_| KeyError::HalvesDiffer)?;
    let derived = ssh_key::PublicKey::from(derived).to_bytes().map_err(|_| KeyError::HalvesDiffer)?;
    if derived != public {
        return Err(KeyError::HalvesDiffer);
    }
    Ok(opened)
}

fn read_kdf(name: &str, options: &[u8]) -> Result<Kdf, KeyError> {
    if name != "bcrypt" {
        return Err(KeyError::UnsupportedEncryption { name: name.escape_debug().collect() });
    }
    let mut options = Fields(options);
    let salt = options.string("salt")?;
    let rounds = options.number("rounds")?;
    options.end()?;
    if salt.is_empty() || rounds == 0 {
        return Err(Damage::Field("kdf options").into());
    }
    if rounds > MAX_ROUNDS {
        return Err(KeyError::TooCostly);
    }
    Ok(Kdf::Bcrypt { salt: salt.to_vec(), rounds })
}

fn decrypt(
    cipher: Cipher,
    kdf: &Kdf,
    passphrase: &str,
    sealed: &[u8],
    rest: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if !sealed.len().is_multiple_of(cipher.block_size()) {
        return Err(Damage::Field("private key").into());
    }
    let tag = if cipher.has_tag() {
        Some(rest.try_into().map_err(|_| Damage::Field("authentication tag"))?)
    } else {
        Fields(rest).end()?;
        None
    };
    let (key, iv) = kdf.derive_key_and_iv(cipher, passphrase).map_err(|_| Damage::Field("kdf options"))?;
    let mut plain = Zeroizing::new(sealed.to_vec());
    cipher.decrypt(&key, &iv, &mut plain, tag).map_err(|_| KeyError::WrongPassphrase)?;
    Ok(plain)
}

/// Reads the private section; two unequal check numbers mean `unopened`.
fn read_private(plain: &[u8], unopened: KeyError) -> Result<Opened, KeyError> {
    let mut fields = Fields(plain);
    if fields.number("check number")? != fields.number("check number")? {
        return Err(unopened);
    }
    let pair = match fields.text("key type")? {
        "ssh-ed25519" => {
            let public = fields.string("public key")?;
            let (seed, again) =
                fields.string("private key")?.split_at_checked(32).ok_or(Damage::Field("private key"))?;
            if again != public {
                return Err(KeyError::HalvesDiffer);
            }
            pair::ed25519(seed, Some(public))?
        }
        name @ ("ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521") => {
            let curve: EcdsaCurve = fields.text("curve")?.parse().map_err(|_| Damage::Field("curve"))?;
            if !name.ends_with(curve.as_str()) {
                return Err(Damage::Field("curve").into());
            }
            let point = fields.string("public key")?;
            pair::ecdsa(curve, fields.string("private key")?, Some(point))?
        }
        "ssh-rsa" => {
            let n = fields.string("modulus")?;
            let e = fields.string("public exponent")?;
            let d = fields.string("private exponent")?;
            let _coefficient = fields.string("coefficient")?;
            let p = fields.string("first prime")?;
            let q = fields.string("second prime")?;
            pair::rsa(&RsaNumbers { n, e, d, p, q })?
        }
        name => {
            refuse_type(name)?;
            return Err(KeyError::UnsupportedType { name: name.escape_debug().collect() });
        }
    };
    let comment = String::from_utf8_lossy(fields.string("comment")?).into_owned();
    let padded_rightly = fields.0.iter().zip(1u8..=255).all(|(given, counted)| *given == counted);
    if fields.0.len() > 255 || !padded_rightly {
        return Err(Damage::Field("padding").into());
    }
    Ok(Opened { pair, comment })
}

/// Reads the data types of RFC 4251, section 5, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self, field: &'static str) -> Result<u32, Damage> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Damage::Field(field))?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    fn string(&mut self, field: &'static str) -> Result<&'a [u8], Damage> {
        let len = usize::try_from(self.number(field)?).map_err(|_| Damage::Field(field))?;
        let (string, rest) = self.0.split_at_checked(len).ok_or(Damage::Field(field))?;
        self.0 = rest;
        Ok(string)
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.string(field)?).map_err(|_| Damage::Field(field))
    }

    fn end(&self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage::Field("end")) }
    }
}
