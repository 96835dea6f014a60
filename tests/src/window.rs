//! The real window, driven through WebDriver: tauri-driver, WebKitWebDriver and `keywheel-desktop` as it was built.
//!
//! Needs a display; each window has a D-Bus session, a keyring and a home of its own.

mod desktop;
mod display;
mod file_dialog;
mod page;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fantoccini::wd::{Capabilities, TimeoutConfiguration};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use keywheel_core::Keywheel;
use keywheel_core::audit::Actor;
use keywheel_core::clock::{Clock, SystemClock};
use keywheel_core::vault::OsKeyring;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

use self::desktop::Outside;
pub use self::desktop::Tray;
use self::display::Display;
use self::file_dialog::FileDialog;
pub use self::page::{Page, keys};
use crate::Trouble;
use crate::keyring::{PrivateKeyring, Start};

/// How long anything may take that a window does.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The folder in which cargo left the programs, given one of them or a test.
pub fn built() -> Result<PathBuf, Trouble> {
    let own = std::env::current_exe()?;
    let folder = own.parent().ok_or("this program lies nowhere")?;
    let tests = folder.file_name().is_some_and(|name| name == "deps");
    Ok(if tests { folder.parent().ok_or("this test lies nowhere")? } else { folder }.to_owned())
}

/// The desktop program as it was built.
///
/// # Errors
///
/// It is not built.
pub fn desktop() -> Result<PathBuf, Trouble> {
    let program = built()?.join("keywheel-desktop");
    if program.is_file() {
        return Ok(program);
    }
    Err(format!("{} is not built; run `make test`, or `make build` first", program.display()).into())
}

/// A desk with a home, a keyring and a data directory, at which windows are opened one after the other.
pub struct Place {
    /// The keyring.
    pub keyring: PrivateKeyring,
    dir: TempDir,
    variables: BTreeMap<String, OsString>,
    display: Option<Display>,
}

impl Place {
    /// Makes a place where nothing is yet, with a display of its own: on a shared one, the window that opened last takes the
    /// focus from the others, and what is open in them closes.
    ///
    /// # Errors
    ///
    /// No folder, no keyring or no display.
    pub fn new() -> Result<Self, Trouble> {
        Self::with(Start::Unlocked)
    }

    /// Makes a place with a keyring in this state.
    ///
    /// # Errors
    ///
    /// As [`Place::new`].
    pub fn with(start: Start) -> Result<Self, Trouble> {
        let mut place = Self::make(start)?;
        let display = Display::start()?;
        place.set("DISPLAY", &display.name);
        place.display = Some(display);
        Ok(place)
    }

    /// Makes a place on the display of this process, which then sees what the window shows and has its clipboard.
    ///
    /// # Errors
    ///
    /// No folder or no keyring.
    pub fn on_this_display() -> Result<Self, Trouble> {
        Self::make(Start::Unlocked)
    }

