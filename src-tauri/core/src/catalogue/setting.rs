//! Settings: names, defaults and what each may be.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension};

use super::CatalogueError;
use crate::backup::Recipients;
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
    /// `on`, `off`, or until the end of a day.
    OnOffUntil,
    /// Public halves of age keys, or nothing.
    Recipients,
    /// The whole path of a folder, or nothing.
    Folder,
}

/// Whether automatic changes are paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// They are not.
    Off,
    /// They are, until a person says otherwise.
    On,
    /// They are, until this local day is over.
    Until(Date),
}

impl Pause {
    /// Reads a setting's value.
    pub fn read(value: &str) -> Option<Self> {
        match value.to_ascii_lowercase().as_str() {
            "off" => Some(Self::Off),
            "on" => Some(Self::On),
            date => Date::strptime("%Y-%m-%d", date).ok().map(Self::Until),
        }
    }

    /// Whether they are paused at a time.
    pub fn holds(self, now: Timestamp, zone: &TimeZone) -> bool {
        match self {
            Self::Off => false,
            Self::On => true,
            Self::Until(day) => zone.to_datetime(now).date() <= day,
        }
    }
}

impl std::fmt::Display for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On => f.write_str("on"),
            Self::Until(day) => day.fmt(f),
        }
    }
}

impl Allowed {
    /// The words it may be; none where it is something else.
    pub fn choices(self) -> &'static [&'static str] {
        match self {
            Self::Number { .. } | Self::Recipients | Self::Folder | Self::Program => &[],
            Self::Choice(words) => words,
            Self::OnOff | Self::OnOffUntil => &["on", "off"],
        }
    }

    /// The smallest and the largest number it may be; where it is none, nothing is between them.
    pub(crate) fn bounds(self) -> (u32, u32) {
        match self {
            Self::Number { from, to, .. } => (from, to),
            Self::Choice(_) | Self::OnOff | Self::OnOffUntil | Self::Recipients | Self::Folder | Self::Program => {
                (0, 0)
            }
        }
    }

    /// What is counted, where it is a number.
    pub fn unit(self) -> Option<&'static str> {
        match self {
            Self::Number { unit, .. } => Some(unit),
            Self::Choice(_) | Self::OnOff | Self::OnOffUntil | Self::Recipients | Self::Folder | Self::Program => None,
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
        name: "pause-automatic-changes",
        label: "Pause automatic changes",
        default: "off",
        allowed: Allowed::OnOffUntil,
    },
    Setting { name: "backup-recipient", label: "Recipient", default: "", allowed: Allowed::Recipients },
    Setting { name: "backup-folder", label: "Folder", default: "", allowed: Allowed::Folder },
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
            Allowed::OnOffUntil => Pause::read(value).map(|pause| pause.to_string()),
            words @ (Allowed::Choice(_) | Allowed::OnOff) => {
                let word = words.choices().iter().find(|word| word.eq_ignore_ascii_case(value));
                word.map(|word| (*word).to_owned())
            }
            Allowed::Recipients | Allowed::Folder if value.is_empty() => Some(String::new()),
            Allowed::Recipients => value.parse::<Recipients>().ok().map(|recipients| recipients.to_string()),
            Allowed::Folder => Path::new(value).is_absolute().then(|| value.to_owned()),
            Allowed::Program => {
                if !value.is_empty() && (!Path::new(value).is_absolute() || value.chars().any(char::is_control)) {
                    return Err(CatalogueError::Program { path: value.to_owned(), reason: UnfitProgram::NotAbsolute });
                }
                Some(value.to_owned())
            }
        };
        let value = value.to_owned();
        checked.ok_or(match self.allowed {
            Allowed::Recipients => CatalogueError::SettingRecipient { value },
            Allowed::Folder => CatalogueError::SettingFolder { value },
            allowed => CatalogueError::Setting { name: self.name, value, allowed },
        })
    }
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number { from, to, unit } => write!(f, "a number of {unit} from {from} to {to}"),
            Self::Program => f.write_str("the absolute path of a program, or empty"),
            Self::OnOffUntil => f.write_str("on, off or a date like 2026-11-24"),
            Self::Choice(_) | Self::OnOff => match self.choices() {
                [others @ .., last] if !others.is_empty() => write!(f, "{} or {last}", others.join(", ")),
                words => f.write_str(&words.join(", ")),
            },
            Self::Recipients => f.write_str("recipients of age (age1…) with spaces between them, or nothing"),
            Self::Folder => f.write_str("the whole path of a folder, or nothing"),
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
    /// Whether automatic changes are paused.
    pub pause: Pause,
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
        pause: pause(conn)?,
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

fn pause(conn: &Connection) -> Result<Pause, CatalogueError> {
    let value = value(conn, Setting::named("pause-automatic-changes")?)?;
    // What is stored was checked; should it be unreadable all the same, nothing begins by itself.
    Ok(Pause::read(&value).unwrap_or(Pause::On))
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
            ("pause-automatic-changes", ""),
            ("pause-automatic-changes", "2026-13-01"),
            ("pause-automatic-changes", "2026-11-24T12:00"),
            ("pause-automatic-changes", "tomorrow"),
            ("backup-recipient", "AGE-SECRET-KEY-1"),
            ("backup-folder", "backups"),
        ] {
            let error = Setting::named(name).unwrap().check(bad).unwrap_err();
            assert_eq!(error.code(), "bad-setting", "{name} {bad:?}");
        }
        assert_eq!(Setting::named("days-of-undo").unwrap().check(" 0 ").unwrap(), "0");
        assert_eq!(Setting::named("language").unwrap().check(" PT-br ").unwrap(), "pt-BR");
        assert_eq!(Setting::named("theme").unwrap().allowed.to_string(), "system, light or dark");
        assert_eq!(Setting::named("notifications").unwrap().allowed.to_string(), "on or off");
        let pause = Setting::named("pause-automatic-changes").unwrap();
        assert_eq!(
            (pause.check("ON").unwrap(), pause.check(" 2026-11-24 ").unwrap()),
            ("on".into(), "2026-11-24".into())
        );
        assert_eq!(Setting::named("backup-folder").unwrap().check(" ").unwrap(), "", "it can be unset");
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

    #[test]
    fn a_pause_until_a_day_lasts_until_that_day_is_over_where_the_person_is() {
        let zone = TimeZone::get("America/Sao_Paulo").unwrap();
        let pause = Pause::read("2026-11-24").unwrap();
        for (now, paused) in
            [("2026-11-23T12:00:00Z", true), ("2026-11-25T02:59:59Z", true), ("2026-11-25T03:00:00Z", false)]
        {
            assert_eq!(pause.holds(now.parse().unwrap(), &zone), paused, "{now}");
        }
        assert!(Pause::On.holds(Timestamp::MAX, &zone) && !Pause::Off.holds(Timestamp::MIN, &zone));
    }
}
