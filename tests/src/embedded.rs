//! An SSH server inside the test's own process, with a real folder as its home and a real `sh` for its commands, that
//! does wrong exactly what it is told to, and says afterwards what it saw.
//!
//! It judges keys by the authorized_keys file in its folder at each login, as a real one does.

mod authorized;
mod exec;
mod fault;
mod hook;
mod record;
mod sftp;
mod visit;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russh::keys::{Algorithm, PrivateKey};
use russh::{MethodKind, MethodSet, SshId};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

pub use fault::{Fault, KeyIs, Moment, Which};
pub use hook::{Edge, Point};
pub use record::{Event, Record, With};

use crate::client::Target;
use crate::error::FleetError;
use crate::files;
use crate::port;
use fault::Faults;
use hook::Hooks;
use record::Records;
use visit::Visit;

/// How long a client may take to close a connection that has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The variable by which the processes of a device are found again.
const MARK: &str = "KEYWHEEL_FLEET_DEVICE";

static COUNT: AtomicU32 = AtomicU32::new(1);

/// What has to be shown besides a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecondFactor {
    /// Nothing.
    #[default]
    None,
    /// The answers to [`Config::prompts`].
    Prompts,
    /// The [`Config::password`].
    Password,
}

/// How a device is set up when nothing goes wrong.
#[derive(Debug, Clone)]
pub struct Config {
    /// The only account.
    pub account: String,
    /// Its password; without one, the method isn't offered.
    pub password: Option<String>,
    /// Questions and right answers; without any, the method keyboard-interactive isn't offered.
    pub prompts: Vec<(String, String)>,
    /// What has to be shown after a right key.
    pub second_factor: SecondFactor,
    /// Whether keys are a way to log in.
    pub key_login: Allowed,
    /// Whether everybody gets in without showing anything.
    pub login_without_anything: Allowed,
    /// The version string.
    pub version: String,
    /// The banner shown before the login.
    pub banner: Option<String>,
    /// What runs commands, with `-c`.
    pub shell: PathBuf,
    /// The authorized_keys file, relative to the home.
    pub authorized_keys: PathBuf,
    /// The host's keys; without any, an ed25519 key is made.
    pub host_keys: Vec<PrivateKey>,
    /// The port; without one, a free one is chosen.
    pub port: Option<u16>,
    /// The home, which is kept, with a folder `etc` beside it; without one, a folder is made and removed at the end.
    pub home: Option<PathBuf>,
}

/// Whether something is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// It is.
    Yes,
    /// It isn't.
    No,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            account: "kwtest".to_owned(),
            password: None,
            prompts: Vec::new(),
            second_factor: SecondFactor::None,
            key_login: Allowed::Yes,
            login_without_anything: Allowed::No,
            version: "SSH-2.0-KeywheelFleet_1".to_owned(),
            banner: None,
            shell: PathBuf::from("/bin/sh"),
            authorized_keys: PathBuf::from(".ssh/authorized_keys"),
            host_keys: Vec::new(),
            port: None,
            home: None,
        }
    }
}

/// What all connections of a device share.
#[derive(Debug)]
pub(crate) struct Shared {
    config: Config,
    home: PathBuf,
    mark: String,
    port: u16,
    host_keys: Mutex<Vec<PrivateKey>>,
    faults: Faults,
    hooks: Hooks,
    records: Records,
    /// Commands that run now; while there are any, a change of a file may be theirs.
    busy: AtomicU32,
    /// Whether there were any commands, which may have left processes.
    used: AtomicBool,
    stopped: watch::Receiver<bool>,
    tasks: Mutex<JoinSet<()>>,
    lines: Mutex<Vec<AbortHandle>>,
}

/// One TCP connection, which can be cut from anywhere.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    shared: Arc<Shared>,
    relay: AbortHandle,
}

/// A running device; it ends when this is dropped.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    listening: Mutex<Option<AbortHandle>>,
    _dir: Option<tempfile::TempDir>,
}

