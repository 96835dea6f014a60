//! Writing one file: compare and swap, with all that the file is besides its bytes kept.

use super::answer::Answer;
use super::{Checksum, Program, ProgramError, Ready, plain_name};
use crate::error::{Class, Explain};

/// One write of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write<'a> {
    /// The path after all links, as it was read.
    pub path: &'a str,
    /// The bytes the file must still hold.
    pub expected: &'a [u8],
    /// The bytes it shall hold.
    pub new: &'a [u8],
    /// After this many seconds from the arrival of the data nothing is renamed any more.
    pub deadline_seconds: u32,
    /// "vault-change": stands in the names of the temporary files, so that what a power cut left is found again.
    pub mark: &'a str,
}

/// The steps of the program, in their order.
const WRITE: [&str; 6] = [WORDS, ENTER, COPY, KEEP, COMPARE, RENAME];

/// Defines how it ends: `x` names a cause, `q` takes the cause from a utility's words in `w`, `z` removes what is ours, on
/// every exit and signal. `T` tells seconds, from a clock that nobody sets where there is one.
const WORDS: &str = "t=;o=;z(){ [ -n \"$t\" ]&&rm -f -- \"$t\" \"$o\";t=;};\
    x(){ p fail \"$@\";exit 9;};\
    q(){ case $w in *\"o space\"*|*uota*)x disk-full;;*\"not permitted\"*)x immutable;;*usy*)x mount-point;;\
    *ead-only*)x directory-not-writable;;esac;w=${w%%\"$N\"*};x failed \"$w\";};\
    T(){ { read -r u w </proc/uptime;} 2>/dev/null&&u=${u%.*}||u=$(date +%s);};S(){ sync -- \"$@\"||sync;} 2>/dev/null;\
    trap z EXIT;trap \"p fail stopped;exit 98\" HUP INT TERM;trap \"exit 98\" PIPE;";

/// Waits for the first two lines, of which the first names the request, so that a beheaded input is noticed; then goes to
/// the directory, so that no name used later leads elsewhere, and refuses what can't be written.
const ENTER: &str = "IFS=\" \" read -r k m L y ec el es nc nl ns||x input;[ \"$k\" = \"KW-$i\" ]||x input;\
    IFS= read -r f||x input;T;s=$u;\
    if command -v sha256sum >/dev/null 2>&1;then H=sha256sum;e=$es;n=$ns;else H=cksum;e=\"$ec $el\";n=\"$nc $nl\";fi;\
    case $f in /*);;*)x input;;esac;d=${f%/*};b=./${f##*/};\
    cd -P -- \"$d/\" 2>/dev/null||x missing;[ \"$(pwd -P)\" = \"${d:-/}\" ]||x moved;\
    [ -h \"$b\" ]&&x moved;[ -f \"$b\" ]||{ [ -e \"$b\" ]&&x not-regular;x missing;};[ -r \"$b\" ]||x unreadable;\
    [ -w . ]||x directory-not-writable;\
    [ -w \"$b\" ]||{ set -- $(lsattr -d -- \"$b\" 2>/dev/null);case $1 in *i*)x immutable;;esac;x file-read-only;};";

/// Makes a complete copy in the same directory. Its name is this process's own: the program of a dead connection may still
/// be under way, and must not find a half-written file under the name that it is about to rename.
const COPY: &str = "t=./.kw-$m-$i-$$.new;o=${t%new}old;\
    w=$(cp -p --preserve=all -- \"$b\" \"$t\" 2>&1)||w=$(cp -p -- \"$b\" \"$t\" 2>&1)||q;\
    w=$(cat 2>&1 >\"$t\")||q;case $($H <\"$t\") in \"$n\"|\"$n \"*);;*)x checksum;;esac;";

