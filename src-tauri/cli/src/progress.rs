//! A change as it goes: a line per device on a terminal, plain lines elsewhere, one event per line for programs.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use anstyle::AnsiColor;
use keywheel_core::rotation::Stage;
use keywheel_core::rotation::event::{Event, StageState, What};
use terminal_size::{Height, Width};

use crate::output::{Form, Output, is_coloured, is_lively, on_one_line, painted, printable};
use crate::rotate::Told;
use crate::rotate::emergency::other_keys;

/// Shows events as they come.
pub(crate) struct Progress {
    output: Arc<Output>,
    verbose: bool,
    lines: Option<Lines>,
    told: Told,
    /// The credential of each change, where several run at once.
    several: Option<HashMap<i64, String>>,
}

impl Progress {
    pub(crate) fn new(output: Arc<Output>, verbose: bool) -> Self {
        Self { output, verbose, lines: None, told: Told::default(), several: None }
    }

    /// Of several changes at once: plain lines that name the credential.
    pub(crate) fn of_several(output: Arc<Output>, verbose: bool) -> Self {
        Self { several: Some(HashMap::new()), ..Self::new(output, verbose) }
    }

    /// What a line about a change begins with.
    fn whose(&self, change: i64) -> String {
        let name = self.several.as_ref().and_then(|names| names.get(&change));
        name.map(|name| format!("\"{name}\": ")).unwrap_or_default()
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event) {
        if let What::Finished { seconds, .. } = &event.what {
            self.told = Told { finished: true, seconds: *seconds };
        }
        if self.output.form() == Form::Json {
            self.output.json(event);
            return;
        }
        match &event.what {
            What::Started { credential, devices, strategy, new_fingerprint, .. } => {
                let count = devices.len();
                self.output.message(&format!(
                    "Change {} of \"{credential}\" on {count} device{} ({strategy}), key {new_fingerprint}",
                    event.change,
                    if count == 1 { "" } else { "s" },
                ));
                match &mut self.several {
                    Some(names) => drop(names.insert(event.change, credential.clone())),
                    None => self.lines = Lines::fitting(devices),
                }
                if let Some(lines) = &mut self.lines {
                    lines.draw();
                }
            }
            What::Stage { device, stage, state, detail, .. } => match &mut self.lines {
                Some(lines) => lines.stage(device, *stage, *state, detail),
                None if *state != StageState::Running || self.verbose => {
                    let detail = if detail.is_empty() { String::new() } else { format!(": {}", on_one_line(detail)) };
                    let whose = self.whose(event.change);
                    self.output.message(&format!("{whose}{device}: {stage} {state}{detail}"));
                }
                None => {}
            },
            What::RolledBack { device, state } => match &mut self.lines {
                Some(lines) => lines.rolled_back(device, *state),
                None => self.output.message(&format!("{}{device}: rolled back {state}", self.whose(event.change))),
            },
            What::Plan { device, file, diff } => {
                let head = format!("{device}: {file}\n");
                let coloured = is_coloured(&io::stdout());
                self.output.data(&format!("{}{}", printable(&head), shown_diff(diff, coloured)));
            }
            // A change tells them at its end, with what its devices came to; a dry run has no other end.
            What::OtherKeys { device, keys, .. } if event.change == 0 && !keys.is_empty() => {
                self.output.data(&printable(&format!("Other keys in the files of\n{}", other_keys(device, keys))));
            }
            What::OtherKeys { .. } | What::Finished { .. } => {}
        }
    }

    /// Ends the display, and answers what was seen.
    pub(crate) fn end(self) -> Told {
        self.told
    }
}

