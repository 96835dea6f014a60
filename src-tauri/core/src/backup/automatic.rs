//! Backups that are written by themselves: after each change, where a recipient and a folder are set.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use super::create::Asked;
use super::file::{Lock, Recipients};
use crate::catalogue::CatalogueError;
use crate::catalogue::setting::{self, Setting};
use crate::error::{Error, Explain};
use crate::keywheel::Keywheel;

/// How many backups of its own Keywheel keeps in the folder.
const KEPT: usize = 10;

/// What the settings ask for.
#[derive(Debug)]
pub(super) struct Wanted {
    recipients: Recipients,
    folder: PathBuf,
}

/// Reads whether backups are to be written, for whom and where.
pub(super) fn wanted(conn: &Connection) -> Result<Option<Wanted>, CatalogueError> {
    let recipients = setting::value(conn, Setting::named("backup-recipient")?)?.parse().ok();
    let folder = setting::value(conn, Setting::named("backup-folder")?)?;
    let folder = (!folder.is_empty()).then(|| PathBuf::from(folder));
    Ok(recipients.zip(folder).map(|(recipients, folder)| Wanted { recipients, folder }))
}

impl Keywheel {
    /// Writes a backup if the settings ask for one. Whatever comes of it, what was done before it is done: a failure is noted,
    /// and told as a warning.
    pub(crate) async fn back_up_by_itself(&self) {
        if let Err(error) = self.try_to_back_up().await {
            tracing::warn!("The backup after this was not written. {error} {}", error.hint());
        }
    }

    async fn try_to_back_up(&self) -> Result<(), Error> {
        let Some(Wanted { recipients, folder }) = self.read(wanted).await? else { return Ok(()) };
        let vault = self.database().vault_id();
        let name = free_name(&folder, &vault, self.now());
        let to = folder.join(&name);
        let created = self.create_backup_asked(&to, Lock::Recipients(recipients), Asked::ByItself).await?;
        if created.missing.is_empty() {
            self.database()
                .run(move |_| {
                    remove_surplus(&folder, &vault, &name);
                    Ok::<_, Error>(())
                })
                .await?;
        } else {
            let names = created.missing.join(", ");
            tracing::warn!("The backup after this lacks the secrets of {names}, which the keyring does not hold.");
        }
        Ok(())
    }
}

fn prefix(vault: &str) -> String {
    format!("keywheel-{}-", vault.chars().take(8).collect::<String>())
}

/// The name for a backup of this vault and time; names sort as their times do.
fn name(vault: &str, at: Timestamp) -> String {
    format!("{}{}.age", prefix(vault), at.strftime("%Y%m%dT%H%M%S%3fZ"))
}

/// Two changes may end within one millisecond.
fn free_name(folder: &Path, vault: &str, at: Timestamp) -> String {
    let later = |milliseconds| at.checked_add(jiff::SignedDuration::from_millis(milliseconds)).unwrap_or(at);
    let mut names = (0..1000).map(|milliseconds| name(vault, later(milliseconds)));
    names.find(|name| folder.join(name).symlink_metadata().is_err()).unwrap_or_else(|| name(vault, at))
}

/// Which of a folder's names are those of backups of this vault that are older than the newest and too many.
fn surplus(mut names: Vec<String>, vault: &str, newest: &str) -> Vec<String> {
    let (prefix, length) = (prefix(vault), newest.len());
    let ours = |name: &str| {
        let time = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix("Z.age"));
        name.len() == length && time.is_some_and(|time| time.chars().all(|c| c.is_ascii_digit() || c == 'T'))
    };
    names.retain(|name| ours(name) && name.as_str() < newest);
    names.sort_unstable();
    let more = (names.len() + 1).saturating_sub(KEPT);
    names.truncate(more);
    names
}

fn remove_surplus(folder: &Path, vault: &str, newest: &str) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let plain = files.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let names = plain.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    for name in surplus(names, vault, newest) {
        if let Err(error) = fs::remove_file(folder.join(&name)) {
            tracing::warn!(%error, "the old backup {name} could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAULT: &str = "0123456789abcdef0123456789abcdef";

    fn at(day: u8) -> String {
        name(VAULT, format!("2026-11-{day:02}T10:00:00.5Z").parse().unwrap())
    }

    #[test]
    fn the_last_ten_are_kept() {
        assert_eq!(at(1), "keywheel-01234567-20261101T100000500Z.age");
        let names: Vec<String> = (1..=12).map(at).collect();
        assert_eq!(surplus(names.clone(), VAULT, &at(12)), [at(1), at(2)]);
        assert!(surplus(names[..10].to_vec(), VAULT, &at(10)).is_empty());
    }

    #[test]
    fn a_file_of_anybody_else_is_never_chosen() {
        let mut names: Vec<String> = (1..=12).map(at).collect();
        let others = [
            "keywheel-99999999-20260101T100000500Z.age",
            "keywheel-01234567-20260101T100000500Z.age.copy",
            "keywheel-01234567-2026-my-own-backup.age",
            "keywheel-01234567-AAAAAAAAAAAAAAAAAAZ.age",
            "keywheel-01234567-.age",
            "0.age",
        ];
        names.extend(others.map(str::to_owned));
        assert_eq!(surplus(names, VAULT, &at(12)), [at(1), at(2)]);
    }

    #[test]
    fn what_a_clock_in_the_future_named_is_not_removed_for_it() {
        let names: Vec<String> = (1..=20).map(at).collect();
        assert_eq!(surplus(names, VAULT, &at(5)), Vec::<String>::new(), "only older ones are surplus");
    }

    #[test]
    fn two_backups_of_one_moment_have_two_names() {
        let dir = tempfile::tempdir().unwrap();
        let now = "2026-11-24T10:00:00.5Z".parse().unwrap();
        let first = free_name(dir.path(), VAULT, now);
        fs::write(dir.path().join(&first), b"x").unwrap();
        let second = free_name(dir.path(), VAULT, now);
        assert!(second > first, "{first} {second}");
    }
}
