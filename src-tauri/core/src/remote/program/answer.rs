//! The framed lines of an answer.

use super::{Checksum, ProgramError, plain_name};

/// One framed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// The first word behind the request's name.
    pub(super) word: &'a str,
    /// What stands behind it.
    pub(super) rest: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The rest as text.
    pub(super) fn text(&self) -> Result<&'a str, ProgramError> {
        std::str::from_utf8(self.rest).map_err(|_| ProgramError::Malformed { part: "a line that is not UTF-8" })
    }
}

/// Walks through standard output, passing over what is not ours.
#[derive(Debug, Clone)]
pub(super) struct Answer<'a> {
    prefix: String,
    rest: &'a [u8],
}

impl<'a> Answer<'a> {
    pub(super) fn new(id: &str, stdout: &'a [u8]) -> Self {
        Self { prefix: format!("KW-{} ", plain_name(id)), rest: stdout }
    }

    /// The next framed line.
    ///
    /// Only a line that ends counts: the last one of a cut connection may lack its end.
    pub(super) fn next(&mut self) -> Option<Frame<'a>> {
        loop {
            let end = self.rest.iter().position(|byte| *byte == b'\n')?;
            let (line, rest) = self.rest.split_at_checked(end)?;
            self.rest = rest.get(1..)?;
            let Some(frame) = line.strip_prefix(self.prefix.as_bytes()) else { continue };
            let length = frame.iter().position(|byte| *byte == b' ').unwrap_or(frame.len());
            let (word, rest) = frame.split_at_checked(length)?;
            let Ok(word) = std::str::from_utf8(word) else { continue };
            return Some(Frame { word, rest: rest.get(1..).unwrap_or_default() });
        }
    }

    /// The content whose frame said `announced`: its length, and what `cksum` or `sha256sum` printed before it was sent.
    pub(super) fn content(&mut self, announced: &str, path: &str) -> Result<&'a [u8], ProgramError> {
        let (length, sums) = announced.split_once(' ').ok_or(ProgramError::Malformed { part: "a checksum" })?;
        let length: usize = length.parse().map_err(|_| ProgramError::Malformed { part: "a length" })?;
        let checksum = Checksum::from_output(sums).ok_or(ProgramError::Malformed { part: "a checksum" })?;
        let end = format!("\n{}end\n", self.prefix);
        // Whoever shortened or lengthened the file meanwhile made the end line come too soon or too late.
        let changed = || ProgramError::ChangedWhileReading { path: path.to_owned() };
        let parts = self
            .rest
            .split_at_checked(length)
            .and_then(|(content, rest)| Some((content, rest.strip_prefix(end.as_bytes())?)));
        let Some((content, rest)) = parts else {
            let ends_elsewhere = self.rest.windows(end.len()).any(|window| window == end.as_bytes());
            return Err(if ends_elsewhere {
                changed()
            } else {
                ProgramError::Incomplete { missing: "the end of a file" }
            });
        };
        if !checksum.is_of(content) {
            return Err(changed());
        }
        self.rest = rest;
        Ok(content)
    }
}
