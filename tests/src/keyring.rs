//! A real Secret Service that nobody else sees: a D-Bus session and a gnome-keyring of their own.
//!
//! Both run under a shell that waits at the end of a pipe from this process. When this process ends, in whatever way, the
//! pipe closes, and the shell ends both and removes their folder. (`PR_SET_PDEATHSIG` would follow the thread that started
//! them instead, and threads of a runtime come and go.)

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use zbus::blocking::{Connection, Proxy, connection};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

/// What the name of an audit's anchor ends with.
const ANCHOR: &str = "/audit/anchor";
/// The password that unlocks the keyring.
const PASSWORD: &str = "keywheel tests";
/// The longest path of a Unix socket, of which the daemons make some below the folder (unix(7): 108 bytes with the NUL).
const LONGEST_SOCKET: usize = 107;
const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// A hundred items are asked for one by one, on a machine that may be busy.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
const ENDS_WITHIN: Duration = Duration::from_secs(5);

const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <!-- The argument "address" is used in its stead, but without a place to listen the file is refused. -->
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// Runs the two daemons, waits for the end of its standard input, ends them and removes the folder.
///
/// Arguments: folder, address, `locked` or `unlocked`. The first line of the standard input is the password.
const GUARD: &str = r#"
folder=$1 address=$2
IFS= read -r password
{ dbus-daemon --config-file="$folder/bus.conf" --address="$address" --nofork --nopidfile </dev/null
  echo "dbus-daemon ended with $?"; } >"$folder/bus.log" 2>&1 &
