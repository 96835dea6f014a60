//! What a device tells about one file.

use super::ProgramError;
use super::answer::Answer;

/// Defines `Q`, which finds the account's home, and `F`, which describes one file and sends its bytes.
///
/// The home comes from the account's entry, as sshd takes it, and only then from `HOME`, which start-up files may change. An
/// account that the SSH server alone knows, as on some appliances, has no entry; its home is what the server said.
/// Links are followed one by one with `readlink`, since `readlink -f` and `realpath` are missing on older systems.
pub(super) const DESCRIBE: &str = "h=;Q(){ u=$(id -un);k=$(id -u);e=;\
    if [ -n \"$LOGNAME\" ];then w=$(id -u \"$LOGNAME\" 2>/dev/null);\
    if [ -z \"$w\" ];then u=$LOGNAME;h=$HOME;return;fi;[ \"$w\" = \"$k\" ]&&u=$LOGNAME;fi;\
    e=$(getent passwd \"$u\" 2>/dev/null||grep -e \"^$u:\" /etc/passwd 2>/dev/null);\
    h=${e%:*};h=${h##*:};[ -n \"$h\" ]||h=$HOME;};\
    B(){ if c=$(cksum <\"$1\" 2>/dev/null);then s=${c##* };else c=$(sha256sum <\"$1\")||return;s=$(wc -c <\"$1\");s=$((s));fi;\
    if [ $s -gt 16777216 ];then p large;else p bytes $s \"$c\";cat \"$1\";echo;p end;fi;};\
    F(){ f=$1;case $f in /*);;*)[ -n \"$h\" ]||Q;\
    case $f in \"~\"*)case $f in \"~/\"*)f=$h/${f#??};;*)f=$h/$f;;esac;;*)f=$h/$f;;esac;;esac;\
    p file \"$1\";n=0;while [ -h \"$f\" ];do n=$((n+1));[ $n -gt 40 ]&&break;l=$(readlink \"$f\")||break;\
    case $l in /*)f=$l;;*)f=${f%/*}/$l;;esac;done;\
    d=$(cd -P \"${f%/*}/\" 2>/dev/null&&pwd -P);[ -n \"$d\" ]&&f=${d%/}/${f##*/};\
    case $f in *\"$N\"*)p kind newline;p done;return;;esac;p path \"$f\";p links $n;\
    if [ -z \"$d\" ];then p kind no-directory;p done;return;\
    elif [ -h \"$f\" ];then k=link;elif [ -f \"$f\" ];then k=regular;elif [ -e \"$f\" ];then k=other;else k=missing;fi;p kind $k;\
    a=-;[ -w \"$d\" ]&&a=${a}d;[ -r \"$f\" ]&&a=${a}r;[ -w \"$f\" ]&&a=${a}w;p may $a;\
    w=$d;set --;while :;do set -- \"$@\" \"$w\";[ \"$w\" = / ]&&break;w=${w%/*};w=${w:-/};done;\
    w=$(ls -ldn -- \"$@\" 2>/dev/null);for e in \"$@\";do p dir \"$e\";done;IFS=$N;for e in $w;do IFS=\" \";p lsdir \"$e\";done;IFS=\" $N\";\
    if [ $k = missing ];then w=$d;else w=$f;\
    p ls \"$(ls -ldn -- \"$f\")\";p names \"$(ls -ld -- \"$f\")\";\
    p id \"$(stat -c %d:%i -- \"$f\" 2>/dev/null||stat -f %d:%i -- \"$f\" 2>/dev/null)\";\
    set +f;for e in \"$d\"/.kw-*.old;do [ \"$e\" -ef \"$f\" ]&&p in-hand;done 2>/dev/null;set -f;\
    set -- $(ls -ldn -- \"$f\");p count $2;\
    p flags \"$(lsattr -d \"$f\" 2>/dev/null)\";\
    p acl \"$(getfacl -n \"$f\" 2>/dev/null|grep -c \"^[a-z]\")\";\
    grep -qFe \" $f \" /proc/self/mountinfo 2>/dev/null&&p mount;fi;\
    p df \"$(df -Pk -- \"$w\" 2>/dev/null|tail -n 1)\";\
    if [ $k = regular ]&&[ -r \"$f\" ];then B \"$f\";fi;p done;};";

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// Nothing, in a directory that exists.
    Missing,
    /// Nothing, and the directory is missing too or can't be entered.
    NoDirectory,
    /// A directory, a device, a socket or a pipe.
    Other,
    /// A symbolic link that can't be followed to its end.
    UnfollowedLink,
}

