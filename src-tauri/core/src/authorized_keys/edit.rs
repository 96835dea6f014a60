//! Changes of a file by whole lines, each a function of the text just read.

use std::borrow::Cow;

use super::line::{Parsed, Raw, Wanted, parse, split};
use super::{Key, Line};
use crate::error::{Class, Explain};

/// A planned change of a file: nothing but whole lines added and taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The text that was read.
    pub before: Vec<u8>,
    /// The text to be written.
    pub after: Vec<u8>,
    /// The lines this edit adds, with their numbers in `after`.
    pub added: Vec<Line>,
    /// The lines this edit takes out, with their numbers in `before`.
    pub removed: Vec<Line>,
    /// How many of the lines to be added stood there before; they are not this edit's, and a roll-back leaves them.
    pub stood_before: usize,
}

impl Edit {
    /// Whether the goal was reached before, so that nothing is to be written.
    pub fn changes_nothing(&self) -> bool {
        self.before == self.after
    }
}

/// Why a file can't be edited as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Neither a line of the old key nor one of the new key stands in the file.
    #[error("The file holds neither the old key nor the new one.")]
    OldKeyMissing,
    /// A line of the new key stands there with options that no line of the old key has.
    #[error("Line {line} holds the new key already, with other options than were expected.")]
    OptionsDiffer {
        /// The line's number, from 1.
        line: usize,
    },
    /// A line would be taken out without a line of the kept key that has the same options.
    #[error("The new key's line for line {line} of the old key is gone.")]
    NewLineGone {
        /// The number of the old key's line, from 1.
        line: usize,
    },
    /// sshd would not read the line that is to be added as a login line of its key.
    #[error("The line to be added is not one that sshd reads as this key.")]
    LineUnreadable,
}

impl Explain for EditError {
    crate::sentences! {
        OldKeyMissing => "old-key-missing",
        OptionsDiffer { line } => "options-differ",
        NewLineGone { line } => "new-line-gone",
        LineUnreadable => "line-unreadable",
    }

    fn hint(&self) -> String {
        match self {
            Self::OldKeyMissing => "Install the key on this device, or set the path of its authorized_keys file.",
            Self::OptionsDiffer { .. } => "Take that line out, or give it the expected options, and check again.",
            Self::NewLineGone { .. } => {
                "Find out what else writes this file (a configuration manager, another person), and change the key again."
            }
            Self::LineUnreadable => "Look for quotes that are not closed and for blanks outside of quotes in the options.",
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::LineUnreadable => Class::BadInput,
            _ => Class::NotDone,
        }
    }
}

