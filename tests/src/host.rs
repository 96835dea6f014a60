//! What every real server of the fleet has: its folder, its accounts with their homes, and its namespace.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::account::{Account, Storage, Sudo};
use crate::client::Target;
use crate::error::FleetError;
use crate::files;
use crate::namespace::{Namespace, Rights};

static COUNT: AtomicU32 = AtomicU32::new(1);

/// The number of a device's first account; the real system's own accounts stay below it.
const FIRST_UID: u32 = 20_001;

/// How long a server may take to listen; a machine under load needs seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// One device: a folder, accounts that exist only in it, and the namespace its server runs in.
#[derive(Debug)]
pub struct Host {
    // Dropped before the folder: the processes in it hold files there.
    namespace: Namespace,
    name: String,
    port: u16,
    accounts: Vec<(Account, u32)>,
    dir: TempDir,
}

/// Who the tests run as, and what that allows.
#[derive(Debug, Clone)]
pub(crate) enum Runner {
    /// Root: any accounts.
    Root,
    /// Somebody else: the one account there is.
    User { name: String, home: PathBuf, uid: u32, gid: u32 },
}

impl Runner {
    /// Finds out who runs the tests.
    pub(crate) fn current() -> Result<Self, FleetError> {
        let id = |flag: &str| -> Result<String, FleetError> {
            let out = files::run(Command::new(files::program("id")?).arg(flag), b"")?;
            Ok(String::from_utf8_lossy(&out).trim().to_owned())
        };
        let number = |text: String| {
            text.parse::<u32>().map_err(|_| FleetError::Unavailable { reason: format!("id answers \"{text}\"") })
        };
        let (uid, gid) = (number(id("-u")?)?, number(id("-g")?)?);
        if uid == 0 {
            return Ok(Self::Root);
        }
        let passwd = files::read_text(Path::new("/etc/passwd"))?;
        let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| match *fields {
            [name, _, number, _, _, home, _] if number == uid.to_string() => Some((name.to_owned(), home.into())),
            _ => None,
        });
        match entry {
            Some((name, home)) => Ok(Self::User { name, home, uid, gid }),
            None => Err(FleetError::Unavailable { reason: format!("user {uid} isn't in /etc/passwd") }),
        }
    }
}

impl Host {
    /// Makes the device's files and enters its namespace; nothing listens yet.
    ///
    /// `serve` is the server's command line. It sees `port`'s device folder as `/run/keywheel`, and its
    /// `etc/sshd_config` as `/etc/ssh/sshd_config`.
    pub(crate) fn prepare(
        dir: TempDir,
        accounts: Vec<Account>,
        port: u16,
        sshd_config: &str,
        serve: &str,
    ) -> Result<Self, FleetError> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("device-{number:02}");
        let runner = Runner::current()?;
        let etc = dir.path().join("etc");
        files::folder(&etc, 0o755)?;
        files::write(&etc.join("sshd_config"), sshd_config.as_bytes(), 0o644)?;
        files::folder(&dir.path().join("home"), 0o755)?;
        let accounts = match &runner {
            Runner::Root => root_accounts(dir.path(), &name, accounts)?,
            Runner::User { name, uid, .. } => own_account(dir.path(), name, *uid, accounts)?,
        };
        let rights = match &runner {
            Runner::Root => Rights::Root,
            Runner::User { name, home, uid, gid } => Rights::User { name, home, uid: *uid, gid: *gid },
        };
        let namespace = Namespace::enter(dir.path(), &name, serve, &rights)?;
        Ok(Self { namespace, name, port, accounts, dir })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name the device gives itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its first account.
    pub fn account(&self) -> &str {
        self.accounts.first().map_or("", |(account, _)| account.name.as_str())
    }

    /// The home of its first account, as seen from outside.
    pub fn home(&self) -> PathBuf {
        self.home_of(self.account()).unwrap_or_else(|_| self.dir.path().join("home"))
    }

    /// The home of one of its accounts, as seen from outside.
    ///
    /// # Errors
    ///
    /// Fails if there is no such account, or if its home is in a small file system and the device has ended.
    pub fn home_of(&self, account: &str) -> Result<PathBuf, FleetError> {
        let (found, _) = self.find(account)?;
        Ok(match found.storage {
            // A file system of the namespace is seen only through one of its processes.
            Storage::Small(_) => self.namespace.root()?.join(inner_home(account).trim_start_matches('/')),
            Storage::Folder | Storage::ReadOnly => outer_home(self.dir.path(), account),
        })
    }

