//! Writing one file over SFTP: compare and swap.
//!
//! A complete copy is made and checked beside the file and renamed over it. Just before, the live inode gets a second name,
//! so that what another writer did to it at the last moment is seen afterwards: an appended tail is carried over, anything
//! else puts the inode back.

use std::time::Duration;

use russh_sftp::protocol::{FileAttributes, OpenFlags};
use tokio::time::timeout;

use super::{
    super::{
        RemoteError, Session,
        files::FileError,
        program::{Checksum, FileKind, ProgramError, WriteError, Written},
    },
    client::{Content, DURING, Fault, Sftp},
    left_over::SecondName,
    one_line,
    place::Place,
    temporary_beginning,
};

/// So often a file that somebody else is writing is looked at again.
const LOOKS: usize = 5;

/// How long the removal of temporary files may take; what is left is removed at the next contact.
const TIDY: Duration = Duration::from_secs(5);

/// Writes one file, if it still holds the expected bytes; the path is the one after all links.
///
/// # Errors
///
/// In every case but those of [`FileError::is_unanswered`] the file holds what it held, or what somebody else wrote.
pub(in super::super) async fn write(
    session: &Session,
    path: &str,
    expected: &[u8],
    new: &[u8],
    mark: &str,
) -> Result<Written, FileError> {
    one_line(session, path)?;
    let (directory, name) = match path.rsplit_once('/') {
        Some((directory, name)) if path.starts_with('/') && !name.is_empty() => (directory, name),
        _ => {
            let source = ProgramError::NotRegular { path: path.to_owned() };
            return Err(FileError::Program { device: session.target().name.clone(), source });
        }
    };
    let stage = session.timeouts().stage;
    let sftp = Sftp::open(session).await?;
    let beginning = format!("{}{}", temporary_beginning(mark), hex::encode(rand::random::<[u8; 8]>()));
    let second_name = |number| format!("{directory}/{}", SecondName::of(expected, name).text(&beginning, number));
    let mut swap = Swap {
        sftp: &sftp,
        path,
        directory,
        expected,
        new,
        temporary: format!("{directory}/{beginning}.new"),
        linked: second_name(1),
        replaced: second_name(2),
        keep_replaced: false,
    };
    let slow = || RemoteError::Timeout { device: session.target().name.clone(), during: DURING, after: stage };
    let done = match timeout(stage, swap.prepare()).await {
        // Nothing was asked to be renamed yet, and nothing will be.
        Err(_) => Err(Failure::Not(WriteError::TooLate)),
        Ok(Err(failure)) => Err(failure),
        Ok(Ok(ready)) => match timeout(stage, swap.replace(&ready)).await {
            Err(_) => Err(Failure::Lost(slow())),
            Ok(done) => done,
        },
    };
    if timeout(stage.min(TIDY), swap.tidy_up()).await.is_err() {
        tracing::warn!(device = session.target().name, "temporary files could not be removed in time");
    }
    done.map_err(|failure| match failure {
        Failure::Lost(source) => source.into(),
        Failure::Not(source) => {
            FileError::Write { device: session.target().name.clone(), path: path.to_owned(), source }
        }
    })
}

/// Why a write was not done, or is not known to be done.
#[derive(Debug)]
enum Failure {
    Not(WriteError),
    Lost(RemoteError),
}

impl From<RemoteError> for Failure {
    fn from(source: RemoteError) -> Self {
        Self::Lost(source)
    }
}

impl From<WriteError> for Failure {
    fn from(source: WriteError) -> Self {
        Self::Not(source)
    }
}

/// The copy, ready to be renamed.
#[derive(Debug)]
struct Ready {
    /// The open copy: it stays this file whatever happens to its names.
    handle: String,
    /// Whether the live inode has a second name.
    linked: bool,
}