/// Compares what the file is besides its bytes with what the copy is, by one call of each utility for both: the order of the
/// two lines does not matter, and one block alone means that only one of them could be looked at. A second name that another
/// write has given the file for the moment is that writer's, and is waited for.
const KEEP: &str = "v=$(ls -ldn -- \"$b\" \"$t\");set -- ${v%%\"$N\"*};a=\"$1 $3 $4\";k=$2;set -- ${v#*\"$N\"};\
    [ \"$k$2\" = 11 ]||{ set +f;for e in ./.kw-*.old;do [ \"$e\" -ef \"$b\" ]&&x changed;done 2>/dev/null;\
    set -- $(ls -ldn -- \"$b\");[ \"$2\" = 1 ]&&x changed;x metadata links;};\
    [ \"$a\" = \"$1 $3 $4\" ]||x metadata \"mode or owner\";\
    A=;if command -v getfattr >/dev/null 2>&1;then A=\"getfattr -dm- -ehex\";\
    else command -v getfacl >/dev/null 2>&1&&A=\"getfacl -n\";\
    if [ -e /sys/fs/selinux/enforce ];then [ \"$(stat -c %C -- \"$b\")\" = \"$(stat -c %C -- \"$t\")\" ]||x metadata label;fi;fi;\
    if [ -n \"$A\" ];then v=$($A -- \"$b\" \"$t\" 2>/dev/null);w=${v#*\"$N$N\"};v=${v%%\"$N$N\"*};\
    if [ -n \"$v\" ];then [ \"$v\" = \"$w\" ]&&x metadata \"access control list or attributes\";\
    [ \"${v#*\"$N\"}\" = \"${w#*\"$N\"}\" ]||x metadata \"access control list or attributes\";fi;fi;";

/// Links the live inode beside the copy and compares its bytes; where there are no hard links, compares the file itself. Of two
/// such writes at once, the one that links later sees a name too many and gives way.
const COMPARE: &str = "S \"$t\";c=0;if ln -- \"$b\" \"$o\" 2>/dev/null;then k=$o;\
    set -- $(ls -ldn -- \"$o\");[ \"$2\" = 2 ]||x changed;else c=1;k=$b;fi;\
    case $($H <\"$k\") in \"$e\"|\"$e \"*);;*)x changed;;esac;\
    T;[ $((u-s)) -lt $L ]&&[ $u -ge $s ]||x too-late;\
    if [ . -ef . ];then [ \"$b\" -ef \"$k\" ]||x changed;fi 2>/dev/null;";

/// Renames, and looks at the linked inode again: a tail that was appended meanwhile is carried over, anything else puts the
/// inode back. Signals are ignored from here on, since ending in between would lose that tail. The look comes after the sync,
/// which gives a writer that had opened the file just before the rename the time to finish.
const RENAME: &str = "trap \"\" HUP INT TERM PIPE;w=$(mv -f -- \"$t\" \"$b\" 2>&1)||q;S .;r=0;\
    if [ $c = 0 ];then case $($H <\"$o\") in \"$e\"|\"$e \"*);;*)w=;\
    g(){ if [ $el = 0 ];then :;else dd bs=$el count=1 <\"$o\" 2>/dev/null;fi|$H;};\
    case $([ $y = 1 ]&&g) in \"$e\"|\"$e \"*)w=$(tail -c +$((el+1)) \"$o\" 2>&1 >>\"$b\")&&r=7||r=9;;*)r=9;;esac;\
    if [ $r = 9 ];then mv -f -- \"$o\" \"$b\";S .;[ -n \"$w\" ]&&q;x changed;fi;S \"$b\";;esac;fi;\
    z;p wrote $r $c $($H <\"$b\");exit $r";