/// The mark behind the permissions in a long listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeSign {
    /// None, or a listing that shows none (busybox).
    None,
    /// `+`: an access control list.
    Acl,
    /// `.`: a security label.
    Label,
    /// `@`: extended attributes (macOS).
    Attributes,
}

/// Permissions, as `chmod` takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Mode {
    /// Whether sshd's StrictModes would refuse for this mode: group or others may write.
    pub fn others_may_write(self) -> bool {
        self.0 & 0o022 != 0
    }
}

/// Which file it is, however it is named: two names with one identity are one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The device number.
    pub device: u64,
    /// The inode number.
    pub inode: u64,
}

/// A directory on the way to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryState {
    /// Its path.
    pub path: String,
    /// Its permissions.
    pub mode: Mode,
    /// Its owner's number.
    pub owner: u32,
    /// Its group's number.
    pub group: u32,
}

/// What was found at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileState {
    /// The path as it was asked for.
    pub asked: String,
    /// The path after all links, absolute; the one to write.
    pub path: String,
    /// How many links were followed at the last name of the path.
    pub links_followed: u32,
    /// What stands there.
    pub kind: FileKind,
    /// Device and inode, where the device can tell them.
    pub identity: Option<Identity>,
    /// Permissions.
    pub mode: Option<Mode>,
    /// The mark behind the permissions.
    pub sign: AttributeSign,
    /// The owner's number.
    pub owner: Option<u32>,
    /// The group's number.
    pub group: Option<u32>,
    /// The owner's name, or its number where it has none.
    pub owner_name: Option<String>,
    /// The group's name, or its number where it has none.
    pub group_name: Option<String>,
    /// The number of hard links.
    pub link_count: Option<u32>,
    /// Whether `getfacl` shows more than the three entries that permissions are; `None` where there is no `getfacl`.
    pub extended_acl: Option<bool>,
    /// Whether the file is marked immutable or append-only (`lsattr`).
    pub immutable: bool,
    /// Whether the file itself is a mount point.
    pub mount_point: bool,
    /// Whether the account may read it.
    pub readable: bool,
    /// Whether the account may write it.
    pub writable: bool,
    /// Whether the account may make files in its directory.
    pub directory_writable: bool,
    /// The space left for the account, in bytes.
    pub free: Option<u64>,
    /// The directories from the file's own up to `/`, in this order.
    pub directories: Vec<DirectoryState>,
    /// Whether it is larger than is read.
    pub too_large: bool,
    /// The bytes, where it is a regular file that may be read.
    pub content: Option<Vec<u8>>,
}