tries=0
while [ ! -S "$folder/bus" ] && [ $tries -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
unlock=--unlock
[ "$3" = unlocked ] || unlock=
keyring() {
  printf %s "$password" | gnome-keyring-daemon --foreground $unlock --components=secrets \
    --control-directory="$folder/run/keyring"
  status=$?
  echo "gnome-keyring-daemon ended with $status"
  [ $status -gt 128 ]
}
# As a desktop does, it is started again when it has fallen over.
{ while keyring; do echo again >>"$folder/falls"; done; } >"$folder/keyring.log" 2>&1 &
# Only now, so that the daemons don't inherit it.
trap '' INT TERM HUP
IFS= read -r end
# The process group is the guard's own: it and the daemons.
kill -TERM 0
wait
rm -rf -- "$folder"
"#;

/// A keyring that could not be started or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateKeyringError {
    /// A program that is needed is not installed.
    #[error("{program} is not installed (Debian and Ubuntu: apt install dbus gnome-keyring).")]
    NotInstalled {
        /// The program.
        program: &'static str,
    },
    /// The folder's path leaves no room for the names of sockets in it.
    #[error("The path {} is too long for the sockets of a private keyring.", folder.display())]
    PathTooLong {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder or process could not be made.
    #[error("The private keyring in {} could not be started.", folder.display())]
    Start {
        /// Its folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The daemons did not come up in time.
    #[error("The private keyring did not come up within {} s: {log}", STARTS_WITHIN.as_secs())]
    NotUp {
        /// What the daemons printed.
        log: String,
    },
    /// The keyring gave no answer.
    #[error("The private keyring did not answer within {} s: {log}", ANSWERS_WITHIN.as_secs())]
    NoAnswer {
        /// What the daemons printed.
        log: String,
    },
    /// The keyring answered with an error.
    #[error("The private keyring failed.")]
    Bus(#[from] zbus::Error),
}

/// Whether a keyring starts unlocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Unlocked; the login keyring is made if it is not there.
    Unlocked,
    /// As after a login without password: the daemon runs, the keyring stays locked.
    Locked,
}

/// A private D-Bus session with a gnome-keyring, which end with this value and with this process.
#[derive(Debug)]
pub struct PrivateKeyring {
    folder: PathBuf,
    guard: Child,
    /// As long as this pipe is open, the daemons live.
    pipe: Option<ChildStdin>,
}

/// An item as it can be listed without reading its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The text for people.
    pub label: String,
    /// The item's name (attribute `username`), hashed by gnome-keyring while the keyring was never unlocked.
    pub name: String,
}

impl PrivateKeyring {
    /// Starts an unlocked keyring in a new folder `k` of a folder, which goes away with it.
    ///
    /// # Errors
    ///
    /// If a program is missing, the path too long for sockets, or the daemons don't come up.
    pub fn start(dir: &Path) -> Result<Self, PrivateKeyringError> {
        Self::start_with(dir, None, Start::Unlocked)
    }

    /// Starts a keyring, if wanted with the files of another one (from [`PrivateKeyring::files`]).
    ///
    /// # Errors
    ///
    /// As [`PrivateKeyring::start`].
    pub fn start_with(dir: &Path, files: Option<&Path>, start: Start) -> Result<Self, PrivateKeyringError> {
        for program in ["dbus-daemon", "gnome-keyring-daemon"] {
            if !installed(program) {
                return Err(PrivateKeyringError::NotInstalled { program });
            }
        }
        let folder = dir.join("k");
        if folder.join("run/keyring/control").as_os_str().len() > LONGEST_SOCKET {
            return Err(PrivateKeyringError::PathTooLong { folder });
        }
        let failed = |source| PrivateKeyringError::Start { folder: folder.clone(), source };
        prepare(&folder, files).map_err(failed)?;
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(GUARD)
            .arg("keyring-guard")
            .arg(&folder)
            .arg(address(&folder))
            .arg(match start {
                Start::Unlocked => "unlocked",
                Start::Locked => "locked",
            })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl+C in the terminal is for us; the guard sees our end, not the signal.
            .process_group(0)
            .current_dir("/");
        set_environment(&mut command, &folder);
        let mut guard = command.spawn().map_err(failed)?;
        let mut pipe = guard.stdin.take();
        let told = pipe.as_mut().map_or(Ok(()), |pipe| writeln!(pipe, "{PASSWORD}"));
        let keyring = Self { folder: folder.clone(), guard, pipe };
        told.map_err(failed)?;
        keyring.wait_until_up(start == Start::Unlocked || files.is_some())?;
        Ok(keyring)
    }

    /// Returns the address of the D-Bus session.
    pub fn address(&self) -> String {
        address(&self.folder)
    }

    /// Returns the folder that stands in for the home folder.
    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// Returns the folder of the keyring's files.
    pub fn files(&self) -> PathBuf {
        self.folder.join(FILES)
    }

    /// Returns the environment variables with which a program uses this keyring and this home.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        environment(&self.folder)
    }

    /// Makes a command use this keyring and this home, and no display.
    pub fn set_environment(&self, command: &mut Command) {
        set_environment(command, &self.folder);
    }

    /// How often the keyring has fallen over and was started again, unlocked.
    ///
    /// gnome-keyring 42 to 50 may end itself (SIGTRAP, SIGABRT) where one client goes while another comes: "assertion 'client'
    /// failed" is what it logs.
    pub fn falls(&self) -> usize {
        std::fs::read_to_string(self.folder.join("falls")).unwrap_or_default().lines().count()
    }

    /// How many connections the bus has had until now, the one that asks among them: it numbers them (`:1.7`).
    ///
    /// # Errors
    ///
    /// If the bus does not answer.
    pub fn connections(&self) -> Result<u32, PrivateKeyringError> {
        self.ask(|bus| {
            let number = bus.unique_name().and_then(|name| name.rsplit_once('.')?.1.parse().ok());
            number.ok_or_else(|| zbus::Error::Failure("the bus gave no number".to_owned()))
        })
    }

    /// Makes the keyring fall over.
    ///
    /// # Errors
    ///
    /// If it does not answer, or can't be killed.
    pub fn fell(&self) -> Result<(), PrivateKeyringError> {
        let id: u32 = self.ask(|bus| {
            let daemon = Proxy::new(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")?;
            daemon.call("GetConnectionUnixProcessID", &("org.freedesktop.secrets",))
        })?;
        let killed = kill(Pid::from_raw(id.cast_signed()), Signal::SIGTRAP);
        killed.map_err(|error| PrivateKeyringError::Start { folder: self.folder.clone(), source: error.into() })
    }

    /// Waits until the keyring answers, as it does soon after it has fallen over.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn wait(&self) -> Result<(), PrivateKeyringError> {
        self.wait_until_up(true)
    }

    /// Locks the keyring.
    ///
    /// # Errors
    ///
    /// If the keyring does not answer.
    pub fn lock(&self) -> Result<(), PrivateKeyringError> {
        self.ask(|bus| {
            let service = service(bus)?;
            let _: (Vec<OwnedObjectPath>, OwnedObjectPath) = service.call("Lock", &(vec![collection(&service)?],))?;
            Ok(())
        })
    }

    /// Unlocks the keyring with its password, without a prompt.
    ///
    /// # Errors
    ///
    /// If the keyring does not answer.
    pub fn unlock(&self) -> Result<(), PrivateKeyringError> {
        self.ask(|bus| {
            let service = service(bus)?;
            let (_, session): (OwnedValue, OwnedObjectPath) =
                service.call("OpenSession", &("plain", Value::from("")))?;
            // gnome-keyring's own door for programs that know the password, as the login does.
            let door = Proxy::new(
                bus,
                "org.freedesktop.secrets",
                "/org/freedesktop/secrets",
                "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface",
            )?;
            let secret = (session, Vec::<u8>::new(), PASSWORD.as_bytes().to_vec(), "text/plain");
            let () = door.call("UnlockWithMasterPassword", &(collection(&service)?, secret))?;
            Ok(())
        })
    }

    /// Lists Keywheel's secrets, also of a locked keyring; the audit's anchor is none.
    ///
    /// # Errors
    ///
    /// If the keyring does not answer.
    pub fn items(&self) -> Result<Vec<Item>, PrivateKeyringError> {
        self.ask(|bus| {
            let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) =
                service(bus)?.call("SearchItems", &(HashMap::from([("service", "keywheel")]),))?;
            let mut items = Vec::new();
            for path in unlocked.into_iter().chain(locked) {
                let item = Proxy::new(bus, "org.freedesktop.secrets", path, "org.freedesktop.Secret.Item")?;
                let mut attributes: HashMap<String, String> = item.get_property("Attributes")?;
                let name = attributes.remove("username").unwrap_or_default();
                if !name.ends_with(ANCHOR) {
                    items.push(Item { label: item.get_property("Label")?, name });
                }
            }
            items.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(items)
        })
    }

    /// Asks on a thread of its own, so that this can be called from within a runtime, and so that it ends when the bus
    /// does not answer (zbus bounds calls, but not the first greeting).
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> zbus::Result<T> + Send + 'static,
    ) -> Result<T, PrivateKeyringError> {
        let address = self.address();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let ask = || {
                let bus = connection::Builder::address(address.as_str())?.method_timeout(ANSWERS_WITHIN).build()?;
                question(&bus)
            };
            // Nobody waits any more when the time was up.
            let _ = sender.send(ask());
        });
        match receiver.recv_timeout(ANSWERS_WITHIN) {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(PrivateKeyringError::NoAnswer { log: self.log() }),
        }
    }

    fn wait_until_up(&self, has_default: bool) -> Result<(), PrivateKeyringError> {
        let begun = Instant::now();
        loop {
            // The daemon takes its name on the bus before it makes or finds its default keyring.
            let up = self.ask(move |bus| {
                let service = service(bus)?;
                Ok(!has_default || collection(&service)?.as_str() != "/")
            });
            match up {
                Ok(true) => return Ok(()),
                Ok(false) | Err(_) if begun.elapsed() < STARTS_WITHIN => thread::sleep(Duration::from_millis(20)),
                Ok(false) | Err(_) => return Err(PrivateKeyringError::NotUp { log: self.log() }),
            }
        }
    }

    /// Returns what the daemons printed, and with which status they ended, if they did.
    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("bus.log") + &read("keyring.log")
    }
}

