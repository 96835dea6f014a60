//! Reading, writing and making files and keys, with the file's name in each error.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::FleetError;

/// Names the file an I/O error is about.
pub(crate) fn about(path: &Path) -> impl FnOnce(std::io::Error) -> FleetError {
    let path = path.to_owned();
    move |source| FleetError::File { path, source }
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FleetError> {
    fs::read(path).map_err(about(path))
}

/// Reads a whole file as text; bytes that are not UTF-8 are replaced, as in a log.
pub(crate) fn read_text(path: &Path) -> Result<String, FleetError> {
    Ok(String::from_utf8_lossy(&read(path)?).into_owned())
}

/// Writes a whole file and gives it exactly these permissions.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FleetError> {
    fs::write(path, bytes).map_err(about(path))?;
    set_mode(path, mode)
}

/// Makes a folder, and its parents, and gives it exactly these permissions.
pub(crate) fn folder(path: &Path, mode: u32) -> Result<(), FleetError> {
    fs::create_dir_all(path).map_err(about(path))?;
    set_mode(path, mode)
}

/// Gives a file exactly these permissions, whatever the umask.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), FleetError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(about(path))
}

/// Gives a file to a user and the group of the same number, unless it is theirs: only root can give files away.
pub(crate) fn give(path: &Path, uid: u32) -> Result<(), FleetError> {
    if fs::metadata(path).map_err(about(path))?.uid() == uid {
        return Ok(());
    }
    std::os::unix::fs::chown(path, Some(uid), Some(uid)).map_err(about(path))
}

/// Makes a folder for one device, which is removed when the value is dropped.
pub(crate) fn scratch() -> Result<tempfile::TempDir, FleetError> {
    tempfile::Builder::new().prefix("keywheel-fleet-").tempdir().map_err(about(&std::env::temp_dir()))
}

/// Says where a program lies, looking in the folders of administrators too.
///
/// # Errors
///
/// [`FleetError::Unavailable`] if it isn't installed.
pub(crate) fn program(name: &str) -> Result<PathBuf, FleetError> {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| FleetError::Unavailable { reason: format!("{name} isn't installed") })
}

/// Where OpenSSH's SFTP server lies; systems disagree.
pub(crate) fn sftp_server() -> Option<PathBuf> {
    [
        "/usr/lib/openssh/sftp-server",
        "/usr/libexec/openssh/sftp-server",
        "/usr/lib/ssh/sftp-server",
        "/usr/libexec/sftp-server",
    ]
    .iter()
    .map(PathBuf::from)
    .find(|path| path.is_file())
}

/// Runs a program to its end with this input, and gives its standard output.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, FleetError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let named = |source| FleetError::Program { program: program.clone(), source };
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(named)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that doesn't read its input closes the pipe; its exit status says whether that was an error.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(named)?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(FleetError::Failed { program, stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
    }
}

/// Makes a key pair without passphrase in `path` and `path.pub` with the real ssh-keygen.
pub(crate) fn ssh_keygen(path: &Path, kind: &str, comment: &str) -> Result<(), FleetError> {
    let mut command = Command::new(program("ssh-keygen")?);
    command.args(["-q", "-t", kind, "-N", "", "-C", comment, "-f"]).arg(path);
    if kind == "rsa" {
        // Large enough for every client, small enough to be made in a moment.
        command.args(["-b", "2048"]);
    }
    run(&mut command, b"").map(|_| ())
}
