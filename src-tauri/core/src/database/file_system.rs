//! Tells a file system of this machine from one over the network.
//!
//! SQLite's write-ahead log needs memory shared by all processes, and the locks that keep two processes from changing
//! the same credential are the kernel's: neither holds across machines.

use std::io;
use std::path::Path;

/// Where the bytes of a folder lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileSystem {
    /// On this machine, as far as can be told.
    Local,
    /// On another machine; the name of the kind.
    Network(String),
}

/// Kinds of network file systems by their number in `statfs(2)` and `linux/magic.h`.
#[cfg(target_os = "linux")]
const NETWORK: &[(i64, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x564c, "NCP"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00c3_6400, "Ceph"),
    (0x0102_1997, "9P"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0xaad7_aaea_u32 as i64, "PanFS"),
    (0x2003_0528, "OrangeFS"),
];

/// `statfs` says only "FUSE"; `/proc/self/mountinfo` says which.
#[cfg(target_os = "linux")]
const FUSE: i64 = 0x6573_5546;

/// FUSE file systems that keep their bytes on this machine. Any other may be a network one and counts as such.
#[cfg(target_os = "linux")]
const LOCAL_FUSE: &[&str] = &[
    "fuseblk",
    "fuse.ntfs",
    "fuse.ntfs-3g",
    "fuse.exfat",
    "fuse.ext2",
    "fuse.fuse2fs",
    "fuse.gocryptfs",
    "fuse.encfs",
    "fuse.cryfs",
    "fuse.cryfs@local",
    "fuse.securefs",
    "fuse.bindfs",
    "fuse.mergerfs",
    "fuse.unionfs",
    "fuse.fuse-overlayfs",
    "fuse.lxcfs",
];

/// Finds out where a folder's bytes lie.
#[cfg(target_os = "linux")]
pub(super) fn file_system(dir: &Path) -> io::Result<FileSystem> {
    let kind = nix::sys::statfs::statfs(dir)?.filesystem_type();
    // The type's width differs between C libraries; the numbers fit 32 bits.
    #[allow(clippy::unnecessary_cast, reason = "the field is i64, i32 or u32 by platform")]
    let number = (kind.0 as i64) & 0xffff_ffff;
    if let Some((_, name)) = NETWORK.iter().find(|(magic, _)| *magic == number) {
        return Ok(FileSystem::Network((*name).to_owned()));
    }
    if number == FUSE {
        use std::os::unix::fs::MetadataExt;
        let device = std::fs::metadata(dir)?.dev();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        return Ok(fuse_kind(&mounts, &format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device))));
    }
    Ok(FileSystem::Local)
}

/// Finds out where a folder's bytes lie.
#[cfg(target_os = "macos")]
pub(super) fn file_system(dir: &Path) -> io::Result<FileSystem> {
    let found = nix::sys::statfs::statfs(dir)?;
    if found.flags().contains(nix::mount::MntFlags::MNT_LOCAL) {
        Ok(FileSystem::Local)
    } else {
        Ok(FileSystem::Network(found.filesystem_type_name().to_owned()))
    }
}

/// Finds out where a folder's bytes lie: a UNC path is another machine's.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) fn file_system(dir: &Path) -> io::Result<FileSystem> {
    use std::path::{Component, Prefix};
    let full = std::fs::canonicalize(dir)?;
    Ok(match full.components().next() {
        Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..)) => {
            FileSystem::Network("a network share".to_owned())
        }
        _ => FileSystem::Local,
    })
}

/// Names the kind of a FUSE mount from the lines of proc(5)'s `mountinfo`.
#[cfg(target_os = "linux")]
fn fuse_kind(mountinfo: &str, device: &str) -> FileSystem {
    let kind = mountinfo.lines().find_map(|line| {
        // "36 35 98:0 /root /mount options optional… - kind source super-options"
        let (mount, rest) = line.split_once(" - ")?;
        (mount.split(' ').nth(2)? == device).then(|| rest.split(' ').next()).flatten()
    });
    match kind {
        Some(kind) if LOCAL_FUSE.contains(&kind) => FileSystem::Local,
        Some(kind) => FileSystem::Network(kind.to_owned()),
        None => FileSystem::Network("FUSE".to_owned()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
98 22 0:55 / /home/a/remote rw,nosuid shared:44 - fuse.sshfs ana@host:/ rw,user_id=1000
99 22 0:56 / /home/a/crypt rw,nosuid - fuse.gocryptfs /home/a/c rw,user_id=1000
";

    #[test]
    fn tells_sshfs_from_an_encrypted_folder() {
        assert_eq!(fuse_kind(MOUNTS, "0:55"), FileSystem::Network("fuse.sshfs".to_owned()));
        assert_eq!(fuse_kind(MOUNTS, "0:56"), FileSystem::Local);
    }

    #[test]
    fn a_fuse_mount_that_is_not_listed_counts_as_network() {
        assert_eq!(fuse_kind(MOUNTS, "0:57"), FileSystem::Network("FUSE".to_owned()));
    }

    #[test]
    fn a_folder_of_this_machine_is_local() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(file_system(dir.path()).unwrap(), FileSystem::Local);
    }
}
