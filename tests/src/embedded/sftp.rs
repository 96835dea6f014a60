//! The SFTP subsystem over the device's real folder, with what OpenSSH's own server adds to version 3 of the protocol.
//!
//! Sources: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL file for the extensions.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use russh::ChannelId;
use russh::server::Handle as SessionHandle;
use russh_sftp::protocol::{
    Attrs, Data, File as Entry, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode, Version,
};
use russh_sftp::server::Handler;

use super::Line;
use super::fault::Moment;
use super::hook::{Edge, Passing};
use super::record::Event;

/// OpenSSH's server sends no more than this in one answer.
const LARGEST_READ: u32 = 256 * 1024;
/// How many links in a row are followed before the path counts as a loop.
const LINKS: usize = 40;

/// Something opened by the client.
enum Opened {
    File { file: File, path: PathBuf, append: bool },
    Folder { entries: Vec<Entry> },
}

/// One SFTP session.
pub(crate) struct Sftp {
    line: Line,
    session: SessionHandle,
    channel: ChannelId,
    opened: HashMap<String, Opened>,
    next: u64,
}

/// Whether a request may change a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    Changes,
}

impl Sftp {
    pub(crate) fn new(line: Line, session: SessionHandle, channel: ChannelId) -> Self {
        Self { line, session, channel, opened: HashMap::new(), next: 0 }
    }

    /// Does a request, with what goes wrong before and after it. `work` gets how many bytes it may write.
    async fn request<T>(
        &mut self,
        text: String,
        effect: Effect,
        work: impl FnOnce(&mut Self, Option<u64>) -> io::Result<T>,
    ) -> Result<T, StatusCode> {
        let shared = self.line.shared.clone();
        shared.pause().await;
        shared.hooks.reach(Edge::Before, Passing::Request(&text));
        let moment = shared.faults.request(&text);
        shared.records.add(Event::Request { text: text.clone() });
        match &moment {
            Some(Moment::CutBefore) => {
                self.line.cut();
                return Err(StatusCode::Failure);
            }
            Some(Moment::Hang) => shared.hang().await,
            Some(Moment::Refuse) => return Err(StatusCode::Failure),
            Some(Moment::CutDuring(delay) | Moment::PowerLost(delay)) => {
                // A request is one step: it is cut before it, or not at all.
                tokio::time::sleep(*delay).await;
                self.line.cut();
                return Err(StatusCode::Failure);
            }
            _ => {}
        }
        let limit = match &moment {
            Some(Moment::CutAfterInput(limit)) => Some(*limit),
            _ => None,
        };
        let result = work(self, limit);
        if effect == Effect::Changes {
            shared.records.look(&shared.home);
        }
        shared.hooks.reach(Edge::After, Passing::Request(&text));
        match moment {
            Some(Moment::CutUnanswered | Moment::CutAfterInput(_) | Moment::CutAfterOutput(_)) => self.line.cut(),
            Some(Moment::HangAfter) => shared.hang().await,
            Some(Moment::AnswerLost) => {
                // The answer would still leave before the channel is closed, so this task waits, and is given up.
                let _ = self.session.close(self.channel).await;
                shared.hang().await;
            }
            Some(Moment::CutAfter) => {
                let line = self.line.clone();
                shared.spawn(async move {
                    tokio::time::sleep(super::exec::ON_THEIR_WAY).await;
                    line.cut();
                });
            }
            _ => {}
        }
        result.map_err(|error| code(&error))
    }

    /// The path on this machine; a relative one begins in the home.
    fn path(&self, path: &str) -> PathBuf {
        self.line.shared.home.join(path)
    }

