//! Making what is missing, and removing what a power cut left.

use super::answer::Answer;
use super::file::DESCRIBE;
use super::{Checksum, Program, ProgramError};

/// Makes the file's directory and an empty file where they are missing; the ordinary write goes on from there.
///
/// Only the last directory is made: a missing home is a finding, not something to make. `set -C` creates the file only
/// where nothing stands, so that a file made meanwhile is not emptied.
const INSTALL: &str = "f=$1;Q;case $f in /*);;\"~/\"*)f=$h/${f#??};;*)f=$h/$f;;esac;n=0;\
    while [ -h \"$f\" ];do n=$((n+1));[ $n -gt 40 ]&&break;l=$(readlink \"$f\")||break;\
    case $l in /*)f=$l;;*)f=${f%/*}/$l;;esac;done;d=${f%/*};d=${d:-/};m=-;\
    if [ -d \"$d\" ];then :;else w=$(mkdir -m 0700 -- \"$d\" 2>&1)||{ p fail \"${w%%\"$N\"*}\";exit 1;};m=${m}d;\
    restorecon -- \"$d\" 2>/dev/null;fi;\
    if [ -e \"$f\" ]||[ -h \"$f\" ];then :;else w=$( { (set -C;: >\"$f\");} 2>&1)||{ p fail \"${w%%\"$N\"*}\";exit 1;};m=${m}f;\
    restorecon -- \"$f\" 2>/dev/null;{ sync -- \"$f\" \"$d\"||sync;} 2>/dev/null;fi;\
    d=$(cd -P -- \"$d/\"&&pwd -P)&&p ready-made $m \"${d%/}/${f##*/}\"";

/// What `install` found and made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The path after all links; the one to write.
    pub resolved: String,
    /// Whether the directory was made.
    pub made_directory: bool,
    /// Whether the file was made.
    pub made_file: bool,
}

/// Makes the program that makes the file's directory (0700) and the file (0600, empty) where they are missing.
///
/// What exists keeps its modes. It runs as the account itself, so that both belong to it.
///
/// # Errors
/// A path with a line break.
pub fn install(id: &str, path: &str) -> Result<Program, ProgramError> {
    Program::with_paths(id, &format!("{DESCRIBE}{INSTALL}"), &[path.to_owned()])
}

/// Understands the answer of [`install`] for this path.
///
/// # Errors
/// No answer, or the utility's own words.
pub fn parse_install(id: &str, path: &str, stdout: &[u8]) -> Result<Installed, ProgramError> {
    let mut answer = Answer::new(id, stdout);
    let mut answered = false;
    while let Some(frame) = answer.next() {
        answered = true;
        match frame.word {
            "ready-made" => {
                let text = frame.text()?;
                let (made, resolved) = text.split_once(' ').ok_or(ProgramError::Malformed { part: "what was made" })?;
                return Ok(Installed {
                    resolved: resolved.to_owned(),
                    made_directory: made.contains('d'),
                    made_file: made.contains('f'),
                });
            }
            "fail" => {
                let words = String::from_utf8_lossy(frame.rest);
                let reason = words.chars().filter(|character| !character.is_control()).take(200).collect();
                return Err(ProgramError::NotCreated { path: path.to_owned(), reason });
            }
            _ => {}
        }
    }
    Err(if answered { ProgramError::Incomplete { missing: "what was made" } } else { ProgramError::NoAnswer })
}

/// Removes temporary files by their names' beginning; the arguments are the beginning and the directories.
const CLEAN: &str = "m=$1;shift;set +f;for d in \"$@\";do cd -P -- \"$d/\" 2>/dev/null||continue;\
    for e in ./\"$m\"*.new ./\"$m\"*.old;do if [ -f \"$e\" ];then s=$(cksum <\"$e\" 2>/dev/null||sha256sum <\"$e\");rm -f -- \"$e\"&&p removed $s $d/${e#./};fi;done;done;\
    p cleaned";

/// A temporary file that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleaned {
    /// Its path.
    pub path: String,
    /// The checksum of what it held: the `.old` of a write that was cut holds the bytes before it.
    pub checksum: Checksum,
}

/// Makes the program that removes the temporary files that a power cut left in these (absolute) directories.
///
/// Only names that begin with `.kw-` and this mark are touched ("vault" for all of a vault, "vault-change" for one change). A
/// write that still runs would lose its temporary files and fail without harm; so ask only when none is under way.
///
/// # Errors
/// A path with a line break.
pub fn clean(id: &str, directories: &[String], mark: &str) -> Result<Program, ProgramError> {
    let mut paths = vec![format!(".kw-{}-", super::plain_name(mark.trim_end_matches('-')))];
    paths.extend_from_slice(directories);
    Program::with_paths(id, CLEAN, &paths)
}

/// Understands the answer of [`clean`].
///
/// # Errors
/// No or an incomplete answer.
pub fn parse_clean(id: &str, stdout: &[u8]) -> Result<Vec<Cleaned>, ProgramError> {
    let mut answer = Answer::new(id, stdout);
    let mut removed = Vec::new();
    let mut answered = false;
    while let Some(frame) = answer.next() {
        answered = true;
        match frame.word {
            "cleaned" => return Ok(removed),
            "removed" => {
                let text = String::from_utf8_lossy(frame.rest);
                let malformed = ProgramError::Malformed { part: "a removed file" };
                let path = text.splitn(3, ' ').nth(2).ok_or(malformed.clone())?.to_owned();
                removed.push(Cleaned { path, checksum: Checksum::from_output(&text).ok_or(malformed)? });
            }
            _ => {}
        }
    }
    Err(if answered { ProgramError::Incomplete { missing: "the end of the cleaning" } } else { ProgramError::NoAnswer })
}
