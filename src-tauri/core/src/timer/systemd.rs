//! A systemd user timer (systemd.timer(5), systemd.service(5)).

use std::path::PathBuf;

use super::{MARK, MINUTES, Parts, Tick, TimerError, TimerFile, text, words};

pub(super) fn parts(tick: &Tick, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Parts, TimerError> {
    let config = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
    let folder = config.ok_or(TimerError::NoHome)?.join("systemd/user");
    let file = |name: &str, content: String| TimerFile { path: folder.join(name), bytes: content.into_bytes() };
    Ok(Parts {
        files: vec![file("keywheel.service", service(tick)), file("keywheel.timer", timer())],
        enable: vec![words("systemctl --user daemon-reload"), words("systemctl --user enable --now keywheel.timer")],
        disable: vec![words("systemctl --user disable --now keywheel.timer")],
        ask: words("systemctl --user --quiet is-active keywheel.timer"),
    })
}

/// The service. A change ends with the device in hand when it is stopped, so it gets the time for that.
fn service(tick: &Tick) -> String {
    let mut command = quoted(&text(&tick.program), Dollar::Literal);
    for argument in tick.arguments() {
        command.push(' ');
        command.push_str(&quoted(&argument, Dollar::Expanded));
    }
    format!(
        "# {MARK}: `keywheel timer install` writes it anew, `keywheel timer remove` removes it.\n\
         [Unit]\n\
         Description=Begin the key changes that are due\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={command}\n\
         TimeoutStopSec=5min\n\
         # What is due waits for the keyring: that is no failure.\n\
         SuccessExitStatus=5\n"
    )
}

fn timer() -> String {
    format!(
        "# {MARK}: `keywheel timer install` writes it anew, `keywheel timer remove` removes it.\n\
         [Unit]\n\
         Description=Look every {MINUTES} minutes for key changes that are due\n\
         \n\
         [Timer]\n\
         OnCalendar=*:0/{MINUTES}\n\
         Persistent=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n"
    )
}

/// Whether a dollar stands for a variable where a word is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dollar {
    /// In arguments it does.
    Expanded,
    /// In the name of the program it does not.
    Literal,
}

/// A word as `ExecStart=` reads it back: in quotes, with what begins an escape, a specifier or a variable doubled.
pub(super) fn quoted(word: &str, dollar: Dollar) -> String {
    let mut quoted = String::from("\"");
    for sign in word.chars() {
        match sign {
            '"' | '\\' => quoted.extend(['\\', sign]),
            '%' => quoted.push_str("%%"),
            '$' if dollar == Dollar::Expanded => quoted.push_str("$$"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            sign => quoted.push(sign),
        }
    }
    quoted.push('"');
    quoted
}