impl Embedded {
    /// Starts a device on the caller's runtime.
    ///
    /// # Errors
    ///
    /// Fails if its folder or key can't be made, or no port is free.
    pub async fn start(mut config: Config) -> Result<Self, FleetError> {
        let (dir, home) = match config.home.take() {
            Some(home) => (None, home),
            None => {
                let dir = files::scratch()?;
                let home = dir.path().join("home");
                (Some(dir), home)
            }
        };
        files::folder(&home, 0o755)?;
        files::folder(&home.join(".ssh"), 0o700)?;
        // What a client learns by asking for the path of "." has to be this very path.
        let home = fs::canonicalize(&home).map_err(files::about(&home))?;
        write_accounts(&home, &config)?;
        let host_keys = match std::mem::take(&mut config.host_keys) {
            keys if keys.is_empty() => vec![new_host_key()?],
            keys => keys,
        };
        let (listener, port) = listen(config.port).await?;
        let (stop, stopped) = watch::channel(false);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared {
            config,
            home,
            mark: format!("{}-{number}-{port}", std::process::id()),
            port,
            host_keys: Mutex::new(host_keys),
            faults: Faults::default(),
            hooks: Hooks::default(),
            records: Records::default(),
            busy: AtomicU32::new(0),
            used: AtomicBool::new(false),
            stopped,
            tasks: Mutex::new(JoinSet::new()),
            lines: Mutex::new(Vec::new()),
        });
        let listening = tokio::spawn(accept(shared.clone(), listener)).abort_handle();
        Ok(Self { shared, stop, listening: Mutex::new(Some(listening)), _dir: dir })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// The account's home: a real folder.
    pub fn home(&self) -> &Path {
        &self.shared.home
    }

    /// The account's name.
    pub fn account(&self) -> &str {
        &self.shared.config.account
    }

    /// The host's public key, as in a `.pub` file; the first if there are several.
    ///
    /// # Errors
    ///
    /// Fails if the key can't be written as text.
    pub fn host_key_public(&self) -> Result<String, FleetError> {
        Ok(self.host_keys_public()?.into_iter().next().unwrap_or_default())
    }

    /// All of the host's public keys.
    ///
    /// # Errors
    ///
    /// Fails if a key can't be written as text.
    pub fn host_keys_public(&self) -> Result<Vec<String>, FleetError> {
        let keys = self.shared.host_keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter()
            .map(|key| key.public_key().to_openssh().map_err(|error| FleetError::Key { source: error.into() }))
            .collect()
    }

    /// Gives the host another key; connections that are open keep theirs.
    ///
    /// # Errors
    ///
    /// Fails if no key can be made.
    pub fn replace_host_key(&self) -> Result<(), FleetError> {
        *self.shared.host_keys.lock().unwrap_or_else(PoisonError::into_inner) = vec![new_host_key()?];
        Ok(())
    }

    /// What an SSH client has to be told to log in.
    ///
    /// # Errors
    ///
    /// Fails if a host key can't be written as text.
    pub fn target(&self) -> Result<Target, FleetError> {
        Ok(Target { port: self.port(), account: self.account().to_owned(), host_keys: self.host_keys_public()? })
    }

    /// Where the authorized_keys file is.
    pub fn authorized_keys_path(&self) -> PathBuf {
        self.shared.home.join(&self.shared.config.authorized_keys)
    }

    /// Reads the authorized_keys file.
    ///
    /// # Errors
    ///
    /// Fails if there is none.
    pub fn authorized_keys(&self) -> Result<Vec<u8>, FleetError> {
        files::read(&self.authorized_keys_path())
    }

    /// Writes the authorized_keys file with mode 0600; this isn't recorded.
    ///
    /// # Errors
    ///
    /// Fails if it can't be written.
    pub fn write_authorized_keys(&self, bytes: &[u8]) -> Result<(), FleetError> {
        files::write(&self.authorized_keys_path(), bytes, 0o600)?;
        self.shared.records.take_as_known(&self.shared.home);
        Ok(())
    }

    /// What has happened so far.
    pub fn records(&self) -> Vec<Record> {
        self.shared.records.all()
    }

    /// Forgets what has happened so far.
    pub fn clear_records(&self) {
        self.shared.records.clear();
    }

    /// Gives the device this fault and no other, and begins to count commands and requests anew.
    pub fn set_fault(&self, fault: Fault) {
        self.shared.faults.set(vec![fault]);
    }

    /// Adds a fault to those it has; counting goes on.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    /// Takes all faults away, and begins to count anew.
    pub fn clear_faults(&self) {
        self.shared.faults.set(Vec::new());
    }

    /// Does something the next time a point is reached; the device waits for it.
    pub fn once(&self, edge: Edge, point: Point, act: impl FnOnce() + Send + 'static) {
        self.shared.hooks.add(edge, point, Box::new(act));
    }

    /// Forgets what was to be done.
    pub fn clear_hooks(&self) {
        self.shared.hooks.clear();
    }

    /// Cuts every open connection.
    pub fn cut_all(&self) {
        for relay in self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            relay.abort();
        }
    }

    /// Stops listening and cuts every open connection: nobody answers on its port until [`Self::restart`].
    pub fn stop(&self) {
        if let Some(listening) = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take() {
            listening.abort();
        }
        self.cut_all();
    }

    /// Listens again after [`Self::stop`].
    ///
    /// # Errors
    ///
    /// Fails if the port was taken by somebody else.
    pub async fn restart(&self) -> Result<(), FleetError> {
        self.stop();
        // The aborted task gives its socket back when it is next looked at.
        let mut result = listen(Some(self.port())).await;
        for _ in 0..100 {
            if result.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            result = listen(Some(self.port())).await;
        }
        let (listener, _) = result?;
        let listening = tokio::spawn(accept(self.shared.clone(), listener)).abort_handle();
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(listening);
        Ok(())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop();
        let _ = self.stop.send(true);
        self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        self.shared.kill_processes();
    }
}

