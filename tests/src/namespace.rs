//! A device's own mount, process and host-name namespace, and the small script that is its first process.
//!
//! The script is process 1 of its namespace: when it ends, the kernel ends everything in it. It ends when its standard
//! input does, and the only writer of that pipe is the test, so a device can't outlive a test that was killed.
//! (`PR_SET_PDEATHSIG` would fire at the end of the thread that started the device, which is too early.)

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::FleetError;
use crate::files;

/// Answers commands, one word a line, until its input ends. `$serve` runs the server in the foreground.
const LOOP: &str = r#"
echo ready
while read -r word; do
    case $word in
        start) $serve >>/run/keywheel/server.out 2>&1 & server=$! ;;
        end-server) kill -9 "$server"; wait "$server" || true ;;
        end-all) kill -9 -1 || true; wait || true ;;
        *) echo "unknown word $word"; continue ;;
    esac
    echo "done"
done
"#;

/// Waits for the end of the namespace, and removes what it stood on. Its mounts are not seen from here.
const OUTSIDE: &str = r#"dir=$1; shift; "$@"; rm -rf -- "$dir""#;

/// Gives the device its own /run, /tmp, /etc and /home. Nothing of the real /etc can be changed from inside: the
/// overlay's upper layer lies in the namespace's own tmpfs.
const ROOT: &str = r#"
set -eu
dir=$1 name=$2
echo "$name" >/proc/sys/kernel/hostname
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /run/lock /run/keywheel /run/etc/upper /run/etc/work
mount --bind "$dir" /run/keywheel
if ! mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc 2>/dev/null; then
    cp -a /etc /run/etc/copy
    mount --bind /run/etc/copy /etc
fi
for file in passwd shadow group hosts; do
    cat "/run/keywheel/etc/$file" >"/etc/$file"
done
rm -rf /etc/sudoers.d /etc/ssh/sshd_config.d
mkdir -p /etc/ssh /etc/sudoers.d
rm -f /etc/sudoers
install -m 0440 /run/keywheel/etc/sudoers /etc/sudoers
install -m 0644 /run/keywheel/etc/sshd_config /etc/ssh/sshd_config
mount --bind /run/keywheel/home /home
if [ -d /run/keywheel/root ]; then mount --bind /run/keywheel/root /root; fi
. /run/keywheel/etc/mounts
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
cd /
umask 022
"#;

/// The same for somebody who isn't root, as far as it goes: only the home is the device's own.
const USER: &str = r#"
set -eu
dir=$1 name=$2 home=$3 uid=$4 gid=$5
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /run/keywheel
mount --bind "$dir" /run/keywheel
if [ -e /etc/ssh/sshd_config ]; then mount --bind "$dir/etc/sshd_config" /etc/ssh/sshd_config; fi
mount --bind "/run/keywheel/home/$6" "$home"
mount -t tmpfs -o mode=1777 tmpfs /tmp
cd /
umask 022
serve="unshare -U --map-user=$uid --map-group=$gid $serve"
"#;

/// How the namespace is made.
pub(crate) enum Rights<'a> {
    /// By root, with everything.
    Root,
    /// By an ordinary user, whose own home is replaced.
    User {
        /// The user's name, which is also the name of the folder under `home`.
        name: &'a str,
        /// The home to be hidden.
        home: &'a Path,
        /// The user's number.
        uid: u32,
        /// The number of the user's group.
        gid: u32,
    },
}

/// A running namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    child: Child,
    pipes: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Namespace {
    /// Makes the namespace over the device's folder; `serve` is the server's command line, and runs at [`Self::start`].
    pub(crate) fn enter(dir: &Path, name: &str, serve: &str, rights: &Rights<'_>) -> Result<Self, FleetError> {
        // Outside of the namespace, a shell removes the device's folder at the end: a test that was killed can't.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", OUTSIDE, "keywheel-device"]).arg(dir).arg(files::program("unshare")?);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LC_ALL", "C.UTF-8");
        let prepare = match rights {
            Rights::Root => {
                command.args(["-m", "-u", "-p", "-f", "--kill-child", "--mount-proc"]);
                ROOT
            }
            Rights::User { .. } => {
                command.args(["-U", "-r", "-m", "-p", "-f", "--kill-child", "--mount-proc"]);
                USER
            }
        };
        command.args(["sh", "-c", &format!("serve='{serve}'\n{prepare}\n{LOOP}"), "keywheel-device"]);
        command.arg(dir).arg(name);
        if let Rights::User { name, home, uid, gid } = rights {
            command.arg(home).arg(uid.to_string()).arg(gid.to_string()).arg(name);
        }
        let named = |source| FleetError::Program { program: "sh".to_owned(), source };
        let errors_path = dir.join("namespace.err");
        let errors = std::fs::File::create(&errors_path).map_err(files::about(&errors_path))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().map_err(named)?;
        let pipes = child.stdin.take().zip(child.stdout.take().map(BufReader::new));
        let namespace = Self { child, pipes: Mutex::new(pipes) };
        match namespace.answer("ready", None) {
            Ok(()) => Ok(namespace),
            Err(_) => Err(FleetError::Unavailable {
                reason: format!(
                    "a namespace of its own can't be made here ({})",
                    files::read_text(&errors_path)?.trim().replace('\n', "; ")
                ),
            }),
        }
    }

    /// Starts the server.
    pub(crate) fn start(&self) -> Result<(), FleetError> {
        self.answer("done", Some("start"))
    }

    /// Ends the listening server only; sessions that are open stay open, as they do when a real one is restarted.
    pub(crate) fn end_server(&self) -> Result<(), FleetError> {
        self.answer("done", Some("end-server"))
    }

    /// Ends every process of the device, as if its power had failed; files and mounts stay.
    pub(crate) fn end_all(&self) -> Result<(), FleetError> {
        self.answer("done", Some("end-all"))
    }

    /// The number that the namespace's first process has outside of it.
    pub(crate) fn first_process(&self) -> Result<u32, FleetError> {
        // The shell outside, unshare, and then the first process inside.
        child_of(child_of(self.child.id())?)
    }

    /// Where the device's own root folder is seen from outside.
    pub(crate) fn root(&self) -> Result<PathBuf, FleetError> {
        Ok(PathBuf::from(format!("/proc/{}/root", self.first_process()?)))
    }

    fn answer(&self, expected: &str, word: Option<&str>) -> Result<(), FleetError> {
        let control = |detail: String| FleetError::Control { detail };
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((stdin, stdout)) = pipes.as_mut() else {
            return Err(control("its pipes are closed".to_owned()));
        };
        if let Some(word) = word {
            writeln!(stdin, "{word}").map_err(|error| control(format!("{word}: {error}")))?;
        }
        let mut line = String::new();
        stdout.read_line(&mut line).map_err(|error| control(error.to_string()))?;
        if line.trim() == expected { Ok(()) } else { Err(control(format!("it answered \"{}\"", line.trim()))) }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The end of its input ends the script, and unshare ends after every process of the namespace has.
        drop(self.pipes.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        if let Ok(first) = self.first_process().map(u32::cast_signed) {
            // Process 1 takes all others of its namespace with it; it may have ended by itself meanwhile.
            let _ = kill(Pid::from_raw(first), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// The number of a process's only child.
fn child_of(id: u32) -> Result<u32, FleetError> {
    let children = files::read_text(&PathBuf::from(format!("/proc/{id}/task/{id}/children")))?;
    children
        .split_whitespace()
        .next()
        .and_then(|first| first.parse().ok())
        .ok_or_else(|| FleetError::Control { detail: "its first process has ended".to_owned() })
}
