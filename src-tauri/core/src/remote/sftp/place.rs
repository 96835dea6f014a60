//! Where a path leads: every link on the way is followed here, since not every server's `realpath` follows them.

use std::collections::VecDeque;

use russh_sftp::protocol::FileAttributes;

use super::super::{
    RemoteError,
    program::{DirectoryState, FileKind, Mode},
};
use super::client::{Fault, Sftp};

/// As many links are followed as Linux does (`path_resolution(7)`).
const MOST_LINKS: u32 = 40;

/// The file type's bits of a mode, and their values (`inode(7)`).
const TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Where a path leads after all links, and what stands there.
#[derive(Debug)]
pub(super) struct Place {
    /// The path after all links, absolute.
    pub(super) path: String,
    /// How many links were followed at the last name.
    pub(super) links_followed: u32,
    /// What stands there.
    pub(super) kind: FileKind,
    /// What else is told about it.
    pub(super) attributes: Option<FileAttributes>,
    /// The directories from the file's own up to `/`.
    pub(super) directories: Vec<DirectoryState>,
    /// The directory that is missing, where it is the file's own and nothing else is.
    pub(super) missing_directory: Option<String>,
}

impl Place {
    /// Follows an absolute path.
    pub(super) async fn find(sftp: &Sftp<'_>, path: &str) -> Result<Self, RemoteError> {
        let mut names: VecDeque<String> = names_of(path).collect();
        let mut place = Self {
            path: "/".to_owned(),
            links_followed: 0,
            kind: FileKind::Other,
            attributes: None,
            directories: Vec::new(),
            missing_directory: None,
        };
        let mut links = 0;
        // The directory reached so far, with its state where it can be seen.
        let mut way: Vec<(String, Option<DirectoryState>)> = vec![("/".to_owned(), state_of(sftp, "/").await?)];
        while let Some(name) = names.pop_front() {
            if name == ".." {
                if way.len() > 1 {
                    way.pop();
                }
                continue;
            }
            let candidate = join(way.last().map_or("/", |(path, _)| path), &name);
            let last = names.is_empty();
            let attributes = match sftp.attributes(&candidate).await {
                Ok(attributes) => attributes,
                Err(Fault::Lost(source)) => return Err(source),
                Err(fault) => {
                    place.kind = match fault {
                        Fault::Missing if last => FileKind::Missing,
                        _ => FileKind::NoDirectory,
                    };
                    if matches!(fault, Fault::Missing) && names.len() == 1 && names.iter().all(|name| name != "..") {
                        place.missing_directory = Some(candidate.clone());
                    }
                    return Ok(place.ended(&way, candidate, names));
                }
            };
            match attributes.permissions.unwrap_or_default() & TYPE {
                LINK => {
                    links += 1;
                    place.links_followed += u32::from(last);
                    let target = match sftp.link_target(&candidate).await {
                        Ok(target) if links <= MOST_LINKS && !target.is_empty() => target,
                        Err(Fault::Lost(source)) => return Err(source),
                        _ => {
                            place.kind = if last { FileKind::UnfollowedLink } else { FileKind::NoDirectory };
                            return Ok(place.ended(&way, candidate, names));
                        }
                    };
                    if target.starts_with('/') {
                        way.truncate(1);
                    }
                    for name in names_of(&target).collect::<Vec<_>>().into_iter().rev() {
                        names.push_front(name);
                    }
                }
                DIRECTORY if !last => {
                    let state = directory_state(&candidate, &attributes);
                    way.push((candidate, state));
                }
                kind if last => {
                    place.kind = if kind == REGULAR { FileKind::Regular } else { FileKind::Other };
                    place.attributes = Some(attributes);
                    return Ok(place.ended(&way, candidate, names));
                }
                _ => {
                    place.kind = FileKind::NoDirectory;
                    return Ok(place.ended(&way, candidate, names));
                }
            }
        }
        // The path ended in `..` or is `/`: a directory.
        if let Some((path, _)) = way.last() {
            place.path.clone_from(path);
        }
        Ok(place)
    }

    /// The directory that the file stands in.
    pub(super) fn directory(&self) -> &str {
        match self.path.rsplit_once('/') {
            Some(("", _)) | None => "/",
            Some((directory, _)) => directory,
        }
    }

    fn ended(mut self, way: &[(String, Option<DirectoryState>)], reached: String, rest: VecDeque<String>) -> Self {
        self.path = rest.iter().fold(reached, |path, name| join(&path, name));
        self.directories = way.iter().rev().filter_map(|(_, state)| state.clone()).collect();
        self
    }
}

/// The absolute form of a path, with the account's home before a relative one.
pub(super) fn path_of(home: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    join(home, path.strip_prefix("~/").unwrap_or(path))
}

fn names_of(path: &str) -> impl Iterator<Item = String> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".").map(str::to_owned)
}

fn join(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}

fn directory_state(path: &str, attributes: &FileAttributes) -> Option<DirectoryState> {
    Some(DirectoryState {
        path: path.to_owned(),
        mode: Mode(attributes.permissions? & 0o7777),
        owner: attributes.uid?,
        group: attributes.gid?,
    })
}

async fn state_of(sftp: &Sftp<'_>, path: &str) -> Result<Option<DirectoryState>, RemoteError> {
    match sftp.attributes(path).await {
        Ok(attributes) => Ok(directory_state(path, &attributes)),
        Err(Fault::Lost(source)) => Err(source),
        Err(_) => Ok(None),
    }
}
