//! The SFTP way to a file, for accounts that have nothing else.
//!
//! Only SFTP version 3 is spoken (draft-ietf-secsh-filexfer-02), with the extensions that OpenSSH's `PROTOCOL` file
//! describes. A write needs `posix-rename@openssh.com`, since the plain rename of version 3 fails where a file stands; a
//! live file is never deleted first and never written in place. What SFTP can't show (access control list, label, link
//! count, inode) stays unknown in the answers.

mod client;
mod left_over;
mod place;
mod watched;
mod write;

use russh_sftp::protocol::OpenFlags;
use tokio::time::timeout;

use self::{
    client::{Content, Fault, Sftp},
    place::{Place, path_of},
};
pub(super) use self::{left_over::clean, write::write};
use super::{
    RemoteError, Session,
    files::{FileError, ReadFile},
    program::{
        AttributeSign, ConfigurationFile, FileKind, FileState, Installed, Mode, Probe, ProgramError, plain_name,
    },
};

/// The files that sshd reads where its configuration says nothing else (`sshd_config(5)`, `AuthorizedKeysFile`).
const DEFAULT_FILES: [&str; 2] = [".ssh/authorized_keys", ".ssh/authorized_keys2"];

/// Where sshd's configuration stands; a directory ends in a slash.
const CONFIGURATION: [&str; 4] =
    ["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/", "/usr/local/etc/ssh/sshd_config", "/etc/sshd_config"];

/// Looks at the account and these paths; without paths, at the default ones.
///
/// The account's number, its groups and shell, the umask, the clock and the utilities can't be seen over SFTP.
///
/// # Errors
///
/// No connection, no SFTP, or an account without a home.
pub(super) async fn probe(session: &Session, paths: &[String]) -> Result<Probe, FileError> {
    let defaults = DEFAULT_FILES.map(str::to_owned);
    let paths = if paths.is_empty() { &defaults[..] } else { paths };
    for path in paths {
        one_line(session, path)?;
    }
    within_stage(session, async {
        let sftp = Sftp::open(session).await?;
        let home = sftp.home().await?;
        let mut probe = Probe {
            user: session.username().to_owned(),
            home_resolved: home.clone(),
            home: home.clone(),
            ..Probe::default()
        };
        for path in CONFIGURATION {
            read_configuration(&sftp, path, &mut probe.configuration).await?;
        }
        let account = sftp.account(&home).await?;
        for asked in paths {
            let place = Place::find(&sftp, &path_of(&home, asked)).await?;
            let state = describe(&sftp, asked, place, &account).await?;
            probe.files.push(state.ok_or_else(|| {
                let source = ProgramError::ChangedWhileReading { path: asked.clone() };
                FileError::Program { device: session.target().name.clone(), source }
            })?);
        }
        Ok(probe)
    })
    .await
}

/// Reads one file; `~` and relative paths start at the account's home.
///
/// # Errors
///
/// No connection; a file that is missing, not regular, not readable, too large, or was written meanwhile.
pub(super) async fn read(session: &Session, path: &str) -> Result<ReadFile, FileError> {
    one_line(session, path)?;
    let program = |source| FileError::Program { device: session.target().name.clone(), source };
    within_stage(session, async {
        let sftp = Sftp::open(session).await?;
        let place = Place::find(&sftp, &sftp.absolute(path).await?).await?;
        let path = place.path;
        match place.kind {
            FileKind::Missing | FileKind::NoDirectory => return Err(program(ProgramError::Missing { path })),
            FileKind::Other | FileKind::UnfollowedLink => return Err(program(ProgramError::NotRegular { path })),
            FileKind::Regular => {}
        }
        match sftp.content(&path).await {
            Ok(Content::Whole(bytes)) => Ok(ReadFile { resolved: path, bytes }),
            Ok(Content::TooLarge) => Err(program(ProgramError::TooLarge { path })),
            Ok(Content::Changed) => Err(program(ProgramError::ChangedWhileReading { path })),
            Err(Fault::Missing) => Err(program(ProgramError::Missing { path })),
            Err(Fault::Denied | Fault::Refused(_)) => Err(program(ProgramError::Unreadable { path })),
            Err(Fault::Lost(source)) => Err(source.into()),
        }
    })
    .await
}

/// Makes the file's directory (0700) and the file (0600, empty) where they are missing; what exists keeps its modes.
///
/// Only the last directory is made: a missing home is a finding, not something to make. The file is created only where
/// nothing stands, so that a file made meanwhile is not emptied.
///
/// # Errors
///
/// No connection, or no right to make them.
pub(super) async fn install(session: &Session, path: &str) -> Result<Installed, FileError> {
    one_line(session, path)?;
    within_stage(session, async {
        let sftp = Sftp::open(session).await?;
        let absolute = sftp.absolute(path).await?;
        let failed = |fault: Fault| match fault {
            Fault::Lost(source) => source.into(),
            fault => FileError::Program {
                device: session.target().name.clone(),
                source: ProgramError::NotCreated { path: path.to_owned(), reason: fault.reason() },
            },
        };
        let mut place = Place::find(&sftp, &absolute).await?;
        let mut installed = Installed { resolved: String::new(), made_directory: false, made_file: false };
        if place.kind == FileKind::NoDirectory {
            let directory = place.missing_directory.as_deref().ok_or_else(|| failed(Fault::Missing))?;
            sftp.make_directory(directory, 0o700).await.map_err(failed)?;
            installed.made_directory = true;
            place = Place::find(&sftp, &absolute).await?;
        }
        match place.kind {
            FileKind::Missing => {
                let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
                match sftp.open_file(&place.path, flags, Some(0o600)).await {
                    Ok(handle) => {
                        installed.made_file = true;
                        sftp.sync(&handle).await?;
                        sftp.close(handle).await?;
                        sftp.sync_directory(place.directory()).await?;
                    }
                    // Somebody else made it in the meantime, which is as good.
                    Err(fault @ Fault::Refused(_)) => {
                        place = Place::find(&sftp, &absolute).await?;
                        if place.kind != FileKind::Regular {
                            return Err(failed(fault));
                        }
                    }
                    Err(fault) => return Err(failed(fault)),
                }
            }
            FileKind::NoDirectory => return Err(failed(Fault::Missing)),
            FileKind::Regular | FileKind::Other | FileKind::UnfollowedLink => {}
        }
        installed.resolved = place.path;
        Ok(installed)
    })
    .await
}