/// Makes the program that writes one file, with its data.
///
/// # Errors
/// A path with a line break.
pub fn write(id: &str, write: &Write<'_>) -> Result<Program, ProgramError> {
    let mut program = waiting_write(id);
    if write.path.contains(['\n', '\r', '\0']) {
        return Err(ProgramError::PathNotOneLine { path: write.path.to_owned() });
    }
    // A tail appended to a line without an end would become part of that line: such a tail is a conflict.
    let carry = u8::from([write.expected, write.new].iter().all(|text| text.last().is_none_or(|byte| *byte == b'\n')));
    let head = format!(
        "KW-{} {} {} {carry} {} {} {} {}\n{}\n",
        program.id,
        plain_name(write.mark),
        write.deadline_seconds,
        Checksum::cksum(write.expected),
        Checksum::sha256(write.expected),
        Checksum::cksum(write.new),
        Checksum::sha256(write.new),
        write.path,
    );
    program.input = [head.as_bytes(), write.new].concat();
    Ok(program)
}

/// Makes the same program without data, to be started ahead; its command is the one of [`write`] with this ID.
pub fn waiting_write(id: &str) -> Program {
    Program::new(id, &WRITE.concat(), Vec::new(), Vec::new(), Ready::Awaited)
}

/// What a finished write left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Whether somebody appended while it was written, and the tail was carried over into the new file.
    pub carried_over: bool,
    /// The checksum of the file, read back after the rename.
    pub checksum: Checksum,
    /// Whether the file system has no hard links, so that the file was only compared before the rename.
    pub plain_compare: bool,
}

impl Written {
    /// Whether the file, read back, holds exactly these bytes; not so when somebody appended.
    pub fn holds(&self, text: &[u8]) -> bool {
        self.checksum.is_of(text)
    }
}

/// Why a file was not written; in every case but [`WriteError::NoAnswer`] it holds what it held, or what somebody else wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// No or an incomplete answer: the file may have been written.
    #[error("The program that writes the file gave no answer, so it is not known whether the file was written.")]
    NoAnswer,
    /// The program was ended by a signal before it renamed anything.
    #[error("The program that writes the file was stopped before it changed anything.")]
    Stopped,
    /// The data ended early or was damaged.
    #[error("The data for the file did not arrive whole, so nothing was written.")]
    ChecksumMismatch,
    /// The input did not begin with our line.
    #[error("Something on the device took a part of the program's input, so nothing was written.")]
    InputDamaged,
    /// The file does not hold the expected bytes.
    #[error("The file was changed by someone else.")]
    ChangedBySomeoneElse,
    /// Mode, owner, group, label, access control list or hard links would be lost.
    #[error("Writing the file would change its {what}.")]
    MetadataWouldChange {
        /// What would change.
        what: String,
    },
    /// No file can be made in the directory.
    #[error("The account may not make files in the file's directory.")]
    DirectoryNotWritable,
    /// The file may not be written by the account.
    #[error("The file is read-only for the account.")]
    FileReadOnly,
    /// The file may not be read by the account.
    #[error("The file can't be read by the account.")]
    FileUnreadable,
    /// The file or its directory is marked immutable or append-only.
    #[error("The file is marked immutable.")]
    Immutable,
    /// No space, or the account's quota is used up.
    #[error("The disk is full.")]
    DiskFull,
    /// The deadline had passed before the rename.
    #[error("The write took too long, so nothing was written.")]
    TooLate,
    /// It is no regular file.
    #[error("The path is not a regular file.")]
    NotRegular,
    /// It is a mount point, which nothing can be renamed over.
    #[error("The file is a mount point.")]
    MountPoint,
    /// The path leads through a link that was not there when the file was read.
    #[error("The path leads elsewhere than when the file was read.")]
    Moved,
    /// There is no such file.
    #[error("The file does not exist.")]
    Missing,
    /// A utility failed for another reason.
    #[error("The file could not be written: {reason}.")]
    Failed {
        /// The utility's own words.
        reason: String,
    },
}