    fn make(start: Start) -> Result<Self, Trouble> {
        // Short, because sockets lie below it.
        let dir = tempfile::Builder::new().prefix("kw").tempdir_in("/tmp")?;
        let keyring = PrivateKeyring::start_with(dir.path(), None, start)?;
        let mut variables: BTreeMap<String, OsString> = ["PATH", "DISPLAY", "XAUTHORITY"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?)))
            .collect();
        for (name, value) in keyring.environment() {
            variables.insert(name.to_owned(), value);
        }
        variables.insert("LANG".to_owned(), "en_US.UTF-8".into());
        // There is no graphics card under xvfb; without this WebKit waits for one before it falls back.
        variables.insert("WEBKIT_DISABLE_DMABUF_RENDERER".to_owned(), "1".into());
        // The accessibility bus would be one more process, and nothing here asks it.
        variables.insert("NO_AT_BRIDGE".to_owned(), "1".into());
        Ok(Self { keyring, dir, variables, display: None })
    }

    /// The folder in which all of it lies.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    /// Sets a variable for the windows that are opened from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.into());
    }

    /// Switches the toolkit's animations off for the windows that are opened from now on: what is typed into a file dialog
    /// while its field for a path slides in would be lost.
    ///
    /// # Errors
    ///
    /// The setting can't be written.
    pub fn keep_still(&self) -> Result<(), Trouble> {
        let folder = Path::new(&self.home()).join(".config/gtk-3.0");
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join("settings.ini"), "[Settings]\ngtk-enable-animations=0\n")?)
    }

    /// A command with the variables of this place and no others.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.variables);
        command
    }

    /// The command line, built beside the window, on the same data directory.
    ///
    /// # Errors
    ///
    /// It is not built.
    pub fn command_line(&self, arguments: &[&str]) -> Result<Output, Trouble> {
        let program = built()?.join("keywheel");
        let mut command = self.command(&program);
        command.arg("--data-dir").arg(self.data_dir()).args(arguments);
        Ok(command
            .output()
            .map_err(|error| format!("{} can't be run ({error}); run `make build`", program.display()))?)
    }

    /// Opens the data directory beside the window, in this process.
    ///
    /// # Errors
    ///
    /// It can't be opened.
    pub fn keywheel(&self) -> Result<Keywheel, Trouble> {
        self.keywheel_at(Arc::new(SystemClock))
    }

    /// Opens it at another time.
    ///
    /// # Errors
    ///
    /// As [`Place::keywheel`].
    pub fn keywheel_at(&self, clock: Arc<dyn Clock>) -> Result<Keywheel, Trouble> {
        let vault = Arc::new(OsKeyring::open_at(&self.keyring.address()));
        Ok(Keywheel::open(&self.data_dir(), vault, clock, Actor::named("tester@desk"))?)
    }

    /// Opens a window and waits until it shows something.
    ///
    /// # Errors
    ///
    /// The drivers or the window don't come up.
    pub async fn open(&self) -> Result<Window, Trouble> {
        let application = desktop()?;
        let log = self.dir.path().join("drivers.log");
        let [port, native_port] = free_ports()?;
        let drivers = self
            .command("tauri-driver")
            .args(["--port", &port.to_string(), "--native-port", &native_port.to_string()])
            .stdout(File::create(&log)?)
            .stderr(Stdio::from(File::options().append(true).open(&log)?))
            .spawn()
            .map_err(|error| format!("tauri-driver can't be started ({error}); run `make setup`"))?;
        let mut window = Window {
            page: None,
            drivers,
            home: self.home(),
            display: self.display.as_ref().map(|own| own.name.clone()),
        };
        let data_dir = self.data_dir();
        match tokio::time::timeout(PATIENCE, connect([port, native_port], &application, &data_dir)).await {
            Ok(Ok(client)) => window.page = Some(Page::new(client)),
            failed => {
                let log = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("the window did not open: {failed:?}\n{log}").into());
            }
        }
        Ok(window)
    }

    /// Starts the program with this data directory while a window on it is open, and waits until the second one has ended.
    ///
    /// # Errors
    ///
    /// It can't be started, or does not end.
    pub async fn start_again(&self) -> Result<ExitStatus, Trouble> {
        let mut second = self.command(desktop()?).arg("--data-dir").arg(self.data_dir()).spawn()?;
        let begun = Instant::now();
        loop {
            if let Some(status) = second.try_wait()? {
                return Ok(status);
            }
            if begun.elapsed() > PATIENCE {
                second.kill()?;
                second.wait()?;
                return Err("a second start does not end while a window is open".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Gives the desktop a tray, for as long as the value lives.
    ///
    /// # Errors
    ///
    /// The session bus has one, or does not answer.
    pub async fn tray(&self) -> Result<Tray, Trouble> {
        let address = self.keyring.address();
        // A connection that blocks must not be made within a runtime.
        tokio::task::spawn_blocking(move || Tray::on(&address).map_err(|error| error.to_string()))
            .await?
            .map_err(Into::into)
    }

    fn home(&self) -> OsString {
        self.variables.get("HOME").cloned().unwrap_or_default()
    }
}

/// A window with the drivers that hold it; all processes end with it.
pub struct Window {
    page: Option<Page>,
    drivers: Child,
    home: OsString,
    /// None: that of this process.
    display: Option<String>,
}

impl Window {
    /// Closes the window as WebDriver does.
    ///
    /// # Errors
    ///
    /// It doesn't close.
    pub async fn close(mut self) -> Result<(), Trouble> {
        if let Some(page) = self.page.take() {
            tokio::time::timeout(PATIENCE, page.into_client().close()).await??;
        }
        Ok(())
    }

    /// Kills the program as a power cut would, with its web processes and drivers.
    pub fn kill(self) {
        drop(self);
    }

    /// Asks the window to close, as the close button in its frame does.
    ///
    /// # Errors
    ///
    /// There is no window.
    pub fn ask_to_close(&self) -> Result<(), Trouble> {
        self.outside()?.ask_to_close()
    }

    /// Gives the window the focus, as a person does who comes back to it.
    ///
    /// # Errors
    ///
    /// There is no window.
    pub fn focus(&self) -> Result<(), Trouble> {
        self.outside()?.focus()
    }

    /// Waits until the window is hidden.
    ///
    /// # Errors
    ///
    /// It stays.
    pub async fn hidden(&self) -> Result<(), Trouble> {
        self.outside()?.wait_until(false).await
    }

    /// Waits until the window is shown again.
    ///
    /// # Errors
    ///
    /// It stays hidden.
    pub async fn shown(&self) -> Result<(), Trouble> {
        self.outside()?.wait_until(true).await
    }

    /// Answers the file dialog that is open, or opens now.
    ///
    /// # Errors
    ///
    /// None comes, or it does not close.
    pub async fn choose_file(&self, path: &Path) -> Result<(), Trouble> {
        let path = path.to_str().ok_or("a path that can be typed")?;
        FileDialog::shown(self.display.as_deref()).await?.choose(path).await
    }

    /// Closes the file dialog that is open, or opens now, without a choice.
    ///
    /// # Errors
    ///
    /// As [`Window::choose_file`].
    pub async fn choose_no_file(&self) -> Result<(), Trouble> {
        FileDialog::shown(self.display.as_deref()).await?.cancel().await
    }

    /// Asks the program to end, as a session does that ends.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn terminate(&self) -> Result<(), Trouble> {
        Ok(kill(self.process().ok_or("the program does not run")?, Signal::SIGTERM)?)
    }

    /// Waits until the program has ended by itself.
    ///
    /// # Errors
    ///
    /// It goes on.
    pub async fn ended(self) -> Result<(), Trouble> {
        let begun = Instant::now();
        while self.process().is_some() {
            if begun.elapsed() > PATIENCE {
                let text = self.text().await.unwrap_or_default();
                return Err(format!("the program does not end; it shows:\n{text}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn outside(&self) -> Result<Outside, Trouble> {
        Outside::of(self.process().ok_or("the program does not run")?, self.display.as_deref())
    }

    /// The process of the program.
    pub fn process(&self) -> Option<Pid> {
        self.processes().find(|(_, name)| name.starts_with("keywheel-deskto")).map(|(id, _)| id)
    }

    /// How many processes of the program there are.
    pub fn programs(&self) -> usize {
        self.processes().filter(|(_, name)| name.starts_with("keywheel-deskto")).count()
    }

    /// The process of the program and all that serve it.
    pub fn all_processes(&self) -> Vec<Pid> {
        self.processes().map(|(id, _)| id).collect()
    }

    /// All processes with this window's home, which nothing else has, and their names.
    fn processes(&self) -> impl Iterator<Item = (Pid, String)> {
        let home = [b"HOME=", self.home.as_encoded_bytes()].concat();
        fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(move |process| {
            let id = process.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(process.path().join("environ")).ok()?;
            let ours = environment.split(|byte| *byte == 0).any(|variable| variable == home);
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            // The keyring's daemons have the same home, and outlive a window.
            let stays = ["gnome-keyring-d", "dbus-daemon", "sh"].contains(&name.trim());
            (ours && !stays).then(|| (Pid::from_raw(id), name.trim().to_owned()))
        })
    }
}

impl std::ops::Deref for Window {
    type Target = Page;

    #[expect(clippy::expect_used, reason = "the page is there from `open` to `close`, which takes the window")]
    fn deref(&self) -> &Page {
        self.page.as_ref().expect("an open window has a page")
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        for (id, _) in self.processes().collect::<Vec<_>>() {
            let _ = kill(id, Signal::SIGKILL);
        }
        let _ = self.drivers.kill();
        let _ = self.drivers.wait();
    }
}

/// Starts a session, which opens the window.
async fn connect(ports: [u16; 2], application: &Path, data_dir: &Path) -> Result<Client, Trouble> {
    // tauri-driver answers before the driver behind it does, and passes a session on to it at once.
    for port in ports {
        wait_for_port(port).await?;
    }
    let [port, _] = ports;
    let options = json!({ "application": application, "args": ["--data-dir", data_dir] });
    let capabilities: Capabilities = [("tauri:options".to_owned(), options)].into_iter().collect();
    let client = ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities)
        .connect(&format!("http://127.0.0.1:{port}"))
        .await?;
    client.update_timeouts(TimeoutConfiguration::new(Some(PATIENCE), Some(PATIENCE), None)).await?;
    Ok(client)
}

/// Two different ports: both are held until both are known.
fn free_ports() -> Result<[u16; 2], io::Error> {
    let held = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let [one, two] = held;
    Ok([one?.local_addr()?.port(), two?.local_addr()?.port()])
}

async fn wait_for_port(port: u16) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..100 {
        match tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(last)
}
