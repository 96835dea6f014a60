//! The ASN.1 forms of private keys: PKCS#1 (RFC 8017), SEC 1 (RFC 5915), PKCS#8 (RFC 5958).

use pkcs8::{
    EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument,
    der::{
        Decode as _, Reader as _, SliceReader, Tag, Tagged as _,
        asn1::{AnyRef, ContextSpecific, ObjectIdentifier, OctetStringRef},
    },
    pkcs5::{EncryptionScheme, pbes2},
    spki::AlgorithmIdentifierRef,
};
use ssh_key::{EcdsaCurve, private::KeypairData};

use super::{
    Damage, KeyError,
    pair::{self, RsaNumbers},
};

/// The most rounds of PBKDF2 that are worked through: about half a minute, where openssl writes 2,048 by default.
const MAX_PBKDF2_ROUNDS: u32 = 10_000_000;
/// The most memory in bytes that scrypt may ask for; openssl's default is 16 MiB.
const MAX_SCRYPT_MEMORY: u64 = 256 << 20;
const MAX_SCRYPT_PARALLEL: u16 = 16;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// The types that people have keys of and that can't be used, by the names they know.
const OTHERS: [(ObjectIdentifier, &str); 6] = [
    (RSA_PSS, "RSASSA-PSS"),
    (ObjectIdentifier::new_unwrap("1.3.101.110"), "X25519"),
    (ObjectIdentifier::new_unwrap("1.3.101.111"), "X448"),
    (ObjectIdentifier::new_unwrap("1.3.101.113"), "Ed448"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.10"), "the curve secp256k1"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.3.1"), "Diffie-Hellman"),
];

/// Reads an `RSA PRIVATE KEY`.
pub(super) fn pkcs1(der: &[u8]) -> Result<KeypairData, KeyError> {
    let key = pkcs1::RsaPrivateKey::from_der(der).map_err(Damage::Asn1)?;
    if key.other_prime_infos.is_some() {
        return Err(KeyError::UnsupportedType { name: "RSA with more than two primes".into() });
    }
    pair::rsa(&RsaNumbers {
        n: key.modulus.as_bytes(),
        e: key.public_exponent.as_bytes(),
        d: key.private_exponent.as_bytes(),
        p: key.prime1.as_bytes(),
        q: key.prime2.as_bytes(),
    })
}

/// Reads an `EC PRIVATE KEY`.
pub(super) fn sec1(der: &[u8]) -> Result<KeypairData, KeyError> {
    let key = match sec1::EcPrivateKey::from_der(der) {
        Ok(key) => key,
        Err(_) if has_explicit_curve(der) => return Err(explicit_curve()),
        Err(error) => return Err(Damage::Asn1(error).into()),
    };
    let named = key.parameters.and_then(|parameters| parameters.named_curve()).ok_or(Damage::Field("curve"))?;
    pair::ecdsa(curve(named)?, key.private_key, key.public_key)
}

/// Reads a `PRIVATE KEY`.
pub(super) fn pkcs8(der: &[u8]) -> Result<KeypairData, KeyError> {
    let info = PrivateKeyInfoRef::from_der(der).map_err(Damage::Asn1)?;
    let private = info.private_key.as_bytes();
    let public = info.public_key.map(|bits| bits.as_bytes().ok_or(Damage::Field("public key"))).transpose()?;
    match info.algorithm.oid {
        RSA => pkcs1(private),
        DSA => Err(KeyError::DsaNotSupported),
        EC => {
            let parameters = info.algorithm.parameters.ok_or(Damage::Field("curve"))?;
            if parameters.tag() == Tag::Sequence {
                return Err(explicit_curve());
            }
            let outer = curve(parameters.decode_as::<ObjectIdentifier>().map_err(Damage::Asn1)?)?;
            let key = sec1::EcPrivateKey::from_der(private).map_err(Damage::Asn1)?;
            if let Some(named) = key.parameters.and_then(|parameters| parameters.named_curve())
                && curve(named)? != outer
            {
                return Err(Damage::Field("curve").into());
            }
            pair::ecdsa(outer, key.private_key, key.public_key.or(public))
        }
        ED25519 => {
            let seed = <&OctetStringRef>::from_der(private).map_err(Damage::Asn1)?;
            pair::ed25519(seed.as_bytes(), public)
        }
        other => Err(unsupported(other)),
    }
}

