//! Where a secret's bytes have been left: in files, in what was told, in a process's memory.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use keywheel_core::key::PrivateKey;
use memchr::memmem;

use crate::Trouble;

/// The forms in which a secret's bytes may stand somewhere.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Traces {
    /// The traces of any bytes.
    pub fn of(secret: &[u8]) -> Self {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![
            ("raw", secret.to_vec()),
            ("hexadecimal", hex.clone().into_bytes()),
            ("HEXADECIMAL", hex.to_uppercase().into_bytes()),
        ];
        // base64 depends on where the bytes begin: each of the three places gives another text.
        for skip in 0..3 {
            forms.push(("base64", base64(secret.get(skip..).unwrap_or_default())));
        }
        Self { forms }
    }

    /// The traces of an Ed25519 key: its seed.
    ///
    /// # Errors
    ///
    /// It is another kind of key.
    pub fn of_key(key: &PrivateKey) -> Result<Self, Trouble> {
        let (secret, blob) = (key.to_secret_bytes(), key.public_key().blob());
        let point = blob.get(blob.len() - 32..).ok_or("a public point")?;
        // The pair stands as seed and point, 64 bytes; the point alone stands twice more before it.
        let place = secret.windows(32).rposition(|window| window == point).ok_or("the point in the pair")?;
        Ok(Self::of(secret.get(place - 32..place).ok_or("the seed before it")?))
    }

    /// Joins the traces of two secrets.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.forms.extend(other.forms);
        self
    }

    /// Names each form that stands in these bytes.
    pub fn look(&self, place: &str, bytes: &[u8]) -> Vec<String> {
        let found = self.forms.iter().filter(|(_, wanted)| memmem::find(bytes, wanted).is_some());
        found.map(|(form, _)| format!("{form} in {place}")).collect()
    }

    /// Looks through all files below a folder; gives what was found and how many files there were.
    ///
    /// # Errors
    ///
    /// A file can't be read.
    pub fn in_folder(&self, folder: &Path) -> io::Result<(Vec<String>, usize)> {
        let (mut found, mut files) = (Vec::new(), 0);
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                let below = self.in_folder(&path)?;
                found.extend(below.0);
                files += below.1;
            } else {
                found.extend(self.look(&path.display().to_string(), &fs::read(&path)?));
                files += 1;
            }
        }
        Ok((found, files))
    }

    /// Looks through all memory that a process of Linux may write to (proc_pid_maps(5)), also what it has freed; gives what was
    /// found and how many bytes there were.
    ///
    /// # Errors
    ///
    /// The process is gone, or another user's.
    pub fn in_memory(&self, process: i32) -> io::Result<(Vec<String>, u64)> {
        let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
        let memory = File::open(format!("/proc/{process}/mem"))?;
        let pages = File::open(format!("/proc/{process}/pagemap"))?;
        let (mut found, mut size) = (Vec::new(), 0);
        for line in maps.lines() {
            let Some((from, to)) = writable(line) else { continue };
            for run in present(&pages, from, to)? {
                let mut bytes = vec![0; usize::try_from(run.end - run.start).unwrap_or_default()];
                // A thread that runs on may have unmapped it meanwhile.
                if memory.read_exact_at(&mut bytes, run.start).is_ok() {
                    size += bytes.len() as u64;
                    found.extend(self.look(line, &bytes));
                }
            }
        }
        Ok((found, size))
    }
}

/// The addresses of a line of `maps`, if it may be written to.
fn writable(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.split_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let range = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
    fields.next()?.starts_with("rw").then_some(range)
}

/// The runs of pages that are in memory, by the top bit of proc_pid_pagemap(5): a web view reserves gigabytes that it never
/// touches.
fn present(pages: &File, from: u64, to: u64) -> io::Result<Vec<Range<u64>>> {
    const PAGE: u64 = 4096;
    const AT_ONCE: u64 = 1 << 16;
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut page = from / PAGE;
    while page < to / PAGE {
        let count = AT_ONCE.min(to / PAGE - page);
        let mut entries = vec![0; usize::try_from(count * 8).unwrap_or_default()];
        pages.read_exact_at(&mut entries, page * 8)?;
        for (entry, number) in entries.as_chunks::<8>().0.iter().zip(page..) {
            if u64::from_ne_bytes(*entry) >> 63 == 0 {
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.end == number * PAGE => run.end += PAGE,
                _ => runs.push(number * PAGE..(number + 1) * PAGE),
            }
        }
        page += count;
    }
    Ok(runs)
}

/// The digits that whole groups of three bytes have.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.as_chunks::<3>().0.iter().flat_map(|[a, b, c]| {
        let number = u32::from_be_bytes([0, *a, *b, *c]);
        [18, 12, 6, 0].map(|shift| DIGITS.get((number >> shift & 63) as usize).copied().unwrap_or_default())
    });
    digits.collect()
}
