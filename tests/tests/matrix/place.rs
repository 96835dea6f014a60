//! Where a trial's devices and desk lie: folders of accounts that are not root, file systems of their own.

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use keywheel_fleet::{Embedded, Trouble, matrix::Fault};
use tempfile::TempDir;

/// The number of the devices' account, where the tests run as root.
const ACCOUNT: u32 = 20_001;
/// Fills a file system.
const FILLER: &str = "filler";

/// The folders of a trial.
pub(crate) struct Place {
    fault: Fault,
    dir: TempDir,
}

impl Place {
    pub(crate) fn new(fault: Fault) -> Result<Self, Trouble> {
        let dir = tempfile::Builder::new().prefix("keywheel-matrix-").tempdir()?;
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        Ok(Self { fault, dir })
    }

    /// Whether both devices have one home.
    pub(crate) fn is_shared(&self) -> bool {
        self.fault == Fault::SharedHome
    }

    /// The folder of the desk; it has a file system of its own where that will be full.
    pub(crate) fn desk(&self) -> Result<TempDir, Trouble> {
        if self.fault != Fault::DiskFullHere {
            return Ok(tempfile::tempdir()?);
        }
        let disk = self.dir.path().join("disk");
        mounts::small(&disk, 4 << 20)?;
        Ok(tempfile::tempdir_in(disk)?)
    }

    fn device(&self, index: usize) -> PathBuf {
        self.dir.path().join(if self.is_shared() { 0 } else { index }.to_string())
    }

    /// The home of a device's account.
    pub(crate) fn home(&self, index: usize) -> Result<PathBuf, Trouble> {
        let home = self.device(index).join("home");
        if self.fault == Fault::DiskFullThere {
            mounts::small(&home, 64 << 10)?;
        } else {
            fs::create_dir_all(&home)?;
        }
        Ok(home)
    }

    /// The account's shell: what runs commands as the account.
    pub(crate) fn shell(&self, index: usize) -> Result<PathBuf, Trouble> {
        let shell = self.device(index).join("shell");
        write_shell(&shell, "")?;
        Ok(shell)
    }

    /// Gives a home with all that lies in it to the account.
    pub(crate) fn give(&self, home: &Path) -> Result<(), Trouble> {
        if nix::unistd::getuid().is_root() {
            for path in [home.to_owned(), home.join(".ssh"), home.join(".ssh/authorized_keys")] {
                chown(path, Some(ACCOUNT), Some(ACCOUNT))?;
            }
        }
        Ok(())
    }

    /// The disk that will be full, where it is the desk's.
    pub(crate) fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Makes a device's folder as it was, but for the keys.
    pub(crate) fn heal(&self, device: &Embedded) -> Result<(), Trouble> {
        for folder in [device.home(), &self.disk()] {
            if folder.join(FILLER).exists() {
                fs::remove_file(folder.join(FILLER))?;
            }
        }
        fs::set_permissions(device.authorized_keys_path(), Permissions::from_mode(0o600))?;
        write_shell(&shell_of(device.home()), "")
    }
}

fn shell_of(home: &Path) -> PathBuf {
    home.with_file_name("shell")
}

/// Writes the account's shell, which does this before it runs a command.
fn write_shell(path: &Path, first: &str) -> Result<(), Trouble> {
    let become_account = if nix::unistd::getuid().is_root() {
        format!("setpriv --reuid {ACCOUNT} --regid {ACCOUNT} --clear-groups -- ")
    } else {
        String::new()
    };
    let text = format!("#!/bin/sh\n{first}\nexec {become_account}/bin/sh \"$@\"\n");
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::set_permissions(&new, Permissions::from_mode(0o755))?;
    Ok(fs::rename(new, path)?)
}

/// Lets an account's shell do this before each command.
pub(crate) fn before_commands(home: &Path, first: &str) {
    write_shell(&shell_of(home), first).unwrap();
}

/// Takes what is free of a file system.
pub(crate) fn fill(folder: &Path) {
    let mut filler = fs::File::create(folder.join(FILLER)).unwrap();
    for size in [4096, 1] {
        while filler.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

pub(crate) mod mounts {
    //! File systems that only one test sees: the kernel takes them away with its process.

    use std::{path::Path, process::Command};

    use keywheel_fleet::{FleetError, Trouble, available};

    /// The variable that says so.
    const OWN: &str = "KEYWHEEL_MATRIX_MOUNTS";

    /// Whether this process has mounts of its own. If not, the test of this name is run in a process that has, or is skipped.
    pub(crate) fn own(name: &str) -> Result<bool, Trouble> {
        if std::env::var_os(OWN).is_some() {
            return Ok(true);
        }
        if !nix::unistd::getuid().is_root() {
            let reason = "a small file system needs root".to_owned();
            return Ok(available(Err::<(), _>(FleetError::Unavailable { reason }))?.is_some());
        }
        let name = name.split_once("::").map_or(name, |(_, name)| name);
        let mut test = Command::new("unshare");
        test.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe()?);
        let status = test.args([name, "--exact", "--nocapture"]).env(OWN, "1").status()?;
        assert!(status.success(), "{name}, with file systems of its own");
        Ok(false)
    }

    /// Makes a folder with a file system of so many bytes.
    pub(super) fn small(folder: &Path, size: u32) -> Result<(), Trouble> {
        std::fs::create_dir_all(folder)?;
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder).status()?;
        if status.success() { Ok(()) } else { Err(format!("{} can't be mounted", folder.display()).into()) }
    }
}
