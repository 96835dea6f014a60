//! What an error tells a person and a program.
//!
//! Each module has its own error enum; this trait is what the two shells need of all of them, so that a shell never
//! looks at an error's text or variants.

pub(crate) mod sentence;

use serde::{Deserialize, Serialize};

pub use self::sentence::{Arguments, Sentence, Sentences};

/// The kind of answer an error asks for, from which a shell takes its exit status or its screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// What the person gave can't be used; nothing was begun.
    BadInput,
    /// The work was not done; nothing is changed.
    NotDone,
    /// The vault can't be used (keyring or database); nothing was begun.
    Unusable,
    /// The work was broken off after something was written, and can be resumed.
    Interrupted,
}

/// An error with two sentences for people and a stable code for programs.
///
/// `Display` is the first sentence: what happened, to which named thing.
pub trait Explain: std::error::Error {
    /// The stable code, in kebab-case (`host-key-changed`).
    fn code(&self) -> &'static str;
    /// The second sentence: what to do next.
    fn hint(&self) -> String;
    /// The name the user gave the thing it happened to, if there is one.
    fn subject(&self) -> Option<String> {
        None
    }
    /// What kind of answer it asks for.
    fn class(&self) -> Class {
        Class::NotDone
    }
    /// The field of a form that it is about, so that a window shows it there: `name`, `jump_with`.
    fn field(&self) -> Option<&'static str> {
        None
    }
    /// The name of its sentences in a window's catalogue: the code, unless several sentences share that.
    fn sentence(&self) -> &'static str {
        self.code()
    }
    /// What its sentences are filled with, in whatever language.
    fn arguments(&self) -> Arguments {
        Arguments::new()
    }
    /// The error of ours whose sentence stands inside of this one's.
    fn inner(&self) -> Option<&dyn Explain> {
        None
    }
    /// Lists the type's sentences, which a window's catalogue must have; [`sentences!`](crate::sentences) writes this.
    fn sentences(all: &mut Sentences)
    where
        Self: Sized;
}