    /// The same for something that is to be changed, which has to be in the home: a mistake must not reach this
    /// machine's own files. The last component itself isn't followed.
    fn own_path(&self, path: &str) -> io::Result<PathBuf> {
        let path = self.path(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::PermissionDenied.into());
        };
        let parent = fs::canonicalize(parent)?;
        if parent.starts_with(&self.line.shared.home) {
            Ok(parent.join(name))
        } else {
            Err(ErrorKind::PermissionDenied.into())
        }
    }

    /// The same, but links in the last component are followed, as opening and setting attributes do.
    fn own_target(&self, path: &str) -> io::Result<PathBuf> {
        let mut found = self.own_path(path)?;
        for _ in 0..LINKS {
            match fs::read_link(&found) {
                Err(_) => return Ok(found),
                Ok(target) => {
                    let next = found.parent().unwrap_or(Path::new("/")).join(target);
                    found = self.own_path(&next.to_string_lossy())?;
                }
            }
        }
        Err(ErrorKind::NotFound.into())
    }

    fn keep(&mut self, id: u32, opened: Opened) -> Handle {
        self.next += 1;
        let handle = self.next.to_string();
        self.opened.insert(handle.clone(), opened);
        Handle { id, handle }
    }

    fn file(&self, handle: &str) -> io::Result<(&File, &Path, bool)> {
        match self.opened.get(handle) {
            Some(Opened::File { file, path, append }) => Ok((file, path, *append)),
            _ => Err(ErrorKind::InvalidInput.into()),
        }
    }

    fn name_of(&self, handle: &str) -> String {
        self.file(handle).map_or_else(|_| handle.to_owned(), |(_, path, _)| path.display().to_string())
    }
}

impl Handler for Sftp {
    type Error = StatusCode;

    fn unimplemented(&self) -> StatusCode {
        StatusCode::OpUnsupported
    }

