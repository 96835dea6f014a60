//! The fault matrix: what can go wrong, at which stage of a key change, and what becomes of the change then.
//!
//! The rows and columns are lists; the cells are written beside the tests that fill them, by one macro for both.

use std::fmt::{self, Write as _};

/// An enum with the list of all its values, and the words they are shown by.
macro_rules! list {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $words:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// All of them, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(match self {
                    $(Self::$variant => $words),+
                })
            }
        }
    };
}

list! {
    /// A row: what is being done on the device that the fault hits.
    Stage {
        /// Connecting, finding and reading the files.
        Check = "check",
        /// Writing the new key's line.
        Add = "add",
        /// Logging in with the new key.
        Prove = "prove",
        /// Taking the old key's line out.
        Remove = "remove",
        /// Asking the old key, logging in with the new one.
        Refuse = "refuse",
        /// Putting the device back on the old key.
        TakeBack = "take-back",
    }
}

impl From<keywheel_core::rotation::Stage> for Stage {
    fn from(stage: keywheel_core::rotation::Stage) -> Self {
        use keywheel_core::rotation::Stage as Core;
        match stage {
            Core::Check => Self::Check,
            Core::Add => Self::Add,
            Core::Prove => Self::Prove,
            Core::Remove => Self::Remove,
            Core::Refuse => Self::Refuse,
        }
    }
}

list! {
    /// A column: what goes wrong.
    Fault {
        /// Nothing of the command is done.
        CutBefore = "connection cut before the command",
        /// The command sees a part of its input.
        CutDuring = "connection cut during the command",
        /// The command is done and answered.
        CutAfter = "connection cut after the command",
        /// The command is done, and nobody hears of it.
        AnswerLost = "answer lost",
        /// One answer never comes.
        Hangs = "host hangs for a moment",
        /// No answer comes any more, until somebody goes there.
        Dead = "host hangs for good",
        /// The process ends at once.
        Killed = "process killed",
        /// The process stands still, and goes on when everybody has given it up.
        Paused = "process stopped and continued later",
        /// What was not synced is gone.
        PowerCut = "power cut here",
        /// The device's power fails while it works.
        DevicePowerCut = "power cut there",
        /// The device's file system has no room.
        DiskFullThere = "disk full on the device",
        /// The database's file system has no room.
        DiskFullHere = "disk full here",
        /// The keyring is locked.
        KeyringLocked = "keyring locked",
        /// The keyring takes its time.
        KeyringSlow = "keyring slow",
        /// The keyring answers errors.
        KeyringFails = "keyring answers errors",
        /// Another program changes the file.
        OtherWriter = "file changed by another writer",
        /// A configuration manager writes the file that it knows.
        PutBack = "file put back by a configuration manager",
        /// Nobody may write the file.
        ReadOnly = "file made read-only",
        /// Another host answers, or the host was installed anew.
        HostKey = "host key changed between stages",
        /// The server refuses the key that stands in the file.
        RefusesKey = "sshd accepts the file but refuses the key",
        /// The server accepts a key that does not stand in the file.
        AcceptsOld = "sshd still accepts the old key after the removal",
        /// The server is away for a moment, and every connection with it.
        Restarted = "sshd restarted",
        /// The clock of this machine is set back.
        ClockHere = "clock set back here",
        /// The clock of the device is set back.
        ClockThere = "clock set back there",
        /// The account runs no commands any more.
        NoLogin = "shell changed to nologin",
        /// Two devices have the same home.
        SharedHome = "home shared by two devices",
        /// The file's label would change.
        Label = "SELinux label",
    }
}

list! {
    /// How a change is made in a test.
    Variant {
        /// Two-phase, by commands; the second of two devices is hit.
        Shell = "by commands",
        /// Two-phase, by SFTP; the second of two devices is hit.
        Sftp = "by SFTP",
        /// Device by device, by commands; the first of two devices is hit.
        OneByOne = "device by device",
    }
}

