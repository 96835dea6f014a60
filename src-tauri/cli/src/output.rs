//! Data on standard output, as JSON lines or for people; messages on standard error.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::error::ErrorLine;

/// In which form data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// One JSON value per line.
    Json,
}

/// Where a command writes to. What fails is remembered and told at the end: a change goes on all the same.
#[derive(Debug)]
pub(crate) struct Output {
    form: Form,
    failed: Mutex<Option<io::Error>>,
}

impl Output {
    pub(crate) fn new(form: Form) -> Self {
        Self { form, failed: Mutex::new(None) }
    }

    /// In which form data is written.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Writes one value: a line of JSON, or the text for people.
    pub(crate) fn item<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        match self.form {
            Form::Json => self.json(value),
            Form::Text => self.data(&text(value)),
        }
    }

    /// Writes values: a line of JSON each, or a table for people, with `empty` where there are none.
    pub(crate) fn table<T: Serialize>(
        &self,
        values: &[T],
        header: &[&str],
        row: impl Fn(&T) -> Vec<String>,
        empty: &str,
    ) {
        match self.form {
            Form::Json => values.iter().for_each(|value| self.json(value)),
            Form::Text if values.is_empty() => self.message(empty),
            Form::Text => self.data(&table(header, values.iter().map(row).collect())),
        }
    }

    /// Writes a value as one line of JSON, whatever the form.
    pub(crate) fn json<T: Serialize>(&self, value: &T) {
        match serde_json::to_string(value) {
            Ok(line) => self.data(&line),
            Err(error) => self.fail(error.into()),
        }
    }

    /// Writes an error as the last line of JSON; nothing for people, who read it on standard error.
    pub(crate) fn error(&self, line: &ErrorLine) {
        if self.form == Form::Json {
            self.json(line);
        }
    }

    /// Writes lines to standard output.
    pub(crate) fn data(&self, text: &str) {
        let mut out = io::stdout().lock();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        if let Err(error) = write!(out, "{text}{end}").and_then(|()| out.flush()) {
            self.fail(error);
        }
    }

    /// Tells a person something, on standard error.
    pub(crate) fn message(&self, text: &str) {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(io::stderr(), "{}", printable(text));
    }

    /// The first failure of standard output; that a reader went away (`| head`) is none.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        let failed = self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        failed.filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    fn fail(&self, error: io::Error) {
        self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }
}

/// Whether a stream may carry colours and cursor movements (no-color.org).
pub(crate) fn is_lively(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether a stream may carry colours.
pub(crate) fn is_coloured(stream: &impl IsTerminal) -> bool {
    is_lively(stream) && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// A text in a colour, where the stream may carry one.
pub(crate) fn painted(text: &str, colour: AnsiColor, coloured: bool) -> String {
    if !coloured {
        return text.to_owned();
    }
    let style = Style::new().fg_color(Some(colour.into()));
    format!("{style}{text}{style:#}")
}

/// A text without what would steer the terminal: it may come from a device.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || c == '\t' || !is_steering(c) { c } else { '\u{fffd}' }).collect()
}

/// A printable text on one line.
pub(crate) fn on_one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

/// Control characters, and the marks that turn the direction of text.
fn is_steering(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns under a header.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let header = header.iter().map(|cell| cell.to_uppercase()).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> =
        std::iter::once(header).chain(rows).map(|row| row.iter().map(|cell| on_one_line(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Names and values under each other.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + 1;
    let mut text = String::new();
    for (name, value) in fields {
        let name = format!("{name}:");
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}", format!("{name:width$} {}", on_one_line(value)).trim_end());
    }
    text
}

/// A list in words, or a dash.
pub(crate) fn list(items: &[String]) -> String {
    if items.is_empty() { "-".to_owned() } else { items.join(", ") }
}

/// A value, or a dash.
pub(crate) fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// A time for people, to the second: `2026-11-24 09:47:01Z`.
pub(crate) fn time(rfc3339: &str) -> String {
    let to_the_second = rfc3339.split_once('.').map_or(rfc3339, |(seconds, _)| seconds);
    format!("{}Z", to_the_second.trim_end_matches('Z').replacen('T', " ", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_its_columns_under_each_other() {
        let text = table(&["name", "port"], vec![vec!["web-1".into(), "22".into()], vec!["a".into(), "2200".into()]]);
        assert_eq!(text, "NAME   PORT\nweb-1  22\na      2200\n");
    }

    #[test]
    fn what_a_device_sends_can_not_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{202e}c\n"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\n");
        assert_eq!(on_one_line("two\nlines"), "two lines");
        assert!(!table(&["name"], vec![vec!["x\u{1b}]0;title\u{7}".into()]]).contains('\u{1b}'));
    }

    #[test]
    fn times_are_shown_to_the_second() {
        assert_eq!(time("2026-11-24T09:47:01.123Z"), "2026-11-24 09:47:01Z");
        assert_eq!(time("2026-11-24T09:47:01Z"), "2026-11-24 09:47:01Z");
    }

    #[test]
    fn fields_stand_under_each_other() {
        assert_eq!(fields(&[("name", "web-1".into()), ("id", "3".into())]), "name: web-1\nid:   3\n");
    }
}
