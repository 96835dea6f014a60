//! One SFTP channel: its requests, each with a timeout, and what its refusals mean.

use std::{collections::HashMap, time::Duration};

use russh_sftp::{
    client::{Config, RawSftpSession, error::Error},
    protocol::{File, FileAttributes, OpenFlags, Packet, StatusCode},
};
use tokio::time::{sleep, timeout};

use super::super::{During, RemoteError, Session, program::DirectoryState};
use super::place::path_of;
use super::watched::{Ended, Watched};

/// What was under way when a connection ended.
pub(super) const DURING: During = During::Sftp;

/// So long after the end of a channel it is known whether its connection has ended, too.
const SETTLES: Duration = Duration::from_millis(100);

/// No file of keys is larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Every server takes packets of this much data (draft-ietf-secsh-filexfer-02, section 3).
const CHUNK: usize = 32 * 1024;

/// More names than any directory of keys has; a server could name them for ever.
const MOST_NAMES: usize = 100_000;

const POSIX_RENAME: &str = "posix-rename@openssh.com";
const HARD_LINK: &str = "hardlink@openssh.com";
const SYNC: &str = "fsync@openssh.com";
const SPACE: &str = "statvfs@openssh.com";
const EXPAND: &str = "expand-path@openssh.com";

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// There is no such file.
    Missing,
    /// The account has no right to it.
    Denied,
    /// The server refused for another reason, in its own words.
    Refused(String),
    /// No answer: the request may or may not have been carried out.
    Lost(RemoteError),
}

impl Fault {
    /// The reason as a part of a sentence.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Missing => "no such file or directory".to_owned(),
            Self::Denied => "permission denied".to_owned(),
            Self::Refused(words) => format!("the SFTP server answers \"{words}\""),
            Self::Lost(source) => source.to_string(),
        }
    }
}

/// The bytes of a file.
#[derive(Debug)]
pub(super) enum Content {
    /// All of them, from one unchanged file.
    Whole(Vec<u8>),
    /// The file is larger than is read.
    TooLarge,
    /// It was written while it was read.
    Changed,
}

/// The file system that a file stands in.
#[derive(Debug)]
pub(super) struct Space {
    /// The bytes left for the account.
    pub(super) free: u64,
    /// Whether the account can make no further file.
    pub(super) no_files_left: bool,
    /// Whether it is mounted read-only.
    pub(super) read_only: bool,
}

/// What can be known of the account's rights.
#[derive(Debug)]
pub(super) struct Account {
    root: bool,
    /// Owner and group of its home.
    home: Option<(u32, u32)>,
}

impl Account {
    /// Whether the account may make files in a directory, as far as modes tell; where they don't, yes: the write itself
    /// tells then.
    pub(super) fn may_write(&self, directory: &DirectoryState) -> bool {
        let mode = directory.mode.0;
        match self.home {
            _ if self.root => true,
            // A home that is root's says nothing about the account's number.
            None | Some((0, _)) => mode & 0o222 != 0,
            Some((owner, _)) if owner == directory.owner => mode & 0o200 != 0,
            Some((_, group)) if group == directory.group => mode & 0o020 != 0,
            // The account may be in the directory's group.
            Some(_) => mode & 0o022 != 0,
        }
    }
}

/// An open SFTP channel.
pub(super) struct Sftp<'a> {
    session: &'a Session,
    raw: RawSftpSession,
    ended: Ended,
    extensions: HashMap<String, String>,
}

impl<'a> Sftp<'a> {
    /// Opens the channel and agrees on the version.
    pub(super) async fn open(session: &'a Session) -> Result<Self, RemoteError> {
        let stage = session.timeouts().stage;
        let (stream, ended) = Watched::new(session.sftp_stream().await?);
        let request_timeout_secs = stage.as_secs().saturating_add(1);
        let raw = RawSftpSession::new_with_config(stream, Config { request_timeout_secs, ..Config::default() });
        let (device, username) = (session.target().name.clone(), session.username().to_owned());
        let version = tokio::select! {
            biased;
            version = timeout(stage, raw.init()) => version.map(Result::ok),
            () = ended.wait() => Ok(None),
        };
        if matches!(version, Ok(None)) && session.is_open() {
            // A connection that is cut ends its channels a moment before itself.
            sleep(SETTLES).await;
        }
        match version {
            Ok(Some(version)) if version.version == 3 => {
                Ok(Self { session, raw, ended, extensions: version.extensions })
            }
            Err(_) => Err(RemoteError::Timeout { device, during: During::OpeningSftp, after: stage }),
            Ok(None) if !session.is_open() => Err(RemoteError::Cut { device, during: During::OpeningSftp }),
            // A forced command that is no SFTP server, or a version nobody speaks.
            Ok(_) => Err(RemoteError::NoSftp { device, username }),
        }
    }

