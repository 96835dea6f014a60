//! From the numbers of a pair to the pair that signs, with the proof that they belong together.
//!
//! Every file format ends here, so that what is checked is checked for all of them.

use aws_lc_rs::agreement;
use rsa::BoxedUint;
use ssh_key::{
    EcdsaCurve, HashAlg,
    private::{EcdsaKeypair, EcdsaPrivateKey, Ed25519Keypair, KeypairData, RsaKeypair},
    public::EcdsaPublicKey,
};
use zeroize::Zeroizing;

use super::{Damage, KeyError};

const RSA_BITS_MIN: u32 = 2048;
/// The longest modulus that the crate `rsa`, with which russh signs, takes.
const RSA_BITS_MAX: u32 = 8192;

/// The numbers of an RSA key (RFC 8017, section 3), each big-endian.
pub(super) struct RsaNumbers<'a> {
    pub(super) n: &'a [u8],
    pub(super) e: &'a [u8],
    pub(super) d: &'a [u8],
    pub(super) p: &'a [u8],
    pub(super) q: &'a [u8],
}

/// Makes the pair of an Ed25519 seed; a public half beside it must be the seed's.
pub(super) fn ed25519(seed: &[u8], public: Option<&[u8]>) -> Result<KeypairData, KeyError> {
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(seed.try_into().map_err(|_| Damage::Field("private key"))?);
    let pair = Ed25519Keypair::from_seed(&seed);
    if public.is_some_and(|public| public != pair.public.as_ref()) {
        return Err(KeyError::HalvesDiffer);
    }
    Ok(KeypairData::Ed25519(pair))
}

/// Makes the pair of a secret scalar; a public point beside it must be the scalar's.
///
/// Leading zeros of the scalar may be missing: `ssh-keygen` leaves them out, which concerns one key of 256.
pub(super) fn ecdsa(curve: EcdsaCurve, scalar: &[u8], public: Option<&[u8]>) -> Result<KeypairData, KeyError> {
    let (agreement, size) = match curve {
        EcdsaCurve::NistP256 => (&agreement::ECDH_P256, 32),
        EcdsaCurve::NistP384 => (&agreement::ECDH_P384, 48),
        EcdsaCurve::NistP521 => (&agreement::ECDH_P521, 66),
    };
    let scalar = strip_zeros(scalar);
    let padding = size_difference(size, scalar.len()).ok_or(Damage::Numbers("ECDSA"))?;
    let mut padded = Zeroizing::new(Vec::with_capacity(size));
    padded.resize(padding, 0);
    padded.extend_from_slice(scalar);

    // aws-lc-rs refuses zero and what is not below the order of the curve.
    let derived = agreement::PrivateKey::from_private_key(agreement, &padded)
        .map_err(|_| Damage::Numbers("ECDSA"))?
        .compute_public_key()
        .map_err(|_| Damage::Numbers("ECDSA"))?;
    if public.is_some_and(|public| !is_point(public, derived.as_ref())) {
        return Err(KeyError::HalvesDiffer);
    }
    let point = EcdsaPublicKey::from_sec1_bytes(derived.as_ref()).map_err(|_| Damage::Numbers("ECDSA"))?;
    let pair = match point {
        EcdsaPublicKey::NistP256(public) => EcdsaKeypair::NistP256 { public, private: private(&padded)? },
        EcdsaPublicKey::NistP384(public) => EcdsaKeypair::NistP384 { public, private: private(&padded)? },
        EcdsaPublicKey::NistP521(public) => EcdsaKeypair::NistP521 { public, private: private(&padded)? },
    };
    Ok(KeypairData::Ecdsa(pair))
}

/// Makes the pair of an RSA key's numbers.
///
/// The numbers that only speed up signing are computed anew: a wrong one in a file would go unnoticed here and break
/// the key for another program.
pub(super) fn rsa(numbers: &RsaNumbers<'_>) -> Result<KeypairData, KeyError> {
    let modulus = strip_zeros(numbers.n);
    let bits = bit_length(modulus);
    if bits < RSA_BITS_MIN {
        return Err(KeyError::RsaTooShort { bits });
    }
    if bits > RSA_BITS_MAX {
        return Err(KeyError::RsaTooLong { bits });
    }
    let number = |bytes: &[u8]| {
        let bytes = strip_zeros(bytes);
        // None is longer than the modulus; a longer one would only cost time and memory.
        if bytes.is_empty() || bytes.len() > modulus.len() {
            return Err(Damage::Numbers("RSA"));
        }
        Ok(BoxedUint::from_be_slice_vartime(bytes))
    };
    let primes = vec![number(numbers.p)?, number(numbers.q)?];
    // Checks that n = p * q, and that e * d = 1 modulo p - 1 and q - 1.
    let key = rsa::RsaPrivateKey::from_components(number(modulus)?, number(numbers.e)?, number(numbers.d)?, primes)
        .map_err(|_| KeyError::HalvesDiffer)?;
    let pair = RsaKeypair::try_from(&key).map_err(|_| Damage::Numbers("RSA"))?;
    Ok(KeypairData::Rsa(pair))
}

/// Signs once and verifies with the public half.
pub(super) fn prove(signer: &ssh_key::PrivateKey, public: &ssh_key::PublicKey) -> Result<(), KeyError> {
    const NAMESPACE: &str = "keywheel";
    const MESSAGE: &[u8] = b"The two halves belong together.";
    let signature = signer.sign(NAMESPACE, HashAlg::Sha512, MESSAGE).map_err(|_| KeyError::HalvesDiffer)?;
    public.verify(NAMESPACE, MESSAGE, &signature).map_err(|_| KeyError::HalvesDiffer)
}

fn private<const SIZE: usize>(padded: &[u8]) -> Result<EcdsaPrivateKey<SIZE>, KeyError> {
    let bytes: [u8; SIZE] = padded.try_into().map_err(|_| Damage::Numbers("ECDSA"))?;
    Ok(EcdsaPrivateKey::from(bytes))
}

/// Whether a point in either form of SEC 1, section 2.3.3 is the one given uncompressed.
fn is_point(given: &[u8], uncompressed: &[u8]) -> bool {
    match (given, uncompressed) {
        ([tag @ (2 | 3), x @ ..], [4, both @ ..]) => {
            both.starts_with(x) && both.len() == 2 * x.len() && both.last().is_some_and(|y| (y & 1) == (tag & 1))
        }
        _ => given == uncompressed,
    }
}

fn strip_zeros(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn size_difference(size: usize, len: usize) -> Option<usize> {
    size.checked_sub(len).filter(|_| len > 0)
}

/// The length in bits of a number without leading zero bytes.
fn bit_length(number: &[u8]) -> u32 {
    let whole = u32::try_from(number.len()).unwrap_or(u32::MAX).saturating_mul(8);
    whole.saturating_sub(number.first().map_or(0, |first| first.leading_zeros()))
}