impl Shared {
    /// Waits until the device ends: what a server does that never answers.
    async fn hang(&self) {
        let mut stopped = self.stopped.clone();
        // The other end is dropped only with the device.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    /// Waits as long as the device waits before each answer.
    async fn pause(&self) {
        if let Some(delay) = self.faults.delay() {
            tokio::time::sleep(delay).await;
        }
    }

    /// Runs a task that ends with the device at the latest, but not with the connection it came from.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Kills every process that was started by a command of this device, also those that left its process group.
    fn kill_processes(&self) {
        if !self.used.load(Ordering::SeqCst) {
            return;
        }
        let mark = format!("{MARK}={}", self.mark);
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
                // It may have ended by itself meanwhile.
                let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
            }
        }
    }

    fn server_config(&self) -> russh::server::Config {
        let Config { password, prompts, key_login, login_without_anything, version, .. } = &self.config;
        let mut methods = MethodSet::empty();
        if *key_login == Allowed::Yes {
            methods.push(MethodKind::PublicKey);
        }
        if password.is_some() {
            methods.push(MethodKind::Password);
        }
        if !prompts.is_empty() {
            methods.push(MethodKind::KeyboardInteractive);
        }
        if *login_without_anything == Allowed::Yes {
            methods.push(MethodKind::None);
        }
        russh::server::Config {
            server_id: SshId::Standard(version.clone().into()),
            methods,
            keys: self.host_keys.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            auth_rejection_time: Duration::ZERO,
            inactivity_timeout: None,
            nodelay: true,
            ..russh::server::Config::default()
        }
    }
}

impl Line {
    /// Closes the TCP connection; what wasn't sent yet is lost.
    fn cut(&self) {
        self.shared.records.add(Event::Cut);
        self.relay.abort();
    }
}

/// Writes the device's own list of accounts, beside the home; it has the home for whoever runs this process.
///
/// A device that read the machine's list would find the user's real home.
fn write_accounts(home: &Path, config: &Config) -> Result<(), FleetError> {
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    let owner = nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    let entry = |name: &str| format!("{name}:x:{uid}:{gid}::{}:{}\n", home.display(), config.shell.display());
    let etc = home.with_file_name("etc");
    files::folder(&etc, 0o755)?;
    files::write(&etc.join("passwd"), (entry(&config.account) + &entry(&owner)).as_bytes(), 0o644)
}

fn new_host_key() -> Result<PrivateKey, FleetError> {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(|error| FleetError::Key { source: error.into() })
}

async fn listen(port: Option<u16>) -> Result<(TcpListener, u16), FleetError> {
    if let Some(port) = port {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        return listener.map(|listener| (listener, port)).map_err(|_| FleetError::PortTaken { port });
    }
    for _ in 0..20 {
        let port = port::free()?;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return Ok((listener, port));
        }
    }
    Err(FleetError::NoPort)
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else { continue };
        shared.records.add(Event::Connected);
        if shared.faults.has(&Fault::RefuseConnection) {
            shared.records.add(Event::Cut);
            continue;
        }
        serve(&shared, stream, peer.ip().to_string());
    }
}

/// Serves one connection. Its bytes pass through a relay, and aborting the relay closes the socket at once.
fn serve(shared: &Arc<Shared>, mut stream: TcpStream, from: String) {
    let _ = stream.set_nodelay(true);
    let (inner, mut outer) = tokio::io::duplex(64 * 1024);
    let relaying = tokio::spawn(async move {
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut outer).await;
    });
    let relay = relaying.abort_handle();
    {
        let mut lines = shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|line| !line.is_finished());
        lines.push(relay.clone());
    }
    let line = Line { shared: shared.clone(), relay };
    let config = Arc::new(shared.server_config());
    let owner = shared.clone();
    shared.spawn(async move {
        if owner.faults.has(&Fault::HangBeforeVersion) {
            return owner.hang().await;
        }
        if let Ok(session) = russh::server::run_stream(config, inner, Visit::new(line.clone(), from)).await {
            let _ = session.await;
        }
        // A session that ended by itself ends its connection, but not before its last words have arrived: a server without
        // a common algorithm has said which ones it has.
        let _ = tokio::time::timeout(LAST_WORDS, relaying).await;
        line.relay.abort();
    });
}
