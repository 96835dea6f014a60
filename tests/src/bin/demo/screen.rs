//! What the demo writes: colour and motion on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _, Stdout, Write as _};

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Strong,
    Quiet,
    Accent,
    Good,
    Danger,
}

/// The standard output.
#[derive(Debug)]
pub(crate) struct Screen {
    out: Stdout,
    live: bool,
    coloured: bool,
    /// How many lines were drawn that will be drawn again.
    drawn: usize,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let out = io::stdout();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let live = out.is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        Self { out, live, coloured: live && !set("NO_COLOR"), drawn: 0 }
    }

    /// Whether lines can be drawn over.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.coloured {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Strong => "1",
            Paint::Quiet => "2",
            Paint::Accent => "36",
            Paint::Good => "32",
            Paint::Danger => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    pub(crate) fn heading(&mut self, text: &str, command: &str) -> io::Result<()> {
        let (text, command) = (self.paint(Paint::Strong, text), self.paint(Paint::Quiet, command));
        writeln!(self.out, "\n{text}  {command}")
    }

    /// Draws lines in place of those drawn before.
    pub(crate) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        // The cursor is hidden, and lines that are too long are cut off: a wrapped one would be counted wrong.
        let mut frame = String::from("\x1b[?25l\x1b[?7l");
        if self.drawn > 0 {
            frame += &format!("\x1b[{}A", self.drawn);
        }
        for line in lines {
            frame += &format!("\r\x1b[K{line}\n");
        }
        frame += "\x1b[?7h";
        self.drawn = lines.len();
        write!(self.out, "{frame}")?;
        self.out.flush()
    }

    /// Leaves the drawn lines as they are, and shows the cursor again.
    pub(crate) fn keep(&mut self) -> io::Result<()> {
        if self.drawn > 0 {
            self.drawn = 0;
            write!(self.out, "\x1b[?25h")?;
        }
        self.out.flush()
    }
}