list! {
    /// What becomes of the change.
    Ends {
        /// It comes to its end all the same.
        Done = "done",
        /// It is taken back by itself; every device is as before.
        Back = "rolled back",
        /// It stops and says why, and can be taken up.
        Stopped = "stopped",
        /// It stops and says why before anything is written.
        Refused = "refused",
    }
}

/// A cell.
#[derive(Debug, Clone, Copy)]
pub enum Cell {
    /// A test shows how it ends.
    Test(&'static [(Variant, Ends)]),
    /// It can't happen, for this reason.
    CannotHappen(&'static str),
    /// It can't be tested here, for this reason.
    NotHere(&'static str),
}

/// A column with its cells.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// What goes wrong.
    pub fault: Fault,
    /// The module of its tests, each named after its stage.
    pub module: &'static str,
    /// A cell for each stage.
    pub cells: &'static [(Stage, Cell)],
}

impl Column {
    fn cells_of(&self, stage: Stage) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |(of, _)| *of == stage).map(|(_, cell)| cell)
    }
}

/// Names the pairs of fault and stage that have no cell, or more than one.
pub fn gaps(columns: &[Column]) -> Vec<String> {
    let pairs = Fault::ALL.iter().flat_map(|fault| Stage::ALL.iter().map(move |stage| (*fault, *stage)));
    pairs
        .filter_map(|(fault, stage)| {
            let of = columns.iter().filter(|column| column.fault == fault);
            let count = of.flat_map(|column| column.cells_of(stage)).count();
            (count != 1).then(|| format!("{fault} × {stage}: {count} cells"))
        })
        .collect()
}

/// How many tests the matrix has, and how many runs they make.
pub fn count(columns: &[Column]) -> (usize, usize) {
    let cells = columns.iter().flat_map(|column| column.cells);
    let runs = cells.filter_map(|(_, cell)| match cell {
        Cell::Test(runs) => Some(runs.len()),
        _ => None,
    });
    runs.fold((0, 0), |(tests, all), runs| (tests + 1, all + runs))
}

/// Writes the matrix as it stands in the documentation.
pub fn table(columns: &[Column]) -> String {
    let mut text = String::from("| fault | tests |");
    for stage in Stage::ALL {
        let _ = write!(text, " {stage} |");
    }
    text.push_str("\n|---|---|");
    text.push_str(&"---|".repeat(Stage::ALL.len()));
    let mut reasons = Vec::new();
    for fault in Fault::ALL {
        let Some(column) = columns.iter().find(|column| column.fault == *fault) else { continue };
        let module = column.module.split_once("::").map_or(column.module, |(_, module)| module);
        let _ = write!(text, "\n| {fault} | `{module}` |");
        for stage in Stage::ALL {
            let written = column.cells_of(*stage).next().map(|cell| cell_text(cell, &mut reasons));
            let _ = write!(text, " {} |", written.unwrap_or_default());
        }
    }
    text.push('\n');
    for (number, reason) in reasons.iter().enumerate() {
        let _ = write!(text, "\n{}. {reason}", number + 1);
    }
    let (tests, runs) = count(columns);
    let _ = write!(text, "\n\n{tests} tests, {runs} changes with a fault in them.\n");
    text
}

fn cell_text(cell: &Cell, reasons: &mut Vec<&'static str>) -> String {
    let mut numbered = |reason: &'static str| match reasons.iter().position(|known| *known == reason) {
        Some(index) => index + 1,
        None => {
            reasons.push(reason);
            reasons.len()
        }
    };
    match cell {
        Cell::CannotHappen(reason) => format!("– ({})", numbered(reason)),
        Cell::NotHere(reason) => format!("not here ({})", numbered(reason)),
        Cell::Test([]) => String::new(),
        Cell::Test([(_, usual), others @ ..]) => {
            let others = others.iter().filter(|(_, end)| end != usual);
            let others: Vec<String> = others.map(|(variant, end)| format!("{variant}: {end}")).collect();
            if others.is_empty() { usual.to_string() } else { format!("{usual} ({})", others.join(", ")) }
        }
    }
}
