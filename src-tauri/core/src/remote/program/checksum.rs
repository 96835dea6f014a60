//! Checksums that both sides can compute.

use std::fmt;

use sha2::{Digest, Sha256};

/// The checksum of a text: SHA-256 where the device has it, else the one of POSIX `cksum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256, FIPS 180-4.
    Sha256([u8; 32]),
    /// The CRC and the length that POSIX `cksum` prints.
    Cksum {
        /// The CRC of the text followed by its length.
        crc: u32,
        /// The number of bytes.
        length: u64,
    },
}

impl Checksum {
    /// Computes SHA-256.
    pub fn sha256(text: &[u8]) -> Self {
        Self::Sha256(Sha256::digest(text).into())
    }

    /// Computes what POSIX `cksum` prints (IEEE Std 1003.1, utility `cksum`).
    pub fn cksum(text: &[u8]) -> Self {
        let length = text.len() as u64;
        let mut crc = text.iter().fold(0, |crc, byte| shift_in(crc, *byte));
        let mut rest = length;
        while rest != 0 {
            crc = shift_in(crc, (rest & 0xff) as u8);
            rest >>= 8;
        }
        Self::Cksum { crc: !crc, length }
    }

    /// Whether it is the checksum of this text.
    pub fn is_of(&self, text: &[u8]) -> bool {
        match self {
            Self::Sha256(_) => *self == Self::sha256(text),
            Self::Cksum { .. } => *self == Self::cksum(text),
        }
    }

    /// Reads what `sha256sum` or `cksum` prints of standard input.
    pub(super) fn from_output(output: &str) -> Option<Self> {
        let mut words = output.split_ascii_whitespace();
        let first = words.next()?;
        let mut digest = [0; 32];
        if first.len() == 64 && hex::decode_to_slice(first, &mut digest).is_ok() {
            return Some(Self::Sha256(digest));
        }
        Some(Self::Cksum { crc: first.parse().ok()?, length: words.next()?.parse().ok()? })
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => f.write_str(&hex::encode(digest)),
            Self::Cksum { crc, length } => write!(f, "{crc} {length}"),
        }
    }
}

/// The remainders of each first byte under the polynomial of POSIX `cksum`, most significant bit first.
static REMAINDERS: [u32; 256] = remainders();

#[expect(clippy::indexing_slicing, reason = "the index stays below the array's length; evaluated by the compiler")]
const fn remainders() -> [u32; 256] {
    let mut table = [0; 256];
    let mut first: u32 = 0;
    while first < 256 {
        let mut remainder = first << 24;
        let mut bit = 0;
        while bit < 8 {
            remainder = if remainder & 0x8000_0000 == 0 { remainder << 1 } else { (remainder << 1) ^ 0x04c1_1db7 };
            bit += 1;
        }
        table[first as usize] = remainder;
        first += 1;
    }
    table
}

#[expect(clippy::indexing_slicing, reason = "a byte is always below 256")]
fn shift_in(crc: u32, byte: u8) -> u32 {
    (crc << 8) ^ REMAINDERS[usize::from((crc >> 24) as u8 ^ byte)]
}