/// How the names of temporary files begin.
fn temporary_beginning(mark: &str) -> String {
    format!(".kw-{}-", plain_name(mark))
}

fn one_line(session: &Session, path: &str) -> Result<(), FileError> {
    if path.contains(['\n', '\r', '\0']) {
        let source = ProgramError::PathNotOneLine { path: path.to_owned() };
        return Err(FileError::Program { device: session.target().name.clone(), source });
    }
    Ok(())
}

/// Runs one operation within the stage timeout.
async fn within_stage<T>(session: &Session, work: impl Future<Output = Result<T, FileError>>) -> Result<T, FileError> {
    let after = session.timeouts().stage;
    match timeout(after, work).await {
        Ok(done) => done,
        Err(_) => {
            Err(RemoteError::Timeout { device: session.target().name.clone(), during: client::DURING, after }.into())
        }
    }
}

/// Reads one file of sshd's configuration, or the `.conf` files of one directory in the order of their names.
async fn read_configuration(
    sftp: &Sftp<'_>,
    path: &str,
    found: &mut Vec<ConfigurationFile>,
) -> Result<(), RemoteError> {
    let mut paths = vec![path.to_owned()];
    if path.ends_with('/') {
        paths = match sftp.names(path).await {
            Ok(names) => names,
            Err(Fault::Lost(source)) => return Err(source),
            Err(Fault::Denied) => {
                found.push(ConfigurationFile { path: path.to_owned(), text: None });
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        paths.retain(|name| name.ends_with(".conf") && !name.starts_with('.'));
        paths.sort();
        paths.iter_mut().for_each(|name| name.insert_str(0, path));
    }
    for path in paths {
        match sftp.content(&path).await {
            Ok(Content::Whole(text)) => found.push(ConfigurationFile { path, text: Some(text) }),
            Err(Fault::Lost(source)) => return Err(source),
            Err(Fault::Missing) => {}
            Ok(Content::TooLarge | Content::Changed) | Err(Fault::Denied | Fault::Refused(_)) => {
                found.push(ConfigurationFile { path, text: None });
            }
        }
    }
    Ok(())
}

/// What SFTP tells about one file; `None` where it was written while it was read.
async fn describe(
    sftp: &Sftp<'_>,
    asked: &str,
    place: Place,
    account: &client::Account,
) -> Result<Option<FileState>, RemoteError> {
    let free_at = if place.kind == FileKind::Missing { place.directory() } else { &place.path };
    let space = if place.kind == FileKind::NoDirectory { None } else { sftp.space(free_at).await? };
    let writable_system = space.as_ref().is_none_or(|space| !space.read_only);
    let directory_writable = writable_system
        && place.kind != FileKind::NoDirectory
        && place.directories.first().is_some_and(|directory| account.may_write(directory));
    let attributes = place.attributes.unwrap_or_default();
    let mut state = FileState {
        asked: asked.to_owned(),
        path: place.path,
        links_followed: place.links_followed,
        kind: place.kind,
        identity: None,
        mode: attributes.permissions.map(|mode| Mode(mode & 0o7777)),
        sign: AttributeSign::None,
        owner: attributes.uid,
        group: attributes.gid,
        owner_name: None,
        group_name: None,
        link_count: None,
        extended_acl: None,
        immutable: false,
        mount_point: false,
        readable: false,
        writable: false,
        directory_writable,
        free: space.map(|space| space.free),
        directories: place.directories,
        too_large: false,
        content: None,
    };
    if state.kind != FileKind::Regular {
        return Ok(Some(state));
    }
    match sftp.content(&state.path).await {
        Ok(Content::Whole(bytes)) => {
            state.readable = true;
            state.content = Some(bytes);
        }
        Ok(Content::TooLarge) => {
            state.readable = true;
            state.too_large = true;
        }
        Ok(Content::Changed) | Err(Fault::Missing) => return Ok(None),
        Err(Fault::Denied | Fault::Refused(_)) => {}
        Err(Fault::Lost(source)) => return Err(source),
    }
    if let Some((directory, name)) = state.path.rsplit_once('/') {
        state.link_count = sftp.link_count(if directory.is_empty() { "/" } else { directory }, name).await?;
    }
    // Opening for writing changes nothing: neither truncating nor creating is asked for.
    match sftp.open_file(&state.path, OpenFlags::WRITE, None).await {
        Ok(handle) => {
            sftp.close(handle).await?;
            state.writable = true;
        }
        Err(Fault::Lost(source)) => return Err(source),
        Err(_) => {}
    }
    Ok(Some(state))
}