    async fn init(&mut self, _version: u32, _extensions: HashMap<String, String>) -> Result<Version, StatusCode> {
        let mut version = Version::new();
        for name in ["posix-rename@openssh.com", "fsync@openssh.com", "hardlink@openssh.com"] {
            version.extensions.insert(name.to_owned(), "1".to_owned());
        }
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        pflags: OpenFlags,
        attrs: FileAttributes,
    ) -> Result<Handle, StatusCode> {
        let changes = pflags.intersects(OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::APPEND);
        let effect = if changes { Effect::Changes } else { Effect::Reads };
        self.request(format!("open {filename}"), effect, |me, _| {
            let append = pflags.contains(OpenFlags::APPEND);
            let path = match effect {
                Effect::Reads => me.path(&filename),
                // O_EXCL doesn't follow a link (open(2)).
                Effect::Changes if pflags.contains(OpenFlags::EXCLUDE) => me.own_path(&filename)?,
                Effect::Changes => me.own_target(&filename)?,
            };
            let mut options = OpenOptions::new();
            options.read(pflags.contains(OpenFlags::READ)).write(pflags.contains(OpenFlags::WRITE)).append(append);
            if pflags.contains(OpenFlags::CREATE) {
                options.create(true).create_new(pflags.contains(OpenFlags::EXCLUDE));
            }
            options.truncate(pflags.contains(OpenFlags::TRUNCATE) && !append);
            options.mode(attrs.permissions.unwrap_or(0o666) & 0o7777);
            let file = options.open(&path)?;
            Ok(me.keep(id, Opened::File { file, path, append }))
        })
        .await
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusCode> {
        let text = format!("close {}", self.name_of(&handle));
        self.request(text, Effect::Reads, |me, _| {
            me.opened.remove(&handle).map(|_| done(id)).ok_or_else(|| ErrorKind::InvalidInput.into())
        })
        .await
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, StatusCode> {
        let text = format!("read {}", self.name_of(&handle));
        self.request(text, Effect::Reads, |me, _| {
            let (file, _, _) = me.file(&handle)?;
            let mut data = vec![0; usize::try_from(len.min(LARGEST_READ)).unwrap_or_default()];
            let count = file.read_at(&mut data, offset)?;
            data.truncate(count);
            if data.is_empty() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(Data { id, data }) }
        })
        .await
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Result<Status, StatusCode> {
        let text = format!("write {}", self.name_of(&handle));
        self.request(text, Effect::Changes, |me, limit| {
            let length = limit.map_or(data.len(), |limit| data.len().min(usize::try_from(limit).unwrap_or(usize::MAX)));
            let part = data.get(..length).unwrap_or_default();
            let (mut file, _, append) = me.file(&handle)?;
            if !append {
                file.seek(SeekFrom::Start(offset))?;
            }
            file.write_all(part)?;
            Ok(done(id))
        })
        .await
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusCode> {
        self.request(format!("lstat {path}"), Effect::Reads, |me, _| {
            Ok(Attrs { id, attrs: attributes(&fs::symlink_metadata(me.path(&path))?) })
        })
        .await
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusCode> {
        self.request(format!("stat {path}"), Effect::Reads, |me, _| {
            Ok(Attrs { id, attrs: attributes(&fs::metadata(me.path(&path))?) })
        })
        .await
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusCode> {
        let text = format!("fstat {}", self.name_of(&handle));
        self.request(text, Effect::Reads, |me, _| Ok(Attrs { id, attrs: attributes(&me.file(&handle)?.0.metadata()?) }))
            .await
    }

    async fn setstat(&mut self, id: u32, path: String, attrs: FileAttributes) -> Result<Status, StatusCode> {
        self.request(format!("setstat {path}"), Effect::Changes, |me, _| {
            let path = me.own_target(&path)?;
            if let Some(size) = attrs.size {
                OpenOptions::new().write(true).open(&path)?.set_len(size)?;
            }
            if let Some(mode) = attrs.permissions {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777))?;
            }
            if attrs.atime.is_some() || attrs.mtime.is_some() {
                set_times(&File::open(&path)?, &attrs)?;
            }
            if attrs.uid.is_some() || attrs.gid.is_some() {
                std::os::unix::fs::chown(&path, attrs.uid, attrs.gid)?;
            }
            Ok(done(id))
        })
        .await
    }

    async fn fsetstat(&mut self, id: u32, handle: String, attrs: FileAttributes) -> Result<Status, StatusCode> {
        let text = format!("fsetstat {}", self.name_of(&handle));
        self.request(text, Effect::Changes, |me, _| {
            let (file, _, _) = me.file(&handle)?;
            if let Some(size) = attrs.size {
                file.set_len(size)?;
            }
            if let Some(mode) = attrs.permissions {
                file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
            }
            if attrs.atime.is_some() || attrs.mtime.is_some() {
                set_times(file, &attrs)?;
            }
            if attrs.uid.is_some() || attrs.gid.is_some() {
                std::os::unix::fs::fchown(file, attrs.uid, attrs.gid)?;
            }
            Ok(done(id))
        })
        .await
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusCode> {
        self.request(format!("opendir {path}"), Effect::Reads, |me, _| {
            let folder = me.path(&path);
            let mut entries = Vec::new();
            for (name, path) in [(".", folder.clone()), ("..", folder.join(".."))] {
                entries.push(Entry::new(name, attributes(&fs::symlink_metadata(path)?)));
            }
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                // A file that vanished meanwhile isn't listed.
                if let Ok(metadata) = fs::symlink_metadata(entry.path()) {
                    entries.push(Entry::new(entry.file_name().to_string_lossy(), attributes(&metadata)));
                }
            }
            Ok(me.keep(id, Opened::Folder { entries }))
        })
        .await
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusCode> {
        self.request("readdir".to_owned(), Effect::Reads, |me, _| match me.opened.get_mut(&handle) {
            Some(Opened::Folder { entries }) if entries.is_empty() => Err(ErrorKind::UnexpectedEof.into()),
            Some(Opened::Folder { entries }) => {
                let count = entries.len().min(100);
                Ok(Name { id, files: entries.drain(..count).collect() })
            }
            _ => Err(ErrorKind::InvalidInput.into()),
        })
        .await
    }

    async fn remove(&mut self, id: u32, filename: String) -> Result<Status, StatusCode> {
        self.request(format!("remove {filename}"), Effect::Changes, |me, _| {
            fs::remove_file(me.own_path(&filename)?)?;
            Ok(done(id))
        })
        .await
    }

    async fn mkdir(&mut self, id: u32, path: String, attrs: FileAttributes) -> Result<Status, StatusCode> {
        self.request(format!("mkdir {path}"), Effect::Changes, |me, _| {
            use std::os::unix::fs::DirBuilderExt as _;
            let mode = attrs.permissions.unwrap_or(0o777) & 0o7777;
            fs::DirBuilder::new().mode(mode).create(me.own_path(&path)?)?;
            Ok(done(id))
        })
        .await
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Result<Status, StatusCode> {
        self.request(format!("rmdir {path}"), Effect::Changes, |me, _| {
            fs::remove_dir(me.own_path(&path)?)?;
            Ok(done(id))
        })
        .await
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusCode> {
        self.request(format!("realpath {path}"), Effect::Reads, |me, _| {
            let path = me.path(&path);
            // Like realpath(3) as OpenSSH's server uses it: the last component needn't exist.
            let real = match (fs::canonicalize(&path), path.parent(), path.file_name()) {
                (Ok(real), _, _) => real,
                (Err(error), Some(parent), Some(name)) if error.kind() == ErrorKind::NotFound => {
                    fs::canonicalize(parent)?.join(name)
                }
                (Err(error), _, _) => return Err(error),
            };
            Ok(Name { id, files: vec![Entry::dummy(real.to_string_lossy())] })
        })
        .await
    }

    async fn rename(&mut self, id: u32, oldpath: String, newpath: String) -> Result<Status, StatusCode> {
        self.request(format!("rename {oldpath} {newpath}"), Effect::Changes, |me, _| {
            let (old, new) = (me.own_path(&oldpath)?, me.own_path(&newpath)?);
            // Version 3 forbids to replace a file; OpenSSH's server links and unlinks for that.
            if fs::symlink_metadata(&new).is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            fs::rename(old, new)?;
            Ok(done(id))
        })
        .await
    }

    async fn readlink(&mut self, id: u32, path: String) -> Result<Name, StatusCode> {
        self.request(format!("readlink {path}"), Effect::Reads, |me, _| {
            let target = fs::read_link(me.path(&path))?;
            Ok(Name { id, files: vec![Entry::dummy(target.to_string_lossy())] })
        })
        .await
    }

    async fn symlink(&mut self, id: u32, linkpath: String, targetpath: String) -> Result<Status, StatusCode> {
        // OpenSSH's server takes the target first, against the draft (PROTOCOL, section 4.1).
        let (target, link) = (linkpath, targetpath);
        self.request(format!("symlink {target} {link}"), Effect::Changes, |me, _| {
            std::os::unix::fs::symlink(&target, me.own_path(&link)?)?;
            Ok(done(id))
        })
        .await
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Result<Packet, StatusCode> {
        let strings = strings(&data).ok_or(StatusCode::BadMessage)?;
        match (request.as_str(), strings.as_slice()) {
            ("posix-rename@openssh.com", [old, new]) => {
                self.request(format!("{request} {old} {new}"), Effect::Changes, |me, _| {
                    fs::rename(me.own_path(old)?, me.own_path(new)?)?;
                    Ok(Packet::Status(done(id)))
                })
                .await
            }
            ("hardlink@openssh.com", [old, new]) => {
                self.request(format!("{request} {old} {new}"), Effect::Changes, |me, _| {
                    fs::hard_link(me.own_path(old)?, me.own_path(new)?)?;
                    Ok(Packet::Status(done(id)))
                })
                .await
            }
            ("fsync@openssh.com", [handle]) => {
                let text = format!("{request} {}", self.name_of(handle));
                self.request(text, Effect::Reads, |me, _| {
                    me.file(handle)?.0.sync_all()?;
                    Ok(Packet::Status(done(id)))
                })
                .await
            }
            _ => Err(StatusCode::OpUnsupported),
        }
    }
}

fn done(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: "Success".to_owned(), language_tag: String::new() }
}

/// The code OpenSSH's server gives for an error of the system.
fn code(error: &io::Error) -> StatusCode {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => StatusCode::NoSuchFile,
        ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
        ErrorKind::UnexpectedEof => StatusCode::Eof,
        _ => StatusCode::Failure,
    }
}

/// The attributes as lstat(2) gives them; the crate's own conversion calls every link a regular file.
fn attributes(metadata: &fs::Metadata) -> FileAttributes {
    let seconds = |time: i64| u32::try_from(time).unwrap_or_default();
    FileAttributes {
        size: Some(metadata.len()),
        uid: Some(metadata.uid()),
        gid: Some(metadata.gid()),
        permissions: Some(metadata.mode()),
        atime: Some(seconds(metadata.atime())),
        mtime: Some(seconds(metadata.mtime())),
        ..FileAttributes::default()
    }
}

fn set_times(file: &File, attrs: &FileAttributes) -> io::Result<()> {
    let time = |seconds: u32| UNIX_EPOCH + Duration::from_secs(u64::from(seconds));
    let mut times = fs::FileTimes::new();
    if let Some(seconds) = attrs.atime {
        times = times.set_accessed(time(seconds));
    }
    if let Some(seconds) = attrs.mtime {
        times = times.set_modified(time(seconds));
    }
    file.set_times(times)
}

/// The strings that an extended request consists of (RFC 4251 §5).
fn strings(mut data: &[u8]) -> Option<Vec<String>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let (length, rest) = data.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        found.push(String::from_utf8(text.to_vec()).ok()?);
        data = rest;
    }
    Some(found)
}
