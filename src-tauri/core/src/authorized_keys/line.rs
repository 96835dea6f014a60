//! How sshd reads one line of the file.

use super::{Key, Line, Role, blob};

/// A line of the file, whatever it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    /// Its place in the file, from 1.
    pub(super) number: usize,
    /// The line without its end.
    pub(super) content: &'a [u8],
    /// `\n` or `\r\n`; of the last line also nothing or a `\r` alone.
    pub(super) end: &'a [u8],
}

/// Cuts a file into its lines, so that contents and ends one after the other are the file again.
pub(super) fn split(text: &[u8]) -> impl Iterator<Item = Raw<'_>> {
    text.split_inclusive(|byte| *byte == b'\n').enumerate().map(|(index, line)| {
        let end = match line {
            [.., b'\r', b'\n'] => 2,
            [.., b'\n' | b'\r'] => 1,
            _ => 0,
        };
        let (content, end) = line.split_at_checked(line.len() - end).unwrap_or((line, &[]));
        Raw { number: index + 1, content, end }
    })
}

/// A line that sshd reads as a key, in parts that one after the other are the line again.
#[derive(Debug, Clone)]
pub(super) struct Parsed<'a> {
    /// The blanks before the first word.
    pub(super) leading: &'a [u8],
    /// The options; empty if there are none.
    pub(super) options: &'a [u8],
    /// The blanks between the options and the type; empty if there are no options.
    pub(super) separator: &'a [u8],
    /// The type of key (not always the name that is written).
    pub(super) key_type: &'static str,
    /// The blanks between the type and the base64.
    pub(super) gap: &'a [u8],
    /// The decoded key.
    pub(super) blob: Vec<u8>,
    /// The decoded key as written by the book.
    canonical: Vec<u8>,
    /// What follows the base64, with the blanks before the comment.
    pub(super) trailing: &'a [u8],
    /// The whole line.
    content: &'a [u8],
}

impl Parsed<'_> {
    /// What the line lets its key do.
    pub(super) fn role(&self) -> Role {
        if has_option(self.options, b"cert-authority") { Role::CertificateAuthority } else { Role::Login }
    }

    /// Whether two lines hold the same key in the same role.
    pub(super) fn is_same_key(&self, other: &Parsed<'_>) -> bool {
        self.canonical == other.canonical && self.role() == other.role()
    }

    /// The line as others see it.
    pub(super) fn to_line(&self, number: usize) -> Line {
        Line {
            number,
            leading: self.leading.to_vec(),
            options: self.options.to_vec(),
            comment: skip_blanks(self.trailing).1.to_vec(),
            bytes: self.content.to_vec(),
        }
    }

    /// This line with another key in the place of its own.
    pub(super) fn with_key(&self, key: Key<'_>) -> Vec<u8> {
        [
            self.leading,
            self.options,
            self.separator,
            key.key_type.as_bytes(),
            self.gap,
            blob::encode(key.blob).as_bytes(),
            self.trailing,
        ]
        .concat()
    }
}

/// Keys whose lines are looked for.
#[derive(Debug)]
pub(super) struct Wanted(Vec<Vec<u8>>);

impl Wanted {
    /// Prepares the comparison; a key that sshd would not read has no lines.
    pub(super) fn new(keys: &[Key<'_>]) -> Self {
        let canonical = |key: &Key<'_>| blob::canonical(blob::key_type(key.key_type.as_bytes())?, key.blob);
        Self(keys.iter().filter_map(canonical).collect())
    }

    /// Whether one of the keys logs in by this line. The type stands at the start of the encoding.
    pub(super) fn has(&self, line: &Parsed<'_>) -> bool {
        self.0.contains(&line.canonical) && line.role() == Role::Login
    }
}

/// Reads a line (without its end) as sshd does, or tells that it holds no key.
///
/// The order is OpenSSH's (`auth_check_authkey_line`): first a key without options is tried, then the first word is taken
/// for options. sshd sees a line only up to a NUL byte.
pub(super) fn parse(content: &[u8]) -> Option<Parsed<'_>> {
    let visible = content.split(|byte| *byte == 0).next()?;
    let (leading, rest) = skip_blanks(visible);
    if rest.is_empty() || rest.starts_with(b"#") {
        return None;
    }
    let (options, separator, key) = match read_key(rest) {
        Some(key) => (rest.get(..0)?, rest.get(..0)?, key),
        None => {
            let (options, rest) = split_options(rest)?;
            let (separator, rest) = skip_blanks(rest);
            (options, separator, read_key(rest)?)
        }
    };
    // What a NUL byte hides from sshd is kept with the comment.
    let trailing = content.get(visible.len() - key.behind.len()..)?;
    Some(Parsed {
        leading,
        options,
        separator,
        key_type: key.key_type,
        gap: key.gap,
        blob: key.blob,
        canonical: key.canonical,
        trailing,
        content,
    })
}

struct ReadKey<'a> {
    key_type: &'static str,
    gap: &'a [u8],
    blob: Vec<u8>,
    canonical: Vec<u8>,
    behind: &'a [u8],
}

/// Reads type and base64 at the start of `text` (OpenSSH's `sshkey_read`).
fn read_key(text: &[u8]) -> Option<ReadKey<'_>> {
    let (name, rest) = split_word(text);
    let key_type = blob::key_type(name)?;
    let (gap, rest) = skip_blanks(rest);
    let (word, _) = split_word(rest);
    let blob = blob::decode(word)?;
    let canonical = blob::canonical(key_type, &blob)?;
    // White space that the decoder skips at the end (a second CR) stays with what follows.
    let base64 = word.len() - word.iter().rev().take_while(|byte| blob::is_space(**byte)).count();
    Some(ReadKey { key_type, gap, blob, canonical, behind: rest.get(base64..)? })
}

/// Splits off the options (OpenSSH's `sshkey_advance_past_options`): blanks end them outside of quotes only, and `\"`
/// neither opens nor closes quotes. Quotes that nothing closes make the line unreadable.
fn split_options(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut scan = QuoteScan::default();
    match text.iter().position(|byte| scan.outside(*byte) && is_blank(*byte)) {
        Some(end) => text.split_at_checked(end),
        None => None,
    }
}

/// Whether an option of this name stands among the options; names are compared without regard to case.
fn has_option(options: &[u8], name: &[u8]) -> bool {
    let mut scan = QuoteScan::default();
    // A longer name with the same start makes sshd refuse the line, so that it is no login line either.
    options
        .split(|byte| scan.outside(*byte) && *byte == b',')
        .any(|option| option.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}

/// Cuts the options of a line at their commas; those inside quotes are part of an option.
pub fn options(options: &str) -> impl Iterator<Item = &str> {
    let mut scan = QuoteScan::default();
    // Neither quote, backslash nor comma is part of another character in UTF-8.
    let cut = move |character: char| scan.outside(u8::try_from(character).unwrap_or(b' ')) && character == ',';
    options.split(cut).filter(|option| !option.is_empty())
}

/// Follows quotes through options, byte by byte.
#[derive(Debug, Default)]
struct QuoteScan {
    quoted: bool,
    after_backslash: bool,
}

impl QuoteScan {
    /// Takes the next byte and tells whether it stands outside of quotes.
    fn outside(&mut self, byte: u8) -> bool {
        let escaped = std::mem::take(&mut self.after_backslash);
        match byte {
            // `\\"` is a backslash followed by an escaped quote: a backslash never escapes a backslash here.
            b'\\' => self.after_backslash = true,
            b'"' if !escaped => self.quoted = !self.quoted,
            _ => {}
        }
        !self.quoted
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn skip_blanks(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| is_blank(*byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}