/// A diff with its lines in colours, where the terminal has some.
fn shown_diff(diff: &str, coloured: bool) -> String {
    let mut text = String::new();
    if diff.is_empty() {
        return "  (nothing to change)\n".to_owned();
    }
    for line in diff.lines() {
        let line = printable(line);
        let line = match line.chars().next() {
            Some('+') => painted(&line, AnsiColor::Green, coloured),
            Some('-') => painted(&line, AnsiColor::Red, coloured),
            Some('@') => painted(&line, AnsiColor::Cyan, coloured),
            _ => line,
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

const STAGES: [Stage; 5] = [Stage::Check, Stage::Add, Stage::Prove, Stage::Remove, Stage::Refuse];

/// The lines of all devices, redrawn in place.
struct Lines {
    devices: Vec<Line>,
    name_width: usize,
    drawn: bool,
    coloured: bool,
    signs: Signs,
}

/// What tells the states of a stage apart, besides the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signs {
    /// A track that fills, for terminals that show more than ASCII.
    Track,
    /// Words.
    Words,
}

impl Signs {
    /// The signs that this locale can show (POSIX, "Environment Variables", `LC_CTYPE`).
    fn of_locale() -> Self {
        let named =
            ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
        let locale = named.map(|value| value.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        if locale.contains("utf-8") || locale.contains("utf8") { Self::Track } else { Self::Words }
    }

    fn stage(self, stage: Stage, state: Option<StageState>) -> String {
        match self {
            Self::Track => {
                let (sign, rail) = match state {
                    None => ("○", "──"),
                    Some(StageState::Running) => ("◐", "──"),
                    Some(StageState::Done) => ("✓", "━━"),
                    Some(StageState::Failed) => ("✗", "──"),
                    Some(StageState::Unknown) => ("?", "──"),
                };
                let rail = if stage == Stage::Refuse { "" } else { rail };
                format!("{sign} {stage} {rail}").trim_end().to_owned()
            }
            Self::Words => {
                let word = match state {
                    None => "-   ",
                    Some(StageState::Running) => "... ",
                    Some(StageState::Done) => "ok  ",
                    Some(StageState::Failed) => "FAIL",
                    Some(StageState::Unknown) => "?   ",
                };
                format!("{stage} {word} ")
            }
        }
    }
}

struct Line {
    device: String,
    stages: [Option<StageState>; 5],
    rolled_back: Option<StageState>,
    detail: String,
}

impl Lines {
    /// Lines for the terminal, if there is one that they fit on.
    fn fitting(devices: &[String]) -> Option<Self> {
        if !is_lively(&io::stderr()) {
            return None;
        }
        let (_, Height(height)) = terminal_size::terminal_size_of(io::stderr())?;
        if devices.len() + 2 > usize::from(height) {
            return None;
        }
        Some(Self { signs: Signs::of_locale(), ..Self::of(devices, is_coloured(&io::stderr())) })
    }

    fn of(devices: &[String], coloured: bool) -> Self {
        let line = |device: &String| Line {
            device: on_one_line(device),
            stages: [None; 5],
            rolled_back: None,
            detail: String::new(),
        };
        let devices: Vec<Line> = devices.iter().map(line).collect();
        let name_width = devices.iter().map(|line| line.device.chars().count()).max().unwrap_or(0);
        Self { devices, name_width, drawn: false, coloured, signs: Signs::Words }
    }

    fn stage(&mut self, device: &str, stage: Stage, state: StageState, detail: &str) {
        if let Some(line) = self.devices.iter_mut().find(|line| line.device == device) {
            let place = STAGES.iter().position(|known| *known == stage);
            if let Some(slot) = place.and_then(|place| line.stages.get_mut(place)) {
                *slot = Some(state);
            }
            line.detail = if state == StageState::Done { String::new() } else { on_one_line(detail) };
            self.draw();
        }
    }

    fn rolled_back(&mut self, device: &str, state: StageState) {
        if let Some(line) = self.devices.iter_mut().find(|line| line.device == device) {
            line.rolled_back = Some(state);
            self.draw();
        }
    }

    fn draw(&mut self) {
        let width = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(Width(width), _)| usize::from(width));
        let mut text = String::new();
        if self.drawn {
            // Writing to a String does not fail.
            let _ = write!(text, "\u{1b}[{}A", self.devices.len());
        }
        for line in &self.devices {
            let _ = writeln!(text, "\r\u{1b}[2K{}", self.text(line, width));
        }
        self.drawn = true;
        // Where the terminal went away there is nobody to show it to.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// A device's line, cut to the width: a line that wraps would spoil the redrawing.
    fn text(&self, line: &Line, width: usize) -> String {
        let mut text = format!("  {:1$} ", line.device, self.name_width);
        let mut used = 3 + self.name_width;
        let mut push = |word: &str, colour: Option<AnsiColor>| {
            let left = width.saturating_sub(used + 1);
            let word: String = format!(" {word}").chars().take(left).collect();
            used += word.chars().count();
            text.push_str(&colour.map_or_else(|| word.clone(), |colour| painted(&word, colour, self.coloured)));
        };
        for (stage, state) in STAGES.iter().zip(line.stages) {
            let colour = match state {
                None => None,
                Some(StageState::Running) => Some(AnsiColor::Cyan),
                Some(StageState::Done) => Some(AnsiColor::Green),
                Some(StageState::Failed) => Some(AnsiColor::Red),
                Some(StageState::Unknown) => Some(AnsiColor::Yellow),
            };
            push(&self.signs.stage(*stage, state), colour);
        }
        match line.rolled_back {
            Some(StageState::Done) => push("rolled back", Some(AnsiColor::Yellow)),
            Some(StageState::Running) => push("rolling back", Some(AnsiColor::Cyan)),
            Some(_) => push("NOT ROLLED BACK", Some(AnsiColor::Red)),
            None => {}
        }
        if !line.detail.is_empty() {
            push(&line.detail, None);
        }
        text.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        Lines::of(&["web-1".to_owned(), "db".to_owned()], false)
    }

    #[test]
    fn a_line_shows_each_stage_with_a_word_and_not_by_colour_alone() {
        let mut lines = lines();
        let line = &mut lines.devices[0];
        line.stages = [
            Some(StageState::Done),
            Some(StageState::Running),
            None,
            Some(StageState::Failed),
            Some(StageState::Unknown),
        ];
        line.detail = "why".to_owned();
        let text = lines.text(&lines.devices[0], 200);
        assert_eq!(text, "  web-1  check ok    add ...   prove -     remove FAIL  refuse ?     why");
        assert!(lines.text(&lines.devices[1], 200).starts_with("  db     check"), "the stages stand under each other");
    }

    #[test]
    fn a_track_fills_stage_by_stage() {
        let mut lines = Lines { signs: Signs::Track, ..lines() };
        lines.devices[0].stages = [
            Some(StageState::Done),
            Some(StageState::Running),
            None,
            Some(StageState::Failed),
            Some(StageState::Unknown),
        ];
        let text = lines.text(&lines.devices[0], 200);
        assert_eq!(text, "  web-1  ✓ check ━━ ◐ add ── ○ prove ── ✗ remove ── ? refuse");
    }

    #[test]
    fn a_line_never_wraps() {
        let mut lines = lines();
        lines.devices[0].detail = "a long reason ".repeat(20);
        for width in [1, 10, 40, 80] {
            let text = lines.text(&lines.devices[0], width);
            assert!(text.chars().count() < width.max(8), "{width}: {text}");
        }
    }

    #[test]
    fn a_diff_keeps_its_text_and_nothing_steers_the_terminal() {
        assert_eq!(shown_diff("-a\u{1b}[2J\n+b\n c\n", false), "-a\u{fffd}[2J\n+b\n c\n");
        assert!(shown_diff("+b\n", true).contains("\u{1b}["), "a terminal with colours shows them");
    }
}
