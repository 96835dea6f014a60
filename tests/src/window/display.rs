//! A display for one place alone.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::Trouble;

/// Ends the server when the pipe closes, so that it also ends with a killed test.
const GUARD: &str = "Xvfb -displayfd 3 -screen 0 1280x900x24 -nolisten tcp 3>&1 >/dev/null 2>&1 </dev/null &
server=$!
exec >/dev/null
IFS= read -r end
kill $server
wait $server";

/// A running X server without a screen to be seen.
pub(super) struct Display {
    guard: Child,
    /// What `DISPLAY` has to say.
    pub(super) name: String,
}

impl Display {
    /// Starts one under the first number that is free, and waits until it takes clients.
    pub(super) fn start() -> Result<Self, Trouble> {
        let mut guard = Command::new("sh").args(["-c", GUARD]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut number = String::new();
        let told = guard.stdout.take().ok_or("the X server tells no number")?;
        BufReader::new(told).read_line(&mut number)?;
        let name = format!(":{}", number.trim());
        let display = Self { guard, name };
        if display.name == ":" {
            return Err("Xvfb can't be started; run `make setup`".into());
        }
        Ok(display)
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
