//! What a write that was cut leaves beside the file, and how it is removed without losing a byte.

use sha2::{Digest as _, Sha256};

use super::{
    super::{RemoteError, Session, files::FileError},
    client::{Content, Fault, Sftp},
    temporary_beginning, within_stage,
};

/// Longer names of files are left out of the names of temporary ones, which a file system limits to 255 bytes.
const LONGEST_NAME: usize = 100;

/// What the second name of a replaced file says: what it held when it was read, and what it was called.
///
/// A cut may come between the rename and the look at what somebody appended at the last moment; only this name tells then
/// what was appended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SecondName<'a> {
    length: usize,
    checksum: String,
    name: &'a str,
}

impl<'a> SecondName<'a> {
    /// The name for a file that holds these bytes.
    pub(super) fn of(expected: &[u8], name: &'a str) -> Self {
        let name = if name.len() > LONGEST_NAME { "" } else { name };
        Self { length: expected.len(), checksum: checksum(expected), name }
    }

    /// The text, behind the beginning of all names of one write.
    pub(super) fn text(&self, beginning: &str, number: u8) -> String {
        format!("{beginning}.{}.{}-{number}-{}.old", self.length, self.checksum, self.name)
    }

    fn parse(text: &'a str) -> Option<Self> {
        let (_, rest) = text.strip_suffix(".old")?.split_once('.')?;
        let (length, rest) = rest.split_once('.')?;
        let (checksum, rest) = rest.split_once('-')?;
        let (_, name) = rest.split_once('-')?;
        Some(Self { length: length.parse().ok()?, checksum: checksum.to_owned(), name })
    }

    /// What the bytes hold besides those that were read; all of them where these were changed.
    fn surplus<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        match bytes.split_at_checked(self.length) {
            Some((read, surplus)) if checksum(read) == self.checksum => surplus,
            _ => bytes,
        }
    }
}

fn checksum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes).get(..8).unwrap_or_default())
}

/// Removes the temporary files with this mark that a cut or a power failure left in these directories.
///
/// A second name of a replaced file stays where it holds something that was appended or changed at the last moment and stands
/// nowhere else: it is the only copy. It is not written back, since somebody may have taken it out on purpose since.
///
/// # Errors
///
/// No connection.
pub(in super::super) async fn clean(session: &Session, directories: &[String], mark: &str) -> Result<usize, FileError> {
    let beginning = temporary_beginning(mark.trim_end_matches('-'));
    within_stage(session, async {
        let sftp = Sftp::open(session).await?;
        let mut removed = 0;
        for directory in directories {
            let names = match sftp.names(&format!("{directory}/")).await {
                Ok(names) => names,
                Err(Fault::Lost(source)) => return Err(source.into()),
                Err(_) => continue,
            };
            let ours = names.into_iter().filter(|name| {
                name.starts_with(&beginning)
                    && (name.ends_with(".new") || name.ends_with(".old"))
                    && !name.contains('/')
            });
            for name in ours {
                if name.ends_with(".old") && !is_superfluous(&sftp, directory, &name, &beginning).await? {
                    tracing::warn!(directory, name, "a temporary file holds the only copy of a change and is kept");
                    continue;
                }
                match sftp.remove(&format!("{directory}/{name}")).await {
                    Ok(()) => removed += 1,
                    Err(Fault::Lost(source)) => return Err(source.into()),
                    Err(_) => {}
                }
            }
        }
        Ok(removed)
    })
    .await
}

/// Whether nothing would be lost with a second name of a replaced file.
async fn is_superfluous(sftp: &Sftp<'_>, directory: &str, name: &str, beginning: &str) -> Result<bool, RemoteError> {
    // The shell way's own names say nothing of this, and its program looks back before it ends, whatever comes.
    let Some(said) = name.strip_prefix(beginning).and_then(SecondName::parse) else {
        return Ok(true);
    };
    let read = async |name: &str| match sftp.content(&format!("{directory}/{name}")).await {
        Ok(Content::Whole(bytes)) => Ok(Some(bytes)),
        Err(Fault::Lost(source)) => Err(source),
        Ok(Content::TooLarge | Content::Changed) | Err(_) => Ok(None),
    };
    let Some(bytes) = read(name).await? else {
        return Ok(false);
    };
    let surplus = said.surplus(&bytes);
    if surplus.is_empty() {
        return Ok(true);
    }
    if said.name.is_empty() {
        return Ok(false);
    }
    let live = read(said.name).await?;
    Ok(live.is_some_and(|live| live.windows(surplus.len()).any(|part| part == surplus)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_name_tells_what_was_appended() {
        let said = SecondName::of(b"read\n", "authorized_keys");
        let text = said.text("0a1b", 2);
        assert_eq!(SecondName::parse(&text), Some(SecondName::of(b"read\n", "authorized_keys")), "{text}");
        assert_eq!(said.surplus(b"read\n"), b"", "an unchanged file would be kept for ever");
        assert_eq!(said.surplus(b"read\nmore\n"), b"more\n", "an appended line would be lost");
        assert_eq!(said.surplus(b"rEad\n"), b"rEad\n", "a changed line would be lost");
        assert_eq!(said.surplus(b""), b"", "an emptied file holds nothing to keep");
        let odd = SecondName::of(b"", "a-b.c.old");
        assert_eq!(SecondName::parse(&odd.text("0a", 1)), Some(odd), "another file would be looked into");
        assert_eq!(SecondName::parse("0a1b-123.old"), None, "a name of the shell way");
    }
}