    /// The device's whole file tree as its own processes see it (`/etc/shadow`, `/tmp`, …).
    ///
    /// # Errors
    ///
    /// Fails if the device has ended.
    pub fn root(&self) -> Result<PathBuf, FleetError> {
        self.namespace.root()
    }

    /// Where the authorized_keys file of its first account is.
    pub fn authorized_keys_path(&self) -> PathBuf {
        self.home().join(".ssh/authorized_keys")
    }

    /// Reads the authorized_keys of its first account.
    ///
    /// # Errors
    ///
    /// Fails if there is none.
    pub fn authorized_keys(&self) -> Result<Vec<u8>, FleetError> {
        files::read(&self.authorized_keys_path())
    }

    /// Writes the authorized_keys of its first account as that account would: `.ssh` with 0700, the file with 0600.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub fn write_authorized_keys(&self, bytes: &[u8]) -> Result<(), FleetError> {
        self.write_authorized_keys_of(self.account(), bytes)
    }

    /// The same for any of its accounts.
    ///
    /// # Errors
    ///
    /// Fails if there is no such account or the file can't be written.
    pub fn write_authorized_keys_of(&self, account: &str, bytes: &[u8]) -> Result<(), FleetError> {
        let (_, uid) = self.find(account)?;
        let folder = self.home_of(account)?.join(".ssh");
        let file = folder.join("authorized_keys");
        if !folder.is_dir() {
            files::folder(&folder, 0o700)?;
            files::give(&folder, *uid)?;
        }
        files::write(&file, bytes, 0o600)?;
        files::give(&file, *uid)
    }

    /// Gives a file or folder that stands anywhere on the device to one of its accounts.
    ///
    /// # Errors
    ///
    /// Fails if there is no such account or the file can't be given away.
    pub fn give(&self, account: &str, path: &Path) -> Result<(), FleetError> {
        let (_, uid) = self.find(account)?;
        files::give(path, *uid)
    }

    /// Runs a text of `sh` on the device, as the system's own root and among the mounts that its accounts see.
    ///
    /// # Errors
    ///
    /// [`FleetError::Unavailable`] if the tests don't run as root; fails with the words of what failed there.
    pub fn inside(&self, script: &str) -> Result<Vec<u8>, FleetError> {
        if !matches!(Runner::current()?, Runner::Root) {
            return Err(FleetError::Unavailable { reason: "a device's mounts can be changed by root only".to_owned() });
        }
        let mut command = Command::new(files::program("nsenter")?);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        command.args(["-t", &self.namespace.first_process()?.to_string(), "-m", "-u", "-p", "--"]);
        command.args(["/bin/sh", "-euc", script]);
        files::run(&mut command, b"")
    }

    /// What an SSH client has to be told to log in to an account.
    pub(crate) fn target_for(&self, account: &str, host_keys: Vec<String>) -> Target {
        Target { port: self.port, account: account.to_owned(), host_keys }
    }

    /// The device's folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The device's namespace.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Starts the server and waits until it listens, which it tells by writing `ready` to its log.
    pub(crate) fn serve(&self, server: &'static str, log: &str, ready: &str, taken: &[&str]) -> Result<(), FleetError> {
        let log = self.dir().join(log);
        let read = || files::read_text(&log).unwrap_or_default();
        let already = read().len();
        self.namespace.start()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = read();
            let new = text.get(already..).unwrap_or_default();
            if taken.iter().any(|mark| new.contains(mark)) {
                return Err(FleetError::PortTaken { port: self.port });
            }
            if new.contains(ready) && TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            if new.contains("fatal:") || new.contains("terminating") || Instant::now() > deadline {
                let said = files::read_text(&self.dir().join("server.out")).unwrap_or_default();
                return Err(FleetError::NotStarted { server, port: self.port, log: format!("{new}{said}") });
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    fn find(&self, account: &str) -> Result<&(Account, u32), FleetError> {
        self.accounts
            .iter()
            .find(|(found, _)| found.name == account)
            .ok_or_else(|| FleetError::NoAccount { account: account.to_owned() })
    }
}

fn inner_home(account: &str) -> String {
    if account == "root" { "/root".to_owned() } else { format!("/home/{account}") }
}

fn outer_home(dir: &Path, account: &str) -> PathBuf {
    if account == "root" { dir.join("root") } else { dir.join("home").join(account) }
}

/// Makes a home with an empty `.ssh`.
fn make_home(home: &Path, uid: u32) -> Result<(), FleetError> {
    files::folder(home, 0o755)?;
    files::folder(&home.join(".ssh"), 0o700)?;
    files::give(&home.join(".ssh"), uid)?;
    files::give(home, uid)
}

/// Writes the account files of a device and makes the homes.
fn root_accounts(dir: &Path, name: &str, accounts: Vec<Account>) -> Result<Vec<(Account, u32)>, FleetError> {
    let numbered: Vec<(Account, u32)> = accounts
        .into_iter()
        .zip(FIRST_UID..)
        .map(|(account, uid)| if account.name == "root" { (account, 0) } else { (account, uid) })
        .collect();
    let others = |path: &str| -> Result<String, FleetError> {
        let text = files::read_text(Path::new(path))?;
        let mine = |line: &&str| numbered.iter().any(|(a, _)| line.split(':').next() == Some(a.name.as_str()));
        Ok(text.lines().filter(|line| !mine(line)).map(|line| format!("{line}\n")).collect())
    };
    let mut passwd = others("/etc/passwd")?;
    let mut shadow = others("/etc/shadow")?;
    let mut group = others("/etc/group")?;
    let mut hosts = files::read_text(Path::new("/etc/hosts"))?;
    let mut sudoers = "Defaults env_reset\nDefaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\nroot ALL=(ALL:ALL) ALL\n".to_owned();
    let mut mounts = String::new();
    hosts.push_str(&format!("\n127.0.0.1 {name}\n"));
    for (account, uid) in &numbered {
        let Account { name, shell, password, sudo, storage } = account;
        let home = inner_home(name);
        // "*" is an account nobody has a password for; "!" would be a locked one, which sshd refuses altogether.
        let hash = match password {
            Some(password) => crypt(password)?,
            None => "*".to_owned(),
        };
        passwd.push_str(&format!("{name}:x:{uid}:{uid}:{name}:{home}:{shell}\n"));
        shadow.push_str(&format!("{name}:{hash}:19000:0:99999:7:::\n"));
        group.push_str(&format!("{name}:x:{uid}:\n"));
        match sudo {
            Sudo::None => {}
            Sudo::NoPassword => sudoers.push_str(&format!("{name} ALL=(ALL:ALL) NOPASSWD: ALL\n")),
            Sudo::WithPassword => sudoers.push_str(&format!("{name} ALL=(ALL:ALL) ALL\n")),
        }
        make_home(&outer_home(dir, name), *uid)?;
        match storage {
            Storage::Folder => {}
            Storage::Small(bytes) => mounts.push_str(&format!(
                "mount -t tmpfs -o size={bytes},mode=755,uid={uid},gid={uid} tmpfs {home}\n\
                 install -d -m 0700 -o {uid} -g {uid} {home}/.ssh\n"
            )),
            Storage::ReadOnly => {
                mounts.push_str(&format!("mount --bind {home} {home}\nmount -o remount,bind,ro {home}\n"));
            }
        }
    }
    sudoers.push_str("@includedir /etc/sudoers.d\n");
    let etc = dir.join("etc");
    files::write(&etc.join("passwd"), passwd.as_bytes(), 0o644)?;
    files::write(&etc.join("shadow"), shadow.as_bytes(), 0o600)?;
    files::write(&etc.join("group"), group.as_bytes(), 0o644)?;
    files::write(&etc.join("hosts"), hosts.as_bytes(), 0o644)?;
    files::write(&etc.join("sudoers"), sudoers.as_bytes(), 0o440)?;
    files::write(&etc.join("mounts"), mounts.as_bytes(), 0o644)?;
    Ok(numbered)
}

/// Makes the home of the only account an ordinary user can have: their own.
fn own_account(
    dir: &Path,
    name: &str,
    uid: u32,
    mut accounts: Vec<Account>,
) -> Result<Vec<(Account, u32)>, FleetError> {
    let unavailable =
        |reason: &str| Err(FleetError::Unavailable { reason: format!("{reason} (tests don't run as root)") });
    if accounts.len() > 1 {
        return unavailable("a device can't have several accounts");
    }
    let mut account = accounts.pop().unwrap_or_else(|| Account::new(name));
    if account.password.is_some() || account.sudo != Sudo::None {
        return unavailable("an account can't have a password or sudo");
    }
    if account.storage != Storage::Folder || account.shell != "/bin/sh" {
        return unavailable("an account can't have a shell or a disk of its own");
    }
    name.clone_into(&mut account.name);
    let home = outer_home(dir, name);
    files::folder(&home, 0o755)?;
    files::folder(&home.join(".ssh"), 0o700)?;
    Ok(vec![(account, uid)])
}

/// The crypt(5) hash of a password.
fn crypt(password: &str) -> Result<String, FleetError> {
    let out =
        files::run(Command::new(files::program("openssl")?).args(["passwd", "-6", "-stdin"]), password.as_bytes())?;
    Ok(String::from_utf8_lossy(&out).trim().to_owned())
}