impl Explain for WriteError {
    crate::sentences! {
        NoAnswer => "write-unanswered",
        Stopped => "write-stopped",
        ChecksumMismatch => "data-incomplete",
        InputDamaged => "input-damaged",
        ChangedBySomeoneElse => "changed-by-someone-else" as "write-conflict",
        MetadataWouldChange { what } => "metadata-would-change",
        DirectoryNotWritable => "directory-not-writable",
        FileReadOnly => "file-read-only",
        FileUnreadable => "file-unreadable" as "write-file-unreadable",
        Immutable => "file-immutable",
        DiskFull => "disk-full" as "write-disk-full",
        TooLate => "write-too-late",
        NotRegular => "not-a-regular-file" as "write-not-regular",
        MountPoint => "mount-point",
        Moved => "file-moved",
        Missing => "file-missing" as "write-file-missing",
        Failed { reason } => "write-failed",
    }

    fn hint(&self) -> String {
        match self {
            Self::NoAnswer => "Read the file again before anything else is done.",
            Self::Stopped | Self::ChecksumMismatch | Self::TooLate => "Try again.",
            Self::InputDamaged => "Check whether the account's start-up files read standard input.",
            Self::ChangedBySomeoneElse | Self::Moved => "Try again when nobody else writes the file.",
            Self::MetadataWouldChange { .. } => {
                "Authenticate with the account that owns the file, or remove what the account can't keep."
            }
            Self::DirectoryNotWritable => {
                "Give the account the right to write the directory, or use another credential."
            }
            Self::FileReadOnly => "Give the account the right to write the file, or use another credential.",
            Self::FileUnreadable => "Give the account the right to read the file, or use another credential.",
            Self::Immutable => "Take the mark off with chattr -i and chattr -a, then try again.",
            Self::DiskFull => "Free some space on the device, then try again.",
            Self::NotRegular | Self::Missing => "Check the path of the device's file of keys.",
            Self::MountPoint => "Set the path of the device to the file that is mounted there.",
            Self::Failed { .. } => "Check the device, then try again.",
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::NoAnswer => Class::Interrupted,
            _ => Class::NotDone,
        }
    }
}

/// Understands the answer of [`write`].
///
/// # Errors
/// The cause the program named, or that it named none.
pub fn parse_write(id: &str, stdout: &[u8]) -> Result<Written, WriteError> {
    let mut answer = Answer::new(id, stdout);
    while let Some(frame) = answer.next() {
        let text = String::from_utf8_lossy(frame.rest);
        match frame.word {
            "wrote" => {
                let mut words = text.splitn(3, ' ');
                let (Some(outcome), Some(compare), Some(sums)) = (words.next(), words.next(), words.next()) else {
                    return Err(WriteError::NoAnswer);
                };
                let checksum = Checksum::from_output(sums).ok_or(WriteError::NoAnswer)?;
                return Ok(Written { carried_over: outcome == "7", checksum, plain_compare: compare == "1" });
            }
            "fail" => return Err(cause(&text)),
            _ => {}
        }
    }
    Err(WriteError::NoAnswer)
}

fn cause(text: &str) -> WriteError {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "checksum" => WriteError::ChecksumMismatch,
        "input" => WriteError::InputDamaged,
        "changed" => WriteError::ChangedBySomeoneElse,
        "metadata" => {
            let what = if rest == "links" { "hard links" } else { rest };
            WriteError::MetadataWouldChange { what: what.to_owned() }
        }
        "directory-not-writable" => WriteError::DirectoryNotWritable,
        "file-read-only" => WriteError::FileReadOnly,
        "unreadable" => WriteError::FileUnreadable,
        "immutable" => WriteError::Immutable,
        "disk-full" => WriteError::DiskFull,
        "too-late" => WriteError::TooLate,
        "not-regular" => WriteError::NotRegular,
        "mount-point" => WriteError::MountPoint,
        "moved" => WriteError::Moved,
        "missing" => WriteError::Missing,
        "stopped" => WriteError::Stopped,
        _ => {
            WriteError::Failed { reason: rest.chars().filter(|character| !character.is_control()).take(200).collect() }
        }
    }
}
