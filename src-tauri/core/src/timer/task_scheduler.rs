//! A task of the Task Scheduler (its XML schema 1.2).

use std::path::PathBuf;

use super::{MARK, MINUTES, Parts, Tick, TimerError, TimerFile, launchd::escaped, text, words};

pub(super) fn parts(tick: &Tick, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Parts, TimerError> {
    let path = variable("LOCALAPPDATA").ok_or(TimerError::NoHome)?.join("keywheel-timer.xml");
    let mut create = words("schtasks /Create /F /TN Keywheel /XML");
    create.push(text(&path));
    // It reads nothing but UTF-16 with its mark.
    let wide = std::iter::once(0xfeff).chain(task(tick).encode_utf16().collect::<Vec<_>>());
    Ok(Parts {
        enable: vec![create],
        disable: vec![words("schtasks /Delete /F /TN Keywheel")],
        ask: words("schtasks /Query /TN Keywheel"),
        files: vec![TimerFile { bytes: wide.flat_map(u16::to_le_bytes).collect(), path }],
    })
}

pub(super) fn task(tick: &Tick) -> String {
    let program = escaped(&text(&tick.program));
    let arguments: Vec<String> = tick.arguments().iter().map(|argument| quoted(argument)).collect();
    let arguments = escaped(&arguments.join(" "));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n\
         <!-- {MARK}: `keywheel timer install` writes it anew, `keywheel timer remove` removes it. -->\r\n\
         <Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\r\n\
         <Triggers><TimeTrigger><StartBoundary>2026-01-01T00:00:00</StartBoundary>\
         <Repetition><Interval>PT{MINUTES}M</Interval></Repetition></TimeTrigger></Triggers>\r\n\
         <Settings><MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>\
         <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>\
         <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>\
         <StartWhenAvailable>true</StartWhenAvailable><ExecutionTimeLimit>PT0S</ExecutionTimeLimit></Settings>\r\n\
         <Actions><Exec><Command>{program}</Command><Arguments>{arguments}</Arguments></Exec></Actions>\r\n\
         </Task>\r\n"
    )
}

/// An argument as `CommandLineToArgvW` reads it back.
pub(super) fn quoted(argument: &str) -> String {
    if !argument.is_empty() && !argument.contains([' ', '\t', '"']) {
        return argument.to_owned();
    }
    let mut quoted = String::from("\"");
    let mut backslashes = 0;
    for sign in argument.chars() {
        match sign {
            '\\' => backslashes += 1,
            '"' => {
                quoted.push_str(&"\\".repeat(2 * backslashes + 1));
                backslashes = 0;
                quoted.push('"');
            }
            sign => {
                quoted.push_str(&"\\".repeat(backslashes));
                backslashes = 0;
                quoted.push(sign);
            }
        }
    }
    quoted.push_str(&"\\".repeat(2 * backslashes));
    quoted.push('"');
    quoted
}