/// Adds the new key: a line of its own behind every line of an old key whose options the new key does not have yet.
///
/// Doubled lines of one old key stay doubled, as a person wrote them; of several old keys with the same options only the
/// first gets new lines, since one is all the new key needs there.
///
/// The new line has the old line's leading blanks, options and comment byte for byte, and its kind of line end; a missing
/// final newline stays missing. Lines of the new key that stand there with the same options are left.
///
/// # Errors
///
/// [`EditError::OldKeyMissing`] if neither key stands in the file; [`EditError::OptionsDiffer`] if a line of the new key
/// has options that no old line has, since sshd obeys the first line of a key.
pub fn add(text: &[u8], old: &[Key<'_>], new: Key<'_>) -> Result<Edit, EditError> {
    let (old, new_lines) = (Wanted::new(old), Wanted::new(&[new]));
    let mut draft = Draft::of(text);
    let stood = draft.options_of(&new_lines);
    let wanted = draft.options_of(&old);
    if wanted.is_empty() && stood.is_empty() {
        return Err(EditError::OldKeyMissing);
    }
    if !wanted.is_empty()
        && let Some((line, _)) = stood.iter().find(|(_, options)| !holds(&wanted, options))
    {
        return Err(EditError::OptionsDiffer { line: *line });
    }
    let mut done: Vec<(&[u8], Parsed<'_>)> = Vec::new();
    draft.insert_behind(|line| {
        let parsed = line.parsed.as_ref().filter(|parsed| old.has(parsed))?;
        let by_another = done.iter().any(|(options, of)| *options == parsed.options && !of.is_same_key(parsed));
        if holds(&stood, parsed.options) || by_another {
            return None;
        }
        done.push((parsed.options, parsed.clone()));
        Some(parsed.with_key(new))
    });
    Ok(Edit { stood_before: stood.len(), ..draft.finish() })
}

/// Takes out every line of the old keys, provided that the kept key stands there once per option set of theirs.
///
/// # Errors
///
/// [`EditError::NewLineGone`] if a line of the kept key is missing: a login that was proven before says nothing about the
/// text that was just read.
pub fn remove(text: &[u8], old: &[Key<'_>], keep: Key<'_>) -> Result<Edit, EditError> {
    let (old, keep) = (Wanted::new(old), Wanted::new(&[keep]));
    let mut draft = Draft::of(text);
    let kept = draft.options_of(&keep);
    let out = |parsed: &Parsed<'_>| old.has(parsed) && !keep.has(parsed);
    if let Some((line, _)) = draft.options_where(&out).iter().find(|(_, options)| !holds(&kept, options)) {
        return Err(EditError::NewLineGone { line: *line });
    }
    draft.take_out(|parsed| out(parsed));
    Ok(draft.finish())
}

/// Takes back what [`add`] or [`append`] did: the lines of the new key whose options are those of a line in `added`.
///
/// `added` holds the lines' bytes from the edit's record. Within one option set either the edit added the line or it stood
/// there before, so that lines which stood before stay. If the last line goes and has no newline, the line end before it
/// goes too: that one was inserted with it.
pub fn take_back(text: &[u8], added: &[Vec<u8>], new: Key<'_>) -> Edit {
    let wanted = Wanted::new(&[new]);
    let options: Vec<Vec<u8>> =
        added.iter().filter_map(|line| parse(line)).map(|parsed| parsed.options.to_vec()).collect();
    let mut draft = Draft::of(text);
    draft.take_out(|parsed| wanted.has(parsed) && options.iter().any(|options| options == parsed.options));
    draft.leave_final_newline_missing();
    draft.finish()
}

/// Puts remembered lines back, those whose key doesn't stand there with the same options.
///
/// Each comes right before the first line of the key `beside` with its options, else to the end of the file. Lines that
/// differ only in the comment, or in nothing, come back together.
pub fn restore(text: &[u8], lines: &[Vec<u8>], beside: Key<'_>) -> Edit {
    let beside = Wanted::new(&[beside]);
    let mut draft = Draft::of(text);
    let missing: Vec<_> = lines.iter().filter(|line| !draft.has_like(line)).collect();
    let mut waiting: Vec<_> = missing.iter().map(|line| (parse(line), line.as_slice())).collect();
    draft.insert_before(|line| {
        let Some(parsed) = line.parsed.as_ref().filter(|parsed| beside.has(parsed)) else { return Vec::new() };
        waiting
            .extract_if(.., |(like, _)| like.as_ref().is_some_and(|like| like.options == parsed.options))
            .map(|(_, line)| line.to_vec())
            .collect()
    });
    for (_, line) in waiting {
        draft.push(line.to_vec());
    }
    draft.finish()
}

/// Adds a line at the end of the file, on a line of its own; nothing if the key stands there already with these options.
///
/// A missing final newline stays missing, so that [`take_back`] leaves the file as it was.
///
/// # Errors
///
/// [`EditError::LineUnreadable`] if sshd would not read the line as this key; [`EditError::OptionsDiffer`] if a line of
/// the key stands there with other options, since sshd obeys the first line of a key.
pub fn append(text: &[u8], line: &[u8], key: Key<'_>) -> Result<Edit, EditError> {
    let wanted = Wanted::new(&[key]);
    let parsed = parse(line).filter(|parsed| wanted.has(parsed) && !line.contains(&b'\n'));
    let options = parsed.ok_or(EditError::LineUnreadable)?.options;
    let mut draft = Draft::of(text);
    let stood = draft.options_of(&wanted);
    if let Some((line, _)) = stood.iter().find(|(_, stood)| *stood != options) {
        return Err(EditError::OptionsDiffer { line: *line });
    }
    if stood.is_empty() {
        draft.push(line.to_vec());
    }
    Ok(Edit { stood_before: stood.len(), ..draft.finish() })
}

/// Takes out every line of these keys.
pub fn withdraw(text: &[u8], keys: &[Key<'_>]) -> Edit {
    let wanted = Wanted::new(keys);
    let mut draft = Draft::of(text);
    draft.take_out(|parsed| wanted.has(parsed));
    draft.finish()
}

/// The numbers and options of some lines.
type Options<'a> = Vec<(usize, &'a [u8])>;

fn holds(set: &Options<'_>, options: &[u8]) -> bool {
    set.iter().any(|(_, held)| *held == options)
}

/// A file while it is edited.
struct Draft<'a> {
    before: &'a [u8],
    lines: Vec<DraftLine<'a>>,
    /// The lines taken out so far.
    removed: Vec<Line>,
    /// The end of a line that follows one without an end.
    prevailing: &'static [u8],
}

/// The end of a line that gets another behind it.
fn complete<'a>(end: &'a [u8], prevailing: &'a [u8]) -> &'a [u8] {
    match end {
        b"" => prevailing,
        b"\r" => b"\r\n",
        _ => end,
    }
}

/// A line of the draft.
struct DraftLine<'a> {
    /// Its number in the text that was read; 0 for a line that is added.
    number: usize,
    content: Cow<'a, [u8]>,
    end: &'a [u8],
    /// What sshd reads in it, for a line that was read.
    parsed: Option<Parsed<'a>>,
}

impl<'a> DraftLine<'a> {
    fn read(raw: Raw<'a>) -> Self {
        Self { number: raw.number, content: Cow::Borrowed(raw.content), end: raw.end, parsed: parse(raw.content) }
    }

    fn added(content: Vec<u8>, end: &'a [u8]) -> Self {
        Self { number: 0, content: Cow::Owned(content), end, parsed: None }
    }
}

impl<'a> Draft<'a> {
    fn of(text: &'a [u8]) -> Self {
        let lines: Vec<_> = split(text).map(DraftLine::read).collect();
        let ends_with = |end: &[u8]| lines.iter().filter(|line| line.end == end).count();
        let prevailing: &[u8] = if ends_with(b"\r\n") > ends_with(b"\n") { b"\r\n" } else { b"\n" };
        Self { before: text, lines, removed: Vec::new(), prevailing }
    }

    fn parsed(&self) -> impl Iterator<Item = (usize, &Parsed<'a>)> {
        self.lines.iter().filter_map(|line| Some((line.number, line.parsed.as_ref()?)))
    }

    fn options_of(&self, wanted: &Wanted) -> Options<'a> {
        self.options_where(&|parsed| wanted.has(parsed))
    }

    fn options_where(&self, choose: &dyn Fn(&Parsed<'_>) -> bool) -> Options<'a> {
        self.parsed().filter(|(_, parsed)| choose(parsed)).map(|(number, parsed)| (number, parsed.options)).collect()
    }

    /// Whether the key of this line stands in the draft with the same options; of a line that sshd can't read, whether
    /// the same bytes do.
    fn has_like(&self, line: &[u8]) -> bool {
        match parse(line) {
            Some(like) => self.parsed().any(|(_, parsed)| parsed.options == like.options && parsed.is_same_key(&like)),
            None => self.lines.iter().any(|other| *other.content == *line),
        }
    }

    /// Inserts behind each line what `content` makes of it: an end of line and the new line, before the end of the old.
    fn insert_behind(&mut self, mut content: impl FnMut(&DraftLine<'a>) -> Option<Vec<u8>>) {
        let prevailing = self.prevailing;
        let mut lines = Vec::with_capacity(self.lines.len() + 1);
        for mut line in self.lines.drain(..) {
            let inserted = content(&line).map(|content| DraftLine::added(content, line.end));
            if inserted.is_some() {
                line.end = complete(line.end, prevailing);
            }
            lines.push(line);
            lines.extend(inserted);
        }
        self.lines = lines;
    }

    /// Inserts before each line what `contents` makes of it, with that line's own kind of end.
    fn insert_before(&mut self, mut contents: impl FnMut(&DraftLine<'a>) -> Vec<Vec<u8>>) {
        let prevailing = self.prevailing;
        let mut lines = Vec::with_capacity(self.lines.len() + 1);
        for line in self.lines.drain(..) {
            let end = complete(line.end, prevailing);
            lines.extend(contents(&line).into_iter().map(|content| DraftLine::added(content, end)));
            lines.push(line);
        }
        self.lines = lines;
    }

    /// Inserts at the end of the file; a missing final newline stays missing.
    fn push(&mut self, content: Vec<u8>) {
        let prevailing = self.prevailing;
        let end = match self.lines.last_mut() {
            Some(last) if !last.end.ends_with(b"\n") => {
                let completed = complete(last.end, prevailing);
                std::mem::replace(&mut last.end, completed)
            }
            Some(_) | None => prevailing,
        };
        self.lines.push(DraftLine::added(content, end));
    }

    /// Takes out the lines chosen, each with its own end.
    fn take_out(&mut self, choose: impl Fn(&Parsed<'_>) -> bool) {
        let chosen = self.lines.extract_if(.., |line| line.parsed.as_ref().is_some_and(&choose));
        let removed = chosen.filter_map(|line| Some(line.parsed?.to_line(line.number)));
        self.removed.extend(removed);
    }

    /// Gives the last line the end that the text had, if that was no newline.
    fn leave_final_newline_missing(&mut self) {
        let end = split(self.before).last().map_or(b"\n".as_slice(), |last| last.end);
        // Without an end an empty line would be none, and a CR would become one: nothing was ever inserted behind those.
        let needs_end = |content: &[u8]| end.is_empty() && (content.is_empty() || content.ends_with(b"\r"));
        if !end.ends_with(b"\n")
            && let Some(last) = self.lines.last_mut().filter(|last| !needs_end(&last.content))
        {
            last.end = end;
        }
    }

    fn finish(self) -> Edit {
        let after = self.lines.iter().flat_map(|line| [&*line.content, line.end]).collect::<Vec<_>>().concat();
        let added = self.lines.iter().enumerate().filter(|(_, line)| line.number == 0);
        let added = added.map(|(index, line)| added_line(index + 1, &line.content)).collect();
        Edit { before: self.before.to_vec(), after, added, removed: self.removed, stood_before: 0 }
    }
}

/// An added line; one that sshd can't read (only [`restore`] may bring it) counts as a comment.
fn added_line(number: usize, content: &[u8]) -> Line {
    match parse(content) {
        Some(parsed) => parsed.to_line(number),
        None => Line {
            number,
            leading: Vec::new(),
            options: Vec::new(),
            comment: content.to_vec(),
            bytes: content.to_vec(),
        },
    }
}
