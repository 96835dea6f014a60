//! The old encryption of PEM files: `DEK-Info` (RFC 1421) with openssl's derivation of the key.

use md5::{Digest as _, Md5};
use ssh_key::Cipher;
use zeroize::Zeroizing;

use super::{Damage, KeyError};

/// Decrypts a block whose header `DEK-Info` is given.
pub(super) fn decrypt(info: &str, sealed: &[u8], passphrase: Option<&str>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let (name, iv) = info.split_once(',').ok_or(Damage::Header)?;
    let cipher = match name.trim() {
        "AES-128-CBC" => Cipher::Aes128Cbc,
        "AES-192-CBC" => Cipher::Aes192Cbc,
        "AES-256-CBC" => Cipher::Aes256Cbc,
        "DES-EDE3-CBC" => Cipher::TdesCbc,
        other => return Err(KeyError::UnsupportedEncryption { name: other.escape_debug().collect() }),
    };
    let iv = hex::decode(iv.trim()).map_err(|_| Damage::Header)?;
    let (key_len, iv_len) = cipher.key_and_iv_size().ok_or(Damage::Header)?;
    let salt = iv.first_chunk::<8>().filter(|_| iv.len() == iv_len).ok_or(Damage::Header)?;
    if sealed.is_empty() || !sealed.len().is_multiple_of(cipher.block_size()) {
        return Err(Damage::Field("private key").into());
    }
    let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;

    let key = derive(passphrase.as_bytes(), salt, key_len);
    let mut plain = Zeroizing::new(sealed.to_vec());
    cipher.decrypt(&key, &iv, &mut plain, None).map_err(|_| KeyError::WrongPassphrase)?;
    let len = unpadded_len(&plain, cipher.block_size()).ok_or(KeyError::WrongPassphrase)?;
    plain.truncate(len);
    Ok(plain)
}

/// Derives a key as `EVP_BytesToKey(3)` with MD5 and one round.
fn derive(passphrase: &[u8], salt: &[u8], len: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(len + Md5::output_size()));
    let mut last = Zeroizing::new([0u8; 16]);
    while key.len() < len {
        let mut hash = Md5::new();
        if !key.is_empty() {
            hash.update(*last);
        }
        hash.update(passphrase);
        hash.update(salt);
        hash.finalize_into((&mut *last).into());
        key.extend_from_slice(&*last);
    }
    key.truncate(len);
    key
}

/// The length without the padding of PKCS#7 (RFC 5652, section 6.3).
fn unpadded_len(plain: &[u8], block: usize) -> Option<usize> {
    let count = usize::from(*plain.last()?);
    let (_, padding) = plain.split_at_checked(plain.len().checked_sub(count)?)?;
    let whole = (1..=block).contains(&count) && padding.iter().all(|byte| usize::from(*byte) == count);
    whole.then(|| plain.len() - count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_padding_is_taken_off() {
        assert_eq!(unpadded_len(&[9, 9, 9, 9, 9, 3, 3, 3], 8), Some(5));
        assert_eq!(unpadded_len(&[8; 8], 8), Some(0));
        for wrong in [&[][..], &[0; 8], &[9, 9, 9, 9, 9, 2, 3, 3], &[16; 16], &[9, 9]] {
            assert_eq!(unpadded_len(wrong, 8), None, "{wrong:?} would pass for the end of a decrypted key");
        }
    }
}