impl Drop for PrivateKeyring {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let begun = Instant::now();
        while begun.elapsed() < ENDS_WITHIN {
            if let Ok(Some(_)) = self.guard.try_wait() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        // Its process group is its own, and holds nothing but it and the daemons.
        if let Ok(id) = i32::try_from(self.guard.id()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
        let _ = self.guard.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const FILES: &str = "home/.local/share/keyrings";

fn prepare(folder: &Path, files: Option<&Path>) -> io::Result<()> {
    // Without `recursive`: a folder that is there already belongs to somebody else, and would be removed in the end.
    DirBuilder::new().mode(0o700).create(folder)?;
    DirBuilder::new().mode(0o700).create(folder.join("run"))?;
    DirBuilder::new().mode(0o700).recursive(true).create(folder.join(FILES))?;
    std::fs::write(folder.join("bus.conf"), BUS)?;
    if let Some(files) = files {
        for file in std::fs::read_dir(files)? {
            let file = file?;
            std::fs::copy(file.path(), folder.join(FILES).join(file.file_name()))?;
        }
    }
    Ok(())
}

fn environment(folder: &Path) -> Vec<(&'static str, OsString)> {
    let home = folder.join("home");
    vec![
        ("DBUS_SESSION_BUS_ADDRESS", address(folder).into()),
        ("XDG_RUNTIME_DIR", folder.join("run").into()),
        ("XDG_DATA_HOME", home.join(".local/share").into()),
        ("XDG_CONFIG_HOME", home.join(".config").into()),
        ("XDG_CACHE_HOME", home.join(".cache").into()),
        ("XDG_STATE_HOME", home.join(".local/state").into()),
        ("HOME", home.into()),
    ]
}

fn set_environment(command: &mut Command, folder: &Path) {
    command.envs(environment(folder));
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "GNOME_KEYRING_CONTROL", "SSH_AUTH_SOCK"] {
        command.env_remove(name);
    }
}

fn address(folder: &Path) -> String {
    let mut address = String::from("unix:path=");
    // The D-Bus specification, "Server Addresses": other bytes than these are escaped.
    for byte in folder.join("bus").into_os_string().into_encoded_bytes() {
        match byte {
            b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'/' | b'.' | b'*' => {
                address.push(char::from(byte))
            }
            _ => address.push_str(&format!("%{byte:02x}")),
        }
    }
    address
}

fn installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

fn service(bus: &Connection) -> zbus::Result<Proxy<'_>> {
    Proxy::new(bus, "org.freedesktop.secrets", "/org/freedesktop/secrets", "org.freedesktop.Secret.Service")
}

fn collection(service: &Proxy<'_>) -> zbus::Result<OwnedObjectPath> {
    service.call::<_, _, (OwnedObjectPath,)>("ReadAlias", &("default",)).map(|(path,)| path)
}