/// Joins the modules' errors into one type that explains itself as they do.
macro_rules! errors {
    ($($(#[$doc:meta])* $variant:ident($error:ty)),+ $(,)?) => {
        /// Any error of the core: what its operations answer to a shell.
        #[derive(Debug, thiserror::Error)]
        #[non_exhaustive]
        pub enum Error {
            $($(#[$doc])* #[error(transparent)] $variant(#[from] $error)),+
        }

        impl Explain for Error {
            fn code(&self) -> &'static str {
                match self { $(Self::$variant(error) => error.code()),+ }
            }

            fn hint(&self) -> String {
                match self { $(Self::$variant(error) => error.hint()),+ }
            }

            fn subject(&self) -> Option<String> {
                match self { $(Self::$variant(error) => error.subject()),+ }
            }

            fn class(&self) -> Class {
                match self { $(Self::$variant(error) => error.class()),+ }
            }

            fn field(&self) -> Option<&'static str> {
                match self { $(Self::$variant(error) => error.field()),+ }
            }

            fn sentence(&self) -> &'static str {
                match self { $(Self::$variant(error) => error.sentence()),+ }
            }

            fn arguments(&self) -> Arguments {
                match self { $(Self::$variant(error) => error.arguments()),+ }
            }

            fn inner(&self) -> Option<&dyn Explain> {
                match self { $(Self::$variant(error) => error.inner()),+ }
            }

            fn sentences(all: &mut Sentences) {
                $(all.of::<$error>();)+
            }
        }
    };
}

errors! {
    /// Of the database.
    Database(crate::database::DatabaseError),
    /// Of the catalogue.
    Catalogue(crate::catalogue::CatalogueError),
    /// Of a policy's fields.
    Policy(crate::policy::PolicyError),
    /// Of a credential's secret.
    Credential(crate::credential::CredentialError),
    /// Of a CSV file with devices.
    Import(crate::device::ImportError),
    /// Of a `known_hosts` file.
    KnownHosts(crate::device::KnownHostsError),
    /// Of the audit.
    Audit(crate::audit::AuditError),
    /// Of a key.
    Key(crate::key::KeyError),
    /// Of the vault.
    Vault(crate::vault::VaultError),
    /// Of a file that was to be written.
    File(crate::private_file::PrivateFileError),
    /// Of a lock on a credential.
    Lock(crate::lock::LockError),
    /// Of the journal of changes.
    Journal(crate::journal::JournalError),
    /// Of a device that was to be reached.
    Remote(crate::remote::RemoteError),
    /// Of a backup.
    Backup(crate::backup::BackupError),
    /// Of a key change.
    Rotation(crate::rotation::RotationError),
    /// Of a time at which a change is to begin.
    Schedule(crate::schedule::ScheduleError),
    /// Of the system's timer.
    Timer(crate::timer::TimerError),
    /// Of a report that was to be verified.
    Report(crate::report::ReportError),
}

/// All sentences that the core can say of what went wrong or stands in the way.
pub fn sentences() -> Sentences {
    let mut all = Sentences::default();
    all.of::<Error>();
    all.of::<crate::remote::files::FileError>();
    all.of::<crate::rotation::Problem>();
    all.of::<crate::after_change::ProgramError>();
    all
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

/// An error in the one shape that both shells show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct Report {
    /// The stable code.
    pub code: String,
    /// What happened, to which named thing.
    pub message: String,
    /// What to do next.
    pub hint: String,
    /// The name the user gave the thing.
    pub subject: Option<String>,
    /// The field of a form that it is about; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub field: Option<String>,
    /// The name of the two sentences in a catalogue of another language; left out where it is the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub sentence: Option<String>,
    /// What the two sentences are filled with; left out where there is nothing.
    #[serde(default, skip_serializing_if = "Arguments::is_empty")]
    #[ts(optional, as = "Option<Arguments>")]
    pub arguments: Arguments,
    /// The error whose sentence stands inside of this one's; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional = nullable)]
    pub inner: Option<Box<Report>>,
}

impl Report {
    /// Makes a report of what no error stands for; it is said in one language.
    pub fn new(code: &str, message: String, hint: &str) -> Self {
        Self {
            code: code.to_owned(),
            message,
            hint: hint.to_owned(),
            subject: None,
            field: None,
            sentence: None,
            arguments: Arguments::new(),
            inner: None,
        }
    }

    /// Takes what an error says, with all that another language needs to say it.
    pub fn of(error: &dyn Explain) -> Self {
        let sentence = error.sentence();
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            hint: error.hint(),
            subject: error.subject(),
            field: error.field().map(str::to_owned),
            sentence: (sentence != error.code()).then(|| sentence.to_owned()),
            arguments: error.arguments(),
            inner: error.inner().map(|inner| Box::new(Self::of(inner))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalogue::CatalogueError;
    use crate::key::KeyError;
    use crate::remote::RemoteError;
    use crate::remote::files::FileError;
    use crate::remote::program::WriteError;

    #[test]
    fn every_sentence_has_a_name_of_its_own() {
        let all = sentences();
        let mut names = HashSet::new();
        for sentence in all.all() {
            assert!(
                names.insert(sentence.name),
                "two sentences are named {}; give one a name with `as`",
                sentence.name
            );
        }
        assert!(names.contains("bad-port") && names.contains("on-device") && names.contains("strict-modes"));
    }

    #[test]
    fn a_report_carries_what_another_language_fills_its_sentences_with() {
        let refused = RemoteError::AuthenticationRefused { device: "web-1".to_owned(), username: "root".to_owned() };
        let report = Report::of(&refused);
        assert_eq!(report.sentence, None, "its name is the code");
        assert_eq!(report.arguments, arguments(&[("device", "web-1"), ("username", "root")]));
        let full = FileError::Write {
            device: "web-1".to_owned(),
            path: "/root/.ssh/authorized_keys".to_owned(),
            source: WriteError::DiskFull,
        };
        let report = Report::of(&full);
        assert_eq!((report.code.as_str(), report.sentence.as_deref()), ("disk-full", Some("on-device-file")));
        assert_eq!(report.arguments, arguments(&[("device", "web-1"), ("path", "/root/.ssh/authorized_keys")]));
        let inner = report.inner.unwrap();
        assert_eq!((inner.code.as_str(), inner.sentence.as_deref()), ("disk-full", Some("write-disk-full")));
        assert!(report.message.ends_with(&inner.message), "the inner sentence is what the outer one ends with");
        let database = Error::from(CatalogueError::from(rusqlite::Error::QueryReturnedNoRows));
        assert_eq!(Report::of(&database).sentence, None);
        assert!(Report::of(&database).arguments.contains_key("source"), "what passes an error on passes all of it on");
    }

    #[test]
    fn a_list_of_names_is_cut_in_signs_that_every_language_has() {
        let names: Vec<String> = (1..=5).map(|number| format!("web-{number}")).collect();
        let used = Error::from(CatalogueError::DeviceIsJump { device: "gate".to_owned(), devices: names });
        let expected = arguments(&[("device", "gate"), ("devices", "\"web-1\", \"web-2\", \"web-3\" (+2)")]);
        assert_eq!(Report::of(&used).arguments, expected);
    }

    #[test]
    fn a_report_that_an_older_version_stored_is_read() {
        let stored = r#"{"code":"timeout","message":"It did not answer.","hint":"Try again.","subject":null}"#;
        let report: Report = serde_json::from_str(stored).unwrap();
        assert_eq!((report.sentence, report.arguments, report.inner), (None, Arguments::new(), None));
    }

    fn arguments(pairs: &[(&str, &str)]) -> Arguments {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_report_names_its_field_only_where_there_is_one() {
        let port = Report::of(&Error::from(CatalogueError::Port { port: 0 }));
        assert_eq!(port.field.as_deref(), Some("port"), "the window would not know where to show it");
        let wrong = Report::of(&Error::from(KeyError::WrongPassphrase));
        assert_eq!(wrong.field.as_deref(), Some("passphrase"));
        let busy = crate::lock::LockError::Busy { credential: "deploy".to_owned() };
        let json = serde_json::to_value(Report::of(&busy)).unwrap();
        assert_eq!(json.get("field"), None, "what the command line prints would change");
        assert_eq!(serde_json::from_value::<Report>(json).unwrap().field, None, "a stored report must stay readable");
    }
}
