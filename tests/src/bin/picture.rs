//! Draws what a program wrote on a terminal as an SVG: `picture OUT.svg [FIRST [UNTIL]] <RECORD`, from the line that begins
//! with FIRST, and at the first frame that shows UNTIL (or what stands behind a `|`). The README's pictures are made with it (`make pictures`).

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

const FONT: f64 = 14.0;
/// The width of a character; `textLength` makes every font keep to it.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 20.0;
const MARGIN: f64 = 20.0;
const BACKGROUND: &str = "#16181d";
const TEXT: &str = "#d7dae0";

/// A character with its rendition (ECMA-48, SGR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    character: char,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Style {
    colour: Option<u8>,
    bold: bool,
    faint: bool,
}

/// A terminal that knows what our programs write: lines, colours, and going up to draw over lines.
#[derive(Debug, Default)]
struct Terminal {
    lines: Vec<Vec<Cell>>,
    row: usize,
    column: usize,
    style: Style,
}

fn main() -> ExitCode {
    match draw() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "picture: {error}");
            ExitCode::FAILURE
        }
    }
}

fn draw() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().ok_or_else(|| io::Error::other("usage: picture OUT.svg [FIRST [UNTIL]] <RECORD"))?;
    let (first, until) = (arguments.next().unwrap_or_default(), arguments.next());
    let mut record = Vec::new();
    io::stdin().read_to_end(&mut record)?;
    let record = String::from_utf8_lossy(&record).into_owned();
    let mut terminal = Terminal::default();
    let mut characters = record.chars().peekable();
    let mut seen = until.is_none();
    while let Some(character) = characters.next() {
        if character != '\x1b' {
            terminal.put(character);
            continue;
        }
        // CSI: parameters up to a letter.
        let mut parameters = String::new();
        let mut last = ' ';
        for character in characters.by_ref().skip(1) {
            last = character;
            if character.is_ascii_alphabetic() {
                break;
            }
            parameters.push(character);
        }
        // Our programs end a frame by switching wrapping on again.
        if (parameters.as_str(), last) == ("?7", 'h')
            && until.as_ref().is_some_and(|until| until.split('|').any(|text| terminal.shows(text)))
        {
            seen = true;
            break;
        }
        terminal.control(&parameters, last);
    }
    if !seen {
        return Err(io::Error::other(format!("{:?} is in no frame", until.unwrap_or_default())));
    }
    let above = terminal.lines.iter().position(|line| text(line).starts_with(&first));
    terminal.lines.drain(..above.ok_or_else(|| io::Error::other(format!("no line begins with {first:?}")))?);
    std::fs::write(out, terminal.svg())
}

impl Terminal {
    fn put(&mut self, character: char) {
        match character {
            '\n' => (self.row, self.column) = (self.row + 1, 0),
            '\r' => self.column = 0,
            character if !character.is_control() => {
                while self.lines.len() <= self.row {
                    self.lines.push(Vec::new());
                }
                let style = self.style;
                let Some(line) = self.lines.get_mut(self.row) else { return };
                while line.len() <= self.column {
                    line.push(Cell { character: ' ', style: Style::default() });
                }
                if let Some(cell) = line.get_mut(self.column) {
                    *cell = Cell { character, style };
                }
                self.column += 1;
            }
            _ => {}
        }
    }

    fn control(&mut self, parameters: &str, last: char) {
        match last {
            'A' => self.row = self.row.saturating_sub(parameters.parse().unwrap_or(1)),
            'K' => {
                if let Some(line) = self.lines.get_mut(self.row) {
                    line.truncate(self.column);
                }
            }
            'J' => self.lines.truncate(self.row),
            'm' => {
                for code in parameters.split(';').map(|code| code.parse::<u8>().unwrap_or(0)) {
                    match code {
                        0 => self.style = Style::default(),
                        1 => self.style.bold = true,
                        2 => self.style.faint = true,
                        22 => (self.style.bold, self.style.faint) = (false, false),
                        30..=37 | 90..=97 => self.style.colour = Some(code % 10),
                        39 => self.style.colour = None,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn shows(&self, text: &str) -> bool {
        self.lines.iter().any(|line| self::text(line).contains(text))
    }

    fn svg(&self) -> String {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0).max(80);
        let (width, height) = (2.0 * MARGIN + columns as f64 * WIDTH, 2.0 * MARGIN + self.lines.len() as f64 * HEIGHT);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"{FONT}\">\n\
             <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
        );
        for (row, line) in self.lines.iter().enumerate() {
            let y = MARGIN + row as f64 * HEIGHT + 14.0;
            let mut column = 0;
            for run in line.chunk_by(|one, other| one.style == other.style) {
                let text = text(run);
                let start = column + text.len() - text.trim_start().len();
                column += run.len();
                let text = text.trim();
                let (Some(style), false) = (run.first().map(|cell| cell.style), text.is_empty()) else { continue };
                let (x, length) = (MARGIN + start as f64 * WIDTH, text.chars().count() as f64 * WIDTH);
                let weight = if style.bold { " font-weight=\"bold\"" } else { "" };
                let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                // Writing to a String doesn't fail.
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y:.0}\" fill=\"{}\" textLength=\"{length:.1}\" xml:space=\"preserve\"{weight}>{escaped}</text>",
                    style.fill()
                );
            }
        }
        svg + "</svg>\n"
    }
}

fn text(cells: &[Cell]) -> String {
    cells.iter().map(|cell| cell.character).collect()
}

impl Style {
    fn fill(self) -> &'static str {
        match self.colour {
            Some(1) => "#ff7b72",
            Some(2) => "#56d364",
            Some(3) => "#e3b341",
            Some(4) => "#79b8ff",
            Some(5) => "#d2a8ff",
            Some(6) => "#56c8d8",
            _ if self.faint => "#8b929e",
            _ => TEXT,
        }
    }
}