impl FileState {
    /// Reads one file's frames, behind its `file` line, up to `done`.
    pub(super) fn parse(asked: &str, answer: &mut Answer<'_>) -> Result<Self, ProgramError> {
        let mut file = Self {
            asked: asked.to_owned(),
            path: String::new(),
            links_followed: 0,
            kind: FileKind::Missing,
            identity: None,
            mode: None,
            sign: AttributeSign::None,
            owner: None,
            group: None,
            owner_name: None,
            group_name: None,
            link_count: None,
            extended_acl: None,
            immutable: false,
            mount_point: false,
            readable: false,
            writable: false,
            directory_writable: false,
            free: None,
            directories: Vec::new(),
            too_large: false,
            content: None,
        };
        let mut names: Vec<String> = Vec::new();
        loop {
            let frame = answer.next().ok_or(ProgramError::Incomplete { missing: "the end of a file's description" })?;
            if frame.word == "path" {
                frame.text()?.clone_into(&mut file.path);
                continue;
            }
            // Only the path must be text: link targets' and owners' other spellings decide nothing.
            let text = String::from_utf8_lossy(frame.rest);
            match frame.word {
                "done" => break,
                "links" => file.links_followed = text.parse().unwrap_or(0),
                "kind" => {
                    file.kind = match &*text {
                        "regular" => FileKind::Regular,
                        "missing" => FileKind::Missing,
                        "no-directory" => FileKind::NoDirectory,
                        "other" => FileKind::Other,
                        "link" => FileKind::UnfollowedLink,
                        "newline" => return Err(ProgramError::PathNotOneLine { path: asked.to_owned() }),
                        _ => return Err(ProgramError::Malformed { part: "a file's kind" }),
                    }
                }
                "may" => {
                    file.directory_writable = text.contains('d');
                    file.readable = text.contains('r');
                    file.writable = text.contains('w');
                }
                "dir" => names.push(text.into_owned()),
                "lsdir" => {
                    if let (Some(listing), Some(path)) =
                        (Listing::parse(&text), names.iter().find(|name| text.ends_with(&format!(" {name}"))))
                        && let (Ok(owner), Ok(group)) = (listing.owner.parse(), listing.group.parse())
                    {
                        file.directories.push(DirectoryState { path: path.clone(), mode: listing.mode, owner, group });
                    }
                }
                "ls" => {
                    let listing = Listing::parse(&text).ok_or(ProgramError::Malformed { part: "a listing" })?;
                    file.mode = Some(listing.mode);
                    file.sign = listing.sign;
                    file.link_count = Some(listing.links);
                    file.owner = listing.owner.parse().ok();
                    file.group = listing.group.parse().ok();
                }
                "names" => {
                    if let Some(listing) = Listing::parse(&text) {
                        file.owner_name = Some(listing.owner.to_owned());
                        file.group_name = Some(listing.group.to_owned());
                    }
                }
                "id" => {
                    file.identity = text.split_once(':').and_then(|(device, inode)| {
                        Some(Identity { device: device.parse().ok()?, inode: inode.parse().ok()? })
                    });
                }
                // A write gives the file a second name while it is under way.
                "in-hand" => file.link_count = None,
                "count" => file.link_count = file.link_count.min(text.parse().ok()),
                "flags" => {
                    let flags = text.split(' ').next().unwrap_or_default();
                    file.immutable = flags.contains(['i', 'a']);
                }
                "acl" => file.extended_acl = text.parse().ok().filter(|count: &u32| *count > 0).map(|count| count > 3),
                "mount" => file.mount_point = true,
                "df" => {
                    let words: Vec<&str> = text.split_ascii_whitespace().collect();
                    file.free = words
                        .windows(2)
                        .find_map(|pair| match pair {
                            [left, share] if share.ends_with('%') || *share == "-" => left.parse::<u64>().ok(),
                            _ => None,
                        })
                        .map(|kibibytes| kibibytes.saturating_mul(1024));
                }
                "large" => file.too_large = true,
                "bytes" => file.content = Some(answer.content(&text, asked)?.to_vec()),
                _ => {}
            }
        }
        // The file's own directory first: a listing is sorted by name, so the longest path comes last.
        file.directories.sort_by_key(|directory| std::cmp::Reverse(directory.path.len()));
        if file.path.is_empty() {
            return Err(ProgramError::Incomplete { missing: "a file's path" });
        }
        Ok(file)
    }

    /// Whether nobody but root can write the file, or lead its path elsewhere.
    pub fn is_roots_alone(&self) -> bool {
        let tight = |owner, mode: Mode| owner == 0 && !mode.others_may_write();
        self.asked == self.path
            && self.owner.zip(self.mode).is_some_and(|(owner, mode)| tight(owner, mode))
            && self.directories.last().is_some_and(|directory| directory.path == "/")
            && self.directories.iter().all(|directory| tight(directory.owner, directory.mode))
    }

    /// Whether the file's place, after all links, is outside this directory.
    pub fn is_outside(&self, home: &str) -> bool {
        let home = home.trim_end_matches('/');
        !self.path.strip_prefix(home).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// The head of a line of `ls -ld` (IEEE Std 1003.1, utility `ls`, STDOUT).
struct Listing<'a> {
    mode: Mode,
    sign: AttributeSign,
    links: u32,
    owner: &'a str,
    group: &'a str,
}

impl<'a> Listing<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let letters = words.next()?;
        let (mode, rest) = letters.split_at_checked(10)?;
        let sign = match rest {
            "+" => AttributeSign::Acl,
            "." => AttributeSign::Label,
            "@" => AttributeSign::Attributes,
            _ => AttributeSign::None,
        };
        let links = words.next()?.parse().ok()?;
        Some(Self { mode: permissions(mode)?, sign, links, owner: words.next()?, group: words.next()? })
    }
}

fn permissions(letters: &str) -> Option<Mode> {
    let mut mode = 0;
    for (position, letter) in letters.chars().skip(1).enumerate() {
        let bit = 1 << 8_usize.checked_sub(position)?;
        let special = match position / 3 {
            0 => 0o4000,
            1 => 0o2000,
            _ => 0o1000,
        };
        mode |= match letter {
            'r' | 'w' | 'x' => bit,
            's' | 't' => bit | special,
            'S' | 'T' | 'l' => special,
            _ => 0,
        };
    }
    Some(Mode(mode))
}
