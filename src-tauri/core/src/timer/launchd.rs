//! A launchd agent (launchd.plist(5)).

use std::path::PathBuf;

use super::{MARK, MINUTES, Parts, Tick, TimerError, TimerFile, text, words};

const LABEL: &str = "org.keywheel.due";

pub(super) fn parts(tick: &Tick, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Parts, TimerError> {
    let home = variable("HOME").ok_or(TimerError::NoHome)?;
    let path = home.join(format!("Library/LaunchAgents/{LABEL}.plist"));
    let load = |word: &str| vec!["launchctl".to_owned(), word.to_owned(), "-w".to_owned(), text(&path)];
    Ok(Parts {
        enable: vec![load("load")],
        disable: vec![load("unload")],
        ask: words(&format!("launchctl list {LABEL}")),
        files: vec![TimerFile { bytes: plist(tick).into_bytes(), path }],
    })
}

pub(super) fn plist(tick: &Tick) -> String {
    let command = std::iter::once(text(&tick.program)).chain(tick.arguments());
    let command: String = command.map(|word| format!("        <string>{}</string>\n", escaped(&word))).collect();
    let seconds = MINUTES * 60;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <!-- {MARK}: `keywheel timer install` writes it anew, `keywheel timer remove` removes it. -->\n\
         <plist version=\"1.0\">\n\
         <dict>\n    \
             <key>Label</key>\n    \
             <string>{LABEL}</string>\n    \
             <key>ProgramArguments</key>\n    \
             <array>\n{command}    </array>\n    \
             <key>StartInterval</key>\n    \
             <integer>{seconds}</integer>\n    \
             <key>RunAtLoad</key>\n    \
             <true/>\n\
         </dict>\n\
         </plist>\n"
    )
}

/// A text inside of an XML element.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