/// Reads an `ENCRYPTED PRIVATE KEY`.
///
/// Bytes of the wrong passphrase look like damage, so after the decryption nothing is called damaged.
pub(super) fn encrypted_pkcs8(der: &[u8], passphrase: Option<&str>) -> Result<KeypairData, KeyError> {
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|error| unknown_encryption(der, error))?;
    let EncryptionScheme::Pbes2(scheme) = &info.encryption_algorithm else {
        return Err(KeyError::UnsupportedEncryption { name: "PBES1".into() });
    };
    bound_work(&scheme.kdf)?;
    let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
    let opened: SecretDocument = info.decrypt(passphrase).map_err(|_| KeyError::WrongPassphrase)?;
    pkcs8(opened.as_bytes()).map_err(after_decryption)
}

/// Reads what damage means once a passphrase was applied.
pub(super) fn after_decryption(error: KeyError) -> KeyError {
    match error {
        KeyError::Damaged(_) => KeyError::WrongPassphrase,
        other => other,
    }
}

fn bound_work(kdf: &pbes2::Kdf) -> Result<(), KeyError> {
    let bearable = match kdf {
        pbes2::Kdf::Pbkdf2(kdf) => kdf.iteration_count <= MAX_PBKDF2_ROUNDS,
        pbes2::Kdf::Scrypt(kdf) => {
            let memory = kdf.cost_parameter.saturating_mul(128).saturating_mul(u64::from(kdf.block_size));
            memory <= MAX_SCRYPT_MEMORY && kdf.parallelization <= MAX_SCRYPT_PARALLEL
        }
        _ => return Err(KeyError::UnsupportedEncryption { name: kdf.oid().to_string() }),
    };
    if bearable { Ok(()) } else { Err(KeyError::TooCostly) }
}

/// Tells a method that is not known here from a structure that can't be read.
fn unknown_encryption(der: &[u8], error: pkcs8::der::Error) -> KeyError {
    let named = SliceReader::new(der).and_then(|mut reader| {
        reader.sequence(|fields| {
            let method = AlgorithmIdentifierRef::decode(fields)?;
            <&OctetStringRef>::decode(fields)?;
            Ok::<_, pkcs8::der::Error>(method)
        })
    });
    match named {
        Ok(AlgorithmIdentifierRef { oid: pbes2::PBES2_OID, parameters: Some(parameters) }) => {
            let parts = parameters.sequence(|fields| {
                Ok::<_, pkcs8::der::Error>((
                    AlgorithmIdentifierRef::decode(fields)?,
                    AlgorithmIdentifierRef::decode(fields)?,
                ))
            });
            let name = parts.map_or_else(
                |_| pbes2::PBES2_OID.to_string(),
                |(kdf, cipher)| format!("PBES2 with {} and {}", kdf.oid, cipher.oid),
            );
            KeyError::UnsupportedEncryption { name }
        }
        Ok(method) => KeyError::UnsupportedEncryption { name: method.oid.to_string() },
        Err(_) => Damage::Asn1(error).into(),
    }
}

fn curve(named: ObjectIdentifier) -> Result<EcdsaCurve, KeyError> {
    match named {
        P256 => Ok(EcdsaCurve::NistP256),
        P384 => Ok(EcdsaCurve::NistP384),
        P521 => Ok(EcdsaCurve::NistP521),
        other => Err(unsupported(other)),
    }
}

fn unsupported(oid: ObjectIdentifier) -> KeyError {
    let known = OTHERS.iter().find(|(other, _)| *other == oid);
    KeyError::UnsupportedType { name: known.map_or_else(|| oid.to_string(), |(_, name)| (*name).to_owned()) }
}

/// Whether a SEC 1 key spells its curve out; ssh keys name theirs, and only the three names are safe to take.
fn has_explicit_curve(der: &[u8]) -> bool {
    let read = SliceReader::new(der).and_then(|mut reader| {
        reader.sequence(|fields| {
            u8::decode(fields)?;
            <&OctetStringRef>::decode(fields)?;
            let parameters = ContextSpecific::<AnyRef<'_>>::decode(fields)?;
            fields.drain(fields.remaining_len())?;
            Ok::<_, pkcs8::der::Error>(parameters.value.tag() == Tag::Sequence)
        })
    });
    read.unwrap_or(false)
}

fn explicit_curve() -> KeyError {
    KeyError::UnsupportedType { name: "ECDSA over a curve without a name".into() }
}