/// One write under way.
struct Swap<'a> {
    sftp: &'a Sftp<'a>,
    path: &'a str,
    directory: &'a str,
    expected: &'a [u8],
    new: &'a [u8],
    /// The copy.
    temporary: String,
    /// The live inode, before the copy is compared for the last time.
    linked: String,
    /// The live inode at the moment of the rename.
    replaced: String,
    /// Whether `replaced` holds what could not be put back.
    keep_replaced: bool,
}

impl Swap<'_> {
    /// Does all that comes before the rename.
    async fn prepare(&self) -> Result<Ready, Failure> {
        if !self.sftp.offers_posix_rename() {
            let reason = "the SFTP server can't replace a file in one step (posix-rename@openssh.com)".to_owned();
            return Err(WriteError::Failed { reason }.into());
        }
        let original = self.look().await?;
        match self.sftp.open_file(self.path, OpenFlags::WRITE, None).await {
            Ok(handle) => self.sftp.close(handle).await?,
            Err(Fault::Denied) => return Err(WriteError::FileReadOnly.into()),
            Err(fault) => return Err(self.cause(fault).await?),
        }
        self.compare(self.path).await?;
        let handle = self.copy(&original).await?;
        let linked = self.link().await?;
        let now = self.look().await?;
        if !same_metadata(&original, &now) {
            return Err(WriteError::ChangedBySomeoneElse.into());
        }
        self.compare(self.path).await?;
        Ok(Ready { handle, linked })
    }

    /// Makes sure that the path leads to a regular file and through no link.
    async fn look(&self) -> Result<FileAttributes, Failure> {
        let place = Place::find(self.sftp, self.path).await?;
        match place.kind {
            _ if place.path != self.path => Err(WriteError::Moved.into()),
            FileKind::Missing | FileKind::NoDirectory => Err(WriteError::Missing.into()),
            FileKind::Other => Err(WriteError::NotRegular.into()),
            FileKind::UnfollowedLink => Err(WriteError::Moved.into()),
            FileKind::Regular => Ok(place.attributes.unwrap_or_default()),
        }
    }

    /// Makes the copy with the original's mode and owner.
    async fn copy(&self, original: &FileAttributes) -> Result<String, Failure> {
        // Exclusive: a name that somebody put there, also a link, is not followed. Appending: a tail that is carried over
        // later goes to the end, also if somebody has written there.
        let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE | OpenFlags::APPEND;
        let handle = match self.sftp.open_file(&self.temporary, flags, Some(0o600)).await {
            Ok(handle) => handle,
            Err(Fault::Denied) => return Err(WriteError::DirectoryNotWritable.into()),
            Err(fault) => return Err(self.cause(fault).await?),
        };
        if let Err(fault) = self.sftp.write_at(&handle, 0, self.new).await {
            return Err(self.cause(fault).await?);
        }
        let would_change = || WriteError::MetadataWouldChange { what: "mode or owner".to_owned() };
        let (Some(mode), Some(uid), Some(gid)) = (original.permissions, original.uid, original.gid) else {
            return Err(would_change().into());
        };
        let made = self.attributes_of(&handle).await?;
        if made.uid != Some(uid) || made.gid != Some(gid) {
            let owner = FileAttributes { uid: Some(uid), gid: Some(gid), ..FileAttributes::default() };
            self.set(&handle, owner).await?;
        }
        // After the owner, since changing that takes the set-user-ID bits away.
        let permissions = FileAttributes { permissions: Some(mode & 0o7777), ..FileAttributes::default() };
        self.set(&handle, permissions).await?;
        if !same_metadata(original, &self.attributes_of(&handle).await?) {
            return Err(would_change().into());
        }
        self.sftp.sync(&handle).await?;
        match self.sftp.content_of(&handle).await {
            Ok(Content::Whole(bytes)) if bytes == self.new => Ok(handle),
            Ok(_) => Err(WriteError::ChecksumMismatch.into()),
            Err(fault) => Err(self.cause(fault).await?),
        }
    }

    /// Gives the live inode its second name and compares its bytes; `false` where there are no hard links.
    async fn link(&self) -> Result<bool, Failure> {
        if !self.sftp.offers_hard_links() {
            return Ok(false);
        }
        match self.sftp.hard_link(self.path, &self.linked).await {
            Ok(()) => {}
            Err(Fault::Lost(source)) => return Err(source.into()),
            // A file system without hard links, or one where the account may not make them.
            Err(_) => return Ok(false),
        }
        self.compare(&self.linked).await?;
        Ok(true)
    }

    /// Renames, looks at what was replaced, and reads back.
    async fn replace(&mut self, ready: &Ready) -> Result<Written, Failure> {
        let carried_over = if ready.linked {
            // Both requests are under way together, so that the server links and renames without a pause in between: a
            // file that another writer renames over ours just now is linked and found, too.
            let (linked, renamed) = tokio::join!(
                biased;
                self.sftp.hard_link(self.path, &self.replaced),
                self.sftp.posix_rename(&self.temporary, self.path),
            );
            self.renamed(renamed).await?;
            self.sftp.sync_directory(self.directory).await?;
            match linked {
                Ok(()) => {}
                Err(Fault::Lost(source)) => return Err(source.into()),
                Err(_) => self.replaced.clone_from(&self.linked),
            }
            self.look_back(&ready.handle).await?
        } else {
            let renamed = self.sftp.posix_rename(&self.temporary, self.path).await;
            self.renamed(renamed).await?;
            self.sftp.sync_directory(self.directory).await?;
            false
        };
        let bytes = self.steady(self.path).await?.ok_or(WriteError::NoAnswer)?;
        Ok(Written { carried_over, checksum: Checksum::sha256(&bytes), plain_compare: !ready.linked })
    }

    async fn renamed(&self, renamed: Result<(), Fault>) -> Result<(), Failure> {
        match renamed {
            Ok(()) => Ok(()),
            Err(Fault::Denied) => Err(WriteError::DirectoryNotWritable.into()),
            Err(fault) => Err(self.cause(fault).await?),
        }
    }

    /// Looks at the replaced inode: whether somebody appended a tail, which is then carried over.
    async fn look_back(&mut self, handle: &str) -> Result<bool, Failure> {
        let mut found = self.steady(&self.replaced).await?;
        if found.as_deref() == Some(self.new) && self.expected != self.new && self.replaced != self.linked {
            // A server that renamed before it linked: the copy itself was linked.
            self.replaced.clone_from(&self.linked);
            found = self.steady(&self.replaced).await?;
        }
        let mut carried = 0;
        for _ in 0..LOOKS {
            let Some(tail) = found.as_deref().and_then(|bytes| bytes.strip_prefix(self.expected)) else {
                return self.put_back().await;
            };
            let Some(rest) = tail.get(carried..) else {
                return self.put_back().await;
            };
            if rest.is_empty() {
                if carried > 0 {
                    self.sftp.sync(handle).await?;
                }
                return Ok(carried > 0);
            }
            // A tail behind a line without an end would become part of that line.
            let whole = [self.expected, self.new].iter().all(|text| text.last().is_none_or(|byte| *byte == b'\n'));
            if !whole && carried == 0 {
                return self.put_back().await;
            }
            let position = (self.new.len() + carried) as u64;
            match self.sftp.write_at(handle, position, rest).await {
                Ok(()) => {}
                Err(Fault::Lost(source)) => return Err(source.into()),
                Err(_) => return self.put_back().await,
            }
            carried = tail.len();
            found = self.steady(&self.replaced).await?;
        }
        Ok(true)
    }

    /// The bytes of a file that others may be writing; `None` where they can't be had in one piece.
    async fn steady(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        for _ in 0..LOOKS {
            match self.sftp.content(path).await {
                Ok(Content::Whole(bytes)) => return Ok(Some(bytes)),
                // Somebody writes it at this moment.
                Ok(Content::Changed) => {}
                Ok(Content::TooLarge) => return Ok(None),
                Err(Fault::Lost(source)) => return Err(source.into()),
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Puts the replaced inode back: somebody changed it in a way that can't be carried over.
    async fn put_back(&mut self) -> Result<bool, Failure> {
        let live = self.steady(self.path).await?;
        if live.is_some_and(|live| !live.starts_with(self.new)) {
            // Somebody has replaced our file, too; theirs stands, and what they may not have seen is kept.
            self.keep_replaced = true;
            return Err(WriteError::ChangedBySomeoneElse.into());
        }
        match self.sftp.posix_rename(&self.replaced, self.path).await {
            Ok(()) => {
                self.sftp.sync_directory(self.directory).await?;
                Err(WriteError::ChangedBySomeoneElse.into())
            }
            Err(Fault::Lost(source)) => {
                self.keep_replaced = true;
                Err(source.into())
            }
            Err(_) => {
                self.keep_replaced = true;
                Err(WriteError::NoAnswer.into())
            }
        }
    }

    /// Whether a file holds the expected bytes.
    async fn compare(&self, path: &str) -> Result<(), Failure> {
        match self.sftp.content(path).await {
            Ok(Content::Whole(bytes)) if bytes == self.expected => Ok(()),
            Ok(_) => Err(WriteError::ChangedBySomeoneElse.into()),
            Err(Fault::Missing) => Err(WriteError::Missing.into()),
            Err(Fault::Denied) => Err(WriteError::FileUnreadable.into()),
            Err(fault) => Err(self.cause(fault).await?),
        }
    }

    async fn attributes_of(&self, handle: &str) -> Result<FileAttributes, Failure> {
        match self.sftp.attributes_of(handle).await {
            Ok(attributes) => Ok(attributes),
            Err(fault) => Err(self.cause(fault).await?),
        }
    }

    /// Sets what the account may set; the comparison afterwards decides.
    async fn set(&self, handle: &str, attributes: FileAttributes) -> Result<(), Failure> {
        match self.sftp.set_attributes(handle, attributes).await {
            Err(Fault::Lost(source)) => Err(source.into()),
            _ => Ok(()),
        }
    }

    /// What a refusal means; SFTP version 3 has one word for a full disk, a read-only one and everything else, so the file
    /// system is asked.
    async fn cause(&self, fault: Fault) -> Result<Failure, RemoteError> {
        let reason = fault.reason();
        Ok(match fault {
            Fault::Lost(source) => return Err(source),
            Fault::Missing => WriteError::Missing,
            Fault::Denied => WriteError::DirectoryNotWritable,
            Fault::Refused(_) => match self.sftp.space(&format!("{}/", self.directory)).await? {
                Some(space) if space.read_only => WriteError::DirectoryNotWritable,
                Some(space) if space.no_files_left || space.free < self.new.len() as u64 => WriteError::DiskFull,
                _ => WriteError::Failed { reason },
            },
        }
        .into())
    }

    /// Removes what this write made; names that don't stand are no matter.
    async fn tidy_up(&self) {
        let replaced = async {
            if self.keep_replaced {
                return Ok(());
            }
            self.sftp.remove(&self.replaced).await
        };
        let linked = async {
            if self.keep_replaced && self.replaced == self.linked {
                return Ok(());
            }
            self.sftp.remove(&self.linked).await
        };
        let results = tokio::join!(self.sftp.remove(&self.temporary), linked, replaced);
        for result in [results.0, results.1, results.2] {
            if let Err(fault @ (Fault::Denied | Fault::Refused(_))) = result {
                let device = &self.sftp.session().target().name;
                tracing::warn!(device, reason = fault.reason(), "a temporary file could not be removed");
            }
        }
    }
}

/// Whether mode, owner and group are the same.
fn same_metadata(one: &FileAttributes, other: &FileAttributes) -> bool {
    (one.permissions, one.uid, one.gid) == (other.permissions, other.uid, other.gid)
}