    /// The session that the channel belongs to.
    pub(super) fn session(&self) -> &'a Session {
        self.session
    }

    /// Whether the server can replace a file in one step.
    pub(super) fn offers_posix_rename(&self) -> bool {
        self.extensions.contains_key(POSIX_RENAME)
    }

    /// Whether the server makes hard links.
    pub(super) fn offers_hard_links(&self) -> bool {
        self.extensions.contains_key(HARD_LINK)
    }

    /// The account's home: from its entry where the server tells, since an SFTP server may start elsewhere (`-d`).
    pub(super) async fn home(&self) -> Result<String, RemoteError> {
        if self.extensions.contains_key(EXPAND)
            // With the name: a mere `~` is where the server starts.
            && let Ok(names) = self.kept(self.raw.expand_path(format!("~{}", self.session.username()))).await?
            && let Some(home) = names.files.into_iter().next()
            && let Ok(attributes) = self.kept(self.raw.lstat(home.filename.as_str())).await?
            && attributes.attrs.is_dir()
        {
            return Ok(home.filename);
        }
        let names = self.kept(self.raw.realpath(".")).await?.ok();
        Ok(names.and_then(|names| names.files.into_iter().next()).map_or_else(|| "/".to_owned(), |home| home.filename))
    }

    /// The absolute form of a path that may start at the account's home.
    pub(super) async fn absolute(&self, path: &str) -> Result<String, RemoteError> {
        if path.starts_with('/') {
            return Ok(path.to_owned());
        }
        Ok(path_of(&self.home().await?, path))
    }

    /// What the home tells of the account.
    pub(super) async fn account(&self, home: &str) -> Result<Account, RemoteError> {
        let attributes = self.kept(self.raw.stat(home)).await?.ok().map(|answer| answer.attrs);
        let home = attributes.and_then(|attributes| attributes.uid.zip(attributes.gid));
        Ok(Account { root: self.session.username() == "root", home })
    }

    /// What stands at a path, links not followed.
    pub(super) async fn attributes(&self, path: &str) -> Result<FileAttributes, Fault> {
        Ok(self.ask(self.raw.lstat(path)).await?.attrs)
    }

    /// What an open file is.
    pub(super) async fn attributes_of(&self, handle: &str) -> Result<FileAttributes, Fault> {
        Ok(self.ask(self.raw.fstat(handle)).await?.attrs)
    }

    /// Gives an open file a mode or an owner.
    pub(super) async fn set_attributes(&self, handle: &str, attributes: FileAttributes) -> Result<(), Fault> {
        self.ask(self.raw.fsetstat(handle, attributes)).await.map(drop)
    }

    /// Where a symbolic link leads.
    pub(super) async fn link_target(&self, path: &str) -> Result<String, Fault> {
        let names = self.ask(self.raw.readlink(path)).await?;
        names.files.into_iter().next().map(|file| file.filename).ok_or(Fault::Missing)
    }

    /// The names in a directory.
    pub(super) async fn names(&self, directory: &str) -> Result<Vec<String>, Fault> {
        Ok(self.entries(directory).await?.into_iter().map(|file| file.filename).collect())
    }

    /// How many names a file has, where the server's long listing tells, as OpenSSH's does: version 3 has no attribute for
    /// it. Beside a second name that a write of ours left, nothing is told.
    pub(super) async fn link_count(&self, directory: &str, name: &str) -> Result<Option<u32>, RemoteError> {
        let entries = match self.entries(directory).await {
            Ok(entries) => entries,
            Err(Fault::Lost(source)) => return Err(source),
            Err(_) => return Ok(None),
        };
        if entries.iter().any(|entry| entry.filename.starts_with(".kw-")) {
            return Ok(None);
        }
        let listing = entries.into_iter().find(|entry| entry.filename == name).map(|entry| entry.longname);
        Ok(listing.as_deref().and_then(links_in).filter(|count| *count > 0))
    }

    async fn entries(&self, directory: &str) -> Result<Vec<File>, Fault> {
        let handle = self.ask(self.raw.opendir(directory)).await?.handle;
        let mut entries = Vec::new();
        let ended = loop {
            match self.answered(self.raw.readdir(handle.as_str())).await {
                Ok(Ok(part)) if part.files.is_empty() || entries.len() > MOST_NAMES => break Ok(()),
                Ok(Ok(part)) => entries.extend(part.files),
                Ok(Err((StatusCode::Eof, _))) => break Ok(()),
                Ok(Err(refusal)) => break Err(fault(refusal)),
                Err(lost) => break Err(Fault::Lost(lost)),
            }
        };
        self.close(handle).await?;
        ended.map(|()| entries)
    }

    /// Opens a file.
    pub(super) async fn open_file(&self, path: &str, flags: OpenFlags, mode: Option<u32>) -> Result<String, Fault> {
        let attributes = FileAttributes { permissions: mode, ..FileAttributes::default() };
        Ok(self.ask(self.raw.open(path, flags, attributes)).await?.handle)
    }

    /// Closes a file or directory; that a server can't do it changes nothing.
    pub(super) async fn close(&self, handle: String) -> Result<(), RemoteError> {
        self.kept(self.raw.close(handle)).await.map(drop)
    }

    /// Reads a whole file.
    pub(super) async fn content(&self, path: &str) -> Result<Content, Fault> {
        let handle = self.open_file(path, OpenFlags::READ, None).await?;
        let content = self.content_of(&handle).await;
        self.close(handle).await?;
        content
    }

    /// Reads an open file from its beginning.
    ///
    /// Its size and time are compared before and after, since a file that is read in parts may be written in between.
    pub(super) async fn content_of(&self, handle: &str) -> Result<Content, Fault> {
        let before = self.attributes_of(handle).await?;
        if before.size.is_some_and(|size| size > LARGEST) {
            return Ok(Content::TooLarge);
        }
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            let position = bytes.len() as u64;
            if position > LARGEST {
                return Ok(Content::TooLarge);
            }
            match self.answered(self.raw.read(handle, position, CHUNK as u32)).await? {
                Ok(part) if part.data.is_empty() => break,
                Ok(part) => bytes.extend_from_slice(&part.data),
                Err((StatusCode::Eof, _)) => break,
                Err(refusal) => return Err(fault(refusal)),
            }
        }
        let after = self.attributes_of(handle).await?;
        let unchanged = before.mtime == after.mtime
            && before.size == after.size
            && after.size.is_none_or(|size| size == bytes.len() as u64);
        Ok(if unchanged { Content::Whole(bytes) } else { Content::Changed })
    }

    /// Writes at a position of an open file.
    pub(super) async fn write_at(&self, handle: &str, position: u64, bytes: &[u8]) -> Result<(), Fault> {
        let mut position = position;
        for chunk in bytes.chunks(CHUNK) {
            self.ask(self.raw.write(handle, position, chunk.to_vec())).await?;
            position = position.saturating_add(chunk.len() as u64);
        }
        Ok(())
    }

    /// Writes an open file to the disk, where the server can.
    pub(super) async fn sync(&self, handle: &str) -> Result<(), RemoteError> {
        if self.extensions.contains_key(SYNC) {
            self.kept(self.raw.fsync(handle)).await?.ok();
        }
        Ok(())
    }

    /// Writes a directory's entries to the disk, where the server can: OpenSSH's opens a directory like a file.
    pub(super) async fn sync_directory(&self, directory: &str) -> Result<(), RemoteError> {
        if !self.extensions.contains_key(SYNC) {
            return Ok(());
        }
        match self.open_file(directory, OpenFlags::READ, None).await {
            Ok(handle) => {
                self.sync(&handle).await?;
                self.close(handle).await
            }
            Err(Fault::Lost(source)) => Err(source),
            Err(_) => Ok(()),
        }
    }

    /// Makes a directory.
    pub(super) async fn make_directory(&self, path: &str, mode: u32) -> Result<(), Fault> {
        let attributes = FileAttributes { permissions: Some(mode), ..FileAttributes::default() };
        self.ask(self.raw.mkdir(path, attributes)).await.map(drop)
    }

    /// Removes a file.
    pub(super) async fn remove(&self, path: &str) -> Result<(), Fault> {
        self.ask(self.raw.remove(path)).await.map(drop)
    }

    /// Gives a file a second name.
    pub(super) async fn hard_link(&self, from: &str, to: &str) -> Result<(), Fault> {
        self.extended(HARD_LINK, &[from, to]).await
    }

    /// Renames a file over another one in one step.
    pub(super) async fn posix_rename(&self, from: &str, to: &str) -> Result<(), Fault> {
        self.extended(POSIX_RENAME, &[from, to]).await
    }

    /// The file system of a path, where the server tells.
    pub(super) async fn space(&self, path: &str) -> Result<Option<Space>, RemoteError> {
        if !self.extensions.contains_key(SPACE) {
            return Ok(None);
        }
        let answer = self.kept(self.raw.statvfs(path)).await?;
        Ok(answer.ok().map(|system| Space {
            free: system.blocks_avail.saturating_mul(system.fragment_size),
            no_files_left: system.inodes > 0 && system.inodes_avail == 0,
            // SSH2_FXE_STATVFS_ST_RDONLY of OpenSSH's PROTOCOL file, section 4.4.
            read_only: system.flags & 1 != 0,
        }))
    }

    async fn extended(&self, name: &str, strings: &[&str]) -> Result<(), Fault> {
        let mut data = Vec::new();
        for string in strings {
            data.extend_from_slice(&u32::try_from(string.len()).unwrap_or(u32::MAX).to_be_bytes());
            data.extend_from_slice(string.as_bytes());
        }
        match self.ask(self.raw.extended(name, data)).await? {
            Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
            Packet::Status(status) => Err(fault((status.status_code, status.error_message))),
            _ => Err(Fault::Lost(self.cut())),
        }
    }

    /// Awaits an answer that says yes.
    async fn ask<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
        self.answered(request).await?.map_err(fault)
    }

    /// Awaits an answer of which a refusal is as good as any.
    async fn kept<T>(
        &self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, (StatusCode, String)>, RemoteError> {
        self.answered(request).await
    }

    /// Awaits any answer.
    async fn answered<T>(
        &self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, (StatusCode, String)>, RemoteError> {
        let after = self.session.timeouts().stage;
        let answer = tokio::select! {
            biased;
            answer = timeout(after, request) => answer,
            () = self.ended.wait() => return Err(self.cut()),
        };
        match answer {
            Ok(Ok(answer)) => Ok(Ok(answer)),
            Ok(Err(Error::Status(status))) => Ok(Err((status.status_code, status.error_message))),
            Ok(Err(Error::Limited(words))) => Ok(Err((StatusCode::Failure, words))),
            Err(_) | Ok(Err(Error::Timeout)) => {
                Err(RemoteError::Timeout { device: self.session.target().name.clone(), during: DURING, after })
            }
            // The channel ended, or what came over it was no SFTP.
            Ok(Err(_)) => Err(self.cut()),
        }
    }

    fn cut(&self) -> RemoteError {
        RemoteError::Cut { device: self.session.target().name.clone(), during: DURING }
    }
}

impl From<RemoteError> for Fault {
    fn from(source: RemoteError) -> Self {
        Self::Lost(source)
    }
}

/// The number behind the permissions in a line like those of `ls -l`.
fn links_in(longname: &str) -> Option<u32> {
    let mut words = longname.split_ascii_whitespace();
    words.next().filter(|letters| letters.starts_with('-'))?;
    words.next()?.parse().ok()
}

fn fault((code, words): (StatusCode, String)) -> Fault {
    match code {
        StatusCode::NoSuchFile => Fault::Missing,
        StatusCode::PermissionDenied => Fault::Denied,
        code => {
            let words = if words.is_empty() { code.to_string() } else { words };
            Fault::Refused(words.chars().filter(|character| !character.is_control()).take(200).collect())
        }
    }
}
