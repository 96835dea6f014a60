//! Settings: names, defaults and what each may be.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::CatalogueError;
use crate::error::sentence::phrases;

phrases! {
    /// Why a program can't be run after each change.
    UnfitProgram {
        /// Which file it is would depend on where Keywheel was started.
        NotAbsolute = "not-absolute", "it is no absolute path";
        /// There is none.
        Missing = "missing", "there is no such file";
        /// It can't be run.
        NotExecutable = "not-executable", "it is no file that you may run";
    }
}

/// What a setting's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// A whole number within bounds.
    Number {
        /// The lowest.
        from: u32,
        /// The highest.
        to: u32,
        /// What is counted.
        unit: &'static str,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `on` or `off`.
    OnOff,
    /// The absolute path of a program, or nothing.
    Program,
}

impl Allowed {
    /// The words it may be; none where it is something else.
    pub fn choices(self) -> &'static [&'static str] {
        match self {
            Self::Number { .. } | Self::Program => &[],
            Self::Choice(words) => words,
            Self::OnOff => &["on", "off"],
        }
    }

    /// The smallest and the largest number it may be; where it is none, nothing is between them.
    pub(crate) fn bounds(self) -> (u32, u32) {
        match self {
            Self::Number { from, to, .. } => (from, to),
            Self::Choice(_) | Self::OnOff | Self::Program => (0, 0),
        }
    }

    /// What is counted, where it is a number.
    pub fn unit(self) -> Option<&'static str> {
        match self {
            Self::Number { unit, .. } => Some(unit),
            Self::Choice(_) | Self::OnOff | Self::Program => None,
        }
    }
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name on the command line.
    pub name: &'static str,
    /// The label in the window.
    pub label: &'static str,
    /// The value while nothing else is set.
    pub default: &'static str,
    /// What it may be.
    pub allowed: Allowed,
}

/// All settings, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "connection-timeout",
        label: "Connection timeout",
        default: "10",
        allowed: Allowed::Number { from: 1, to: 600, unit: "seconds" },
    },
    Setting {
        name: "stage-timeout",
        label: "Stage timeout",
        default: "30",
        allowed: Allowed::Number { from: 1, to: 3600, unit: "seconds" },
    },
    Setting {
        name: "days-of-undo",
        label: "Days of undo",
        default: "7",
        allowed: Allowed::Number { from: 0, to: 365, unit: "days" },
    },
    Setting {
        name: "theme",
        label: "Theme",
        default: "system",
        allowed: Allowed::Choice(&["system", "light", "dark"]),
    },
    Setting {
        name: "language",
        label: "Language",
        default: "system",
        allowed: Allowed::Choice(&["system", "en", "pt-BR"]),
    },
    Setting { name: "keep-running-in-tray", label: "Keep running in the tray", default: "on", allowed: Allowed::OnOff },
    Setting { name: "notifications", label: "Notifications", default: "on", allowed: Allowed::OnOff },
    Setting {
        name: "program-after-change",
        label: "Program after each change",
        default: "",
        allowed: Allowed::Program,
    },
];

impl Setting {
    /// Finds a setting by name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<&'static Self, CatalogueError> {
        let name = name.trim();
        SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .ok_or_else(|| CatalogueError::SettingUnknown { name: name.to_owned() })
    }

    /// Checks a value, and answers it as it is stored.
    ///
    /// # Errors
    /// The setting can't have it.
    pub fn check(&self, given: &str) -> Result<String, CatalogueError> {
        let value = given.trim();
        let checked = match self.allowed {
            Allowed::Number { from, to, .. } => {
                let number = value.parse::<u32>().ok().filter(|number| (from..=to).contains(number));
                number.map(|number| number.to_string())
            }
            words @ (Allowed::Choice(_) | Allowed::OnOff) => {
                let word = words.choices().iter().find(|word| word.eq_ignore_ascii_case(value));
                word.map(|word| (*word).to_owned())
            }
            Allowed::Program => {
                if !value.is_empty() && (!Path::new(value).is_absolute() || value.chars().any(char::is_control)) {
                    return Err(CatalogueError::Program { path: value.to_owned(), reason: UnfitProgram::NotAbsolute });
                }
                Some(value.to_owned())
            }
        };
        checked.ok_or_else(|| CatalogueError::Setting {
            name: self.name,
            value: value.to_owned(),
            allowed: self.allowed,
        })
    }
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number { from, to, unit } => write!(f, "a number of {unit} from {from} to {to}"),
            Self::Program => f.write_str("the absolute path of a program, or empty"),
            Self::Choice(_) | Self::OnOff => match self.choices() {
                [others @ .., last] if !others.is_empty() => write!(f, "{} or {last}", others.join(", ")),
                words => f.write_str(&words.join(", ")),
            },
        }
    }
}

