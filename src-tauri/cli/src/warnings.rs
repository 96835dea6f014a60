//! What the core warns of, on standard error.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::output::on_one_line;

/// Shows the core's warnings from now on, and with `-v` also what it tells in passing.
pub(crate) fn show(verbose: u8) {
    let most = match verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    // A second call would find the first one's; there is none.
    let _ = tracing::subscriber::set_global_default(Warnings { most });
}

#[derive(Debug)]
struct Warnings {
    most: Level,
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Other crates may write anything into their events, so only ours are shown.
        *metadata.level() <= self.most && metadata.target().starts_with("keywheel")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let word = match *event.metadata().level() {
            Level::ERROR | Level::WARN => "warning",
            _ => "note",
        };
        let _ = writeln!(std::io::stderr(), "{word}: {}{}", on_one_line(&line.message), on_one_line(&line.fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " ({name}: {value:?})"),
        };
    }
}
