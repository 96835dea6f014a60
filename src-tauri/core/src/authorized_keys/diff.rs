//! An edit as a person reads it.

use std::fmt::Write as _;

use super::Edit;
use super::line::split;

/// How many lines stand around a changed one. Other people's lines may hold secrets (`environment=`), so that only the
/// direct neighbours are shown.
const CONTEXT: usize = 1;

/// Writes an edit as a unified diff with one line of context; nothing if the edit changes nothing.
///
/// Line ends are not shown. Bytes that are not UTF-8 and characters that don't print are escaped, so that a file can't
/// steer the terminal it is shown on.
pub fn diff(edit: &Edit, path: &str) -> String {
    let rows = rows(edit);
    let shown = shown(&rows);
    let mut diff = String::new();
    if shown.is_empty() {
        return diff;
    }
    let path = escape(path.as_bytes());
    // Writing to a String doesn't fail.
    let _ = writeln!(diff, "--- {path}\n+++ {path}");
    for hunk in shown {
        let hunk = rows.get(hunk).unwrap_or_default();
        let of = |marks: [char; 2]| hunk.iter().filter(move |row| marks.contains(&row.mark));
        let range = |first: Option<usize>, before_first: usize, count: usize| match count {
            // As diff(1): an empty range is named by the line before it, and a range of one line has no length.
            0 => format!("{before_first},0"),
            1 => format!("{}", first.unwrap_or_default()),
            _ => format!("{},{count}", first.unwrap_or_default()),
        };
        let (old, new) = (of([' ', '-']), of([' ', '+']));
        let at = hunk.first().map_or((0, 0), |row| (row.old_behind, row.new_behind));
        let old = range(Some(at.0 + 1), at.0, old.count());
        let new = range(Some(at.1 + 1), at.1, new.count());
        let _ = writeln!(diff, "@@ -{old} +{new} @@");
        for row in hunk {
            let _ = writeln!(diff, "{}{}", row.mark, escape(row.content));
        }
    }
    diff
}

/// Counts the lines of the file that stay as they are.
pub fn untouched_lines(edit: &Edit) -> usize {
    split(&edit.before).count() - edit.removed.len()
}

/// A row of the whole diff.
struct Row<'a> {
    mark: char,
    content: &'a [u8],
    /// How many lines of the old text come before this row.
    old_behind: usize,
    /// How many lines of the new text come before this row.
    new_behind: usize,
}

/// Lines up both texts; the edit says which lines are not in both.
fn rows(edit: &Edit) -> Vec<Row<'_>> {
    let is_removed = |number| edit.removed.iter().any(|line| line.number == number);
    let is_added = |number| edit.added.iter().any(|line| line.number == number);
    let mut rows = Vec::new();
    let (mut old, mut new) = (split(&edit.before).peekable(), split(&edit.after).peekable());
    let (mut old_behind, mut new_behind) = (0, 0);
    loop {
        let (mark, content) = if let Some(raw) = old.next_if(|raw| is_removed(raw.number)) {
            ('-', raw.content)
        } else if let Some(raw) = new.next_if(|raw| is_added(raw.number)) {
            ('+', raw.content)
        } else if let Some(raw) = old.next() {
            new.next();
            (' ', raw.content)
        } else {
            return rows;
        };
        rows.push(Row { mark, content, old_behind, new_behind });
        old_behind += usize::from(mark != '+');
        new_behind += usize::from(mark != '-');
    }
}

/// The ranges of rows that are shown.
fn shown(rows: &[Row<'_>]) -> Vec<std::ops::Range<usize>> {
    let mut hunks: Vec<std::ops::Range<usize>> = Vec::new();
    for (index, _) in rows.iter().enumerate().filter(|(_, row)| row.mark != ' ') {
        let (start, end) = (index.saturating_sub(CONTEXT), rows.len().min(index + CONTEXT + 1));
        match hunks.last_mut() {
            Some(hunk) if start <= hunk.end => hunk.end = end,
            _ => hunks.push(start..end),
        }
    }
    hunks
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || is_invisible(character) {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Characters that change the order or place of others without being seen themselves.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
