//! A change as it runs: a row per device, whose five stages fill.

use std::time::{Duration, Instant};

use keywheel_core::rotation::Stage;
use keywheel_core::rotation::event::{Event, StageState, What};

use crate::screen::{Paint, Screen};

const STAGES: [Stage; 5] = [Stage::Check, Stage::Add, Stage::Prove, Stage::Remove, Stage::Refuse];
/// The pictures of a stage under way, one after the other.
const TURNING: [&str; 4] = ["◐", "◓", "◑", "◒"];
/// From the device's name to the end of the time.
const WIDTH: usize = 71;
const TURN: Duration = Duration::from_millis(120);

/// The rows.
#[derive(Debug)]
pub(crate) struct Track {
    begun: Instant,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    stages: Vec<(Stage, Option<StageState>)>,
    running_since: Option<Instant>,
    worked: Duration,
    rolled_back: bool,
}

impl Track {
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let row = |name: &str| Row {
            name: name.to_owned(),
            stages: STAGES.iter().map(|stage| (*stage, None)).collect(),
            running_since: None,
            worked: Duration::ZERO,
            rolled_back: false,
        };
        Self { begun: Instant::now(), rows: names.into_iter().map(row).collect() }
    }

    /// Takes an event in, and gives it as a line where no rows are drawn.
    pub(crate) fn take(&mut self, event: &Event) -> Option<String> {
        match &event.what {
            What::Stage { device, stage, state, detail, .. } => {
                let row = self.rows.iter_mut().find(|row| row.name == *device)?;
                row.take(*stage, *state);
                let line = format!("  {device:<10} {:<7} {:<8} {detail}", stage.as_str(), state.as_str());
                (*state != StageState::Running).then_some(line)
            }
            What::RolledBack { device, state } => {
                let row = self.rows.iter_mut().find(|row| row.name == *device)?;
                row.rolled_back = *state == StageState::Done;
                Some(format!("  {device:<10} taken back: {}", state.as_str()))
            }
            _ => None,
        }
    }

    /// The rows as they are now, with a line above that says which keys work.
    pub(crate) fn lines(&self, screen: &Screen) -> Vec<String> {
        let done = |stage| self.rows.iter().filter(|row| row.state(stage) == Some(StageState::Done)).count();
        let all = self.rows.len();
        let begun = |stage| self.rows.iter().any(|row| row.state(stage).is_some());
        let now = if done(Stage::Refuse) == all {
            format!("The new key everywhere, the old one nowhere: {all} of {all}")
        } else if begun(Stage::Remove) {
            format!("The new key is proven everywhere; the old one goes: {} of {all}", done(Stage::Refuse))
        } else if begun(Stage::Add) {
            format!("The new key beside the old one, proven by a login: {} of {all}", done(Stage::Prove))
        } else {
            format!("Checks before anything is written: {} of {all}", done(Stage::Check))
        };
        let time = format!("{:.2} s", self.begun.elapsed().as_secs_f64());
        let fill = " ".repeat(WIDTH.saturating_sub(now.chars().count() + time.chars().count()));
        let mut lines = vec![format!("  {now}{fill}{}", screen.paint(Paint::Quiet, &time))];
        lines.extend(self.rows.iter().map(|row| row.line(screen, self.begun)));
        lines
    }
}

impl Row {
    fn state(&self, stage: Stage) -> Option<StageState> {
        self.stages.iter().find(|(known, _)| *known == stage).and_then(|(_, state)| *state)
    }

    fn take(&mut self, stage: Stage, state: StageState) {
        for (known, now) in &mut self.stages {
            if *known == stage {
                *now = Some(state);
            }
        }
        if state == StageState::Running {
            self.running_since.get_or_insert_with(Instant::now);
        } else {
            self.worked += self.running_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        }
    }

    fn line(&self, screen: &Screen, begun: Instant) -> String {
        let stages: Vec<String> =
            self.stages.iter().map(|(stage, state)| cell(screen, begun, *stage, *state)).collect();
        // A link is drawn as done when the stage before it is.
        let links = self.stages.iter().map(|(_, state)| match state {
            Some(StageState::Done) => screen.paint(Paint::Good, "━━"),
            _ => screen.paint(Paint::Quiet, "──"),
        });
        let mut track = String::new();
        for (stage, link) in stages.iter().zip([String::new()].into_iter().chain(links)) {
            if !link.is_empty() {
                track += &format!(" {link} ");
            }
            track += stage;
        }
        let worked = self.worked + self.running_since.map_or(Duration::ZERO, |since| since.elapsed());
        let time = if worked.is_zero() { String::new() } else { format!("{:.2} s", worked.as_secs_f64()) };
        let back = if self.rolled_back { "  taken back" } else { "" };
        format!("  {:<10} {track} {}{back}", self.name, screen.paint(Paint::Quiet, &format!("{time:>8}")))
    }
}

fn cell(screen: &Screen, begun: Instant, stage: Stage, state: Option<StageState>) -> String {
    let name = stage.as_str();
    match state {
        None => screen.paint(Paint::Quiet, &format!("○ {name}")),
        Some(StageState::Running) => {
            let turn = begun.elapsed().as_millis() / TURN.as_millis();
            let mark = TURNING.iter().cycle().nth((turn % TURNING.len() as u128) as usize).unwrap_or(&"◐");
            screen.paint(Paint::Accent, &format!("{mark} {name}"))
        }
        Some(StageState::Done) => format!("{} {name}", screen.paint(Paint::Good, "✓")),
        Some(StageState::Failed | StageState::Unknown) => screen.paint(Paint::Danger, &format!("✗ {name}")),
    }
}