/// The settings that the core itself goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long a connection may take to be made.
    pub connection_timeout: Duration,
    /// How long a stage may take on a device.
    pub stage_timeout: Duration,
    /// How many days the old key is kept after a change; 0: not at all.
    pub days_of_undo: u32,
    /// The program that is run after each change.
    pub program_after_change: Option<PathBuf>,
}

/// Reads the settings that the core goes by.
///
/// # Errors
/// The database's own failure.
pub fn load(conn: &Connection) -> Result<Settings, CatalogueError> {
    let program = value(conn, Setting::named("program-after-change")?)?;
    Ok(Settings {
        connection_timeout: Duration::from_secs(number(conn, "connection-timeout")?.into()),
        stage_timeout: Duration::from_secs(number(conn, "stage-timeout")?.into()),
        days_of_undo: number(conn, "days-of-undo")?,
        program_after_change: (!program.is_empty()).then(|| PathBuf::from(program)),
    })
}

/// The value of a setting: what was set, else its default. A stored value that is not allowed counts as not set.
pub(crate) fn value(conn: &Connection, setting: &Setting) -> Result<String, CatalogueError> {
    let stored: Option<String> = conn
        .prepare_cached("SELECT value FROM setting WHERE name = ?1")?
        .query_row([setting.name], |row| row.get(0))
        .optional()?;
    Ok(stored.and_then(|value| setting.check(&value).ok()).unwrap_or_else(|| setting.default.to_owned()))
}

/// Sets a setting to a value that was checked.
pub(crate) fn set(conn: &Connection, setting: &Setting, value: &str) -> Result<(), CatalogueError> {
    conn.prepare_cached(
        "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
    )?
    .execute((setting.name, value))?;
    Ok(())
}

fn number(conn: &Connection, name: &'static str) -> Result<u32, CatalogueError> {
    let setting = Setting::named(name)?;
    let value = value(conn, setting)?;
    value.parse().map_err(|_| CatalogueError::Setting { name, value, allowed: setting.allowed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;

    #[test]
    fn every_default_is_allowed_and_every_name_is_one_setting() {
        for setting in SETTINGS {
            assert_eq!(setting.check(setting.default).unwrap(), setting.default, "{}", setting.name);
            assert_eq!(SETTINGS.iter().filter(|other| other.name == setting.name).count(), 1, "{}", setting.name);
        }
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        for (name, bad) in [
            ("connection-timeout", "0"),
            ("connection-timeout", "601"),
            ("connection-timeout", "ten"),
            ("connection-timeout", "-1"),
            ("connection-timeout", ""),
            ("stage-timeout", "1.5"),
            ("days-of-undo", "366"),
            ("theme", "blue"),
            ("theme", ""),
            ("language", "pt"),
            ("notifications", "true"),
        ] {
            let error = Setting::named(name).unwrap().check(bad).unwrap_err();
            assert_eq!(error.code(), "bad-setting", "{name} {bad:?}");
        }
        assert_eq!(Setting::named("days-of-undo").unwrap().check(" 0 ").unwrap(), "0");
        assert_eq!(Setting::named("language").unwrap().check(" PT-br ").unwrap(), "pt-BR");
        assert_eq!(Setting::named("theme").unwrap().allowed.to_string(), "system, light or dark");
        assert_eq!(Setting::named("notifications").unwrap().allowed.to_string(), "on or off");
        assert_eq!(Setting::named("nonsense").unwrap_err().code(), "unknown-setting");
    }

    #[test]
    fn a_program_is_named_by_its_absolute_path_or_not_at_all() {
        let program = Setting::named("program-after-change").unwrap();
        assert_eq!(program.check(" ").unwrap(), "", "nobody could switch it off");
        let absolute = if cfg!(windows) { "C:\\tools\\note it.exe" } else { "/usr/local/bin/note it" };
        assert_eq!(program.check(absolute).unwrap(), absolute);
        for bad in ["note", "./note", "sh -c true", "/bin/\nnote"] {
            assert_eq!(program.check(bad).unwrap_err().code(), "bad-program", "{bad:?}");
        }
    }
}
