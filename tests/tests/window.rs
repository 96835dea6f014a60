//! The real window, driven through WebDriver: tauri-driver, WebKitWebDriver and `keywheel-desktop` as it was built.
//!
//! Needs a display and a D-Bus session; `make window` gives it both, apart from the user's own.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this file is a test, but clippy takes only the functions marked as tests for it"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::{Capabilities, TimeoutConfiguration};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// The folder in which cargo left this test, and with it the programs.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "deps"))
        .unwrap()
        .parent()
        .unwrap()
        .into()
}

fn desktop() -> PathBuf {
    let program = built().join("keywheel-desktop");
    assert!(program.is_file(), "{} is not built; run `make test`, or `make build` first", program.display());
    program
}

/// The variables a program gets here: none of the user's folders, and the display and bus of this test only.
fn environment(home: &Path) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = ["PATH", "DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "LANG"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect();
    for (name, folder) in [
        ("HOME", "."),
        ("XDG_DATA_HOME", "data"),
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_STATE_HOME", "state"),
        ("XDG_RUNTIME_DIR", "run"),
    ] {
        let folder = home.join(folder);
        fs::create_dir_all(&folder).unwrap();
        if name == "XDG_RUNTIME_DIR" {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        }
        variables.insert(name.to_owned(), folder.to_str().unwrap().to_owned());
    }
    // There is no graphics card under xvfb; without this WebKit waits for one before it falls back.
    variables.insert("WEBKIT_DISABLE_DMABUF_RENDERER".to_owned(), "1".to_owned());
    // The accessibility bus would be one more process, and nothing here asks it.
    variables.insert("NO_AT_BRIDGE".to_owned(), "1".to_owned());
    variables
}

/// A window with the drivers that hold it; all processes end with it.
struct Window {
    client: Option<Client>,
    drivers: Child,
    home: TempDir,
}

impl Window {
    async fn open() -> Self {
        let home = tempfile::tempdir().unwrap();
        let application = desktop();
        let log = home.path().join("drivers.log");
        let [port, native_port] = free_ports();
        let drivers = Command::new("tauri-driver")
            .args(["--port", &port.to_string(), "--native-port", &native_port.to_string()])
            .env_clear()
            .envs(environment(home.path()))
            .stdout(File::create(&log).unwrap())
            .stderr(Stdio::from(File::options().append(true).open(&log).unwrap()))
            .spawn()
            .unwrap_or_else(|error| panic!("tauri-driver can't be started ({error}); run `make setup`"));
        let mut window = Self { client: None, drivers, home };
        let vault = window.home.path().join("vault");
        match tokio::time::timeout(PATIENCE, connect([port, native_port], &application, &vault)).await {
            Ok(Ok(client)) => window.client = Some(client),
            failed => panic!("the window did not open: {failed:?}\n{}", fs::read_to_string(&log).unwrap_or_default()),
        }
        window
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    async fn text(&self, css: &str) -> String {
        let element = self
            .client()
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(css))
            .await
            .unwrap_or_else(|error| panic!("the page never showed {css}: {error}"));
        element.text().await.unwrap()
    }

    /// Runs a script in the page as its own code would run; the last argument of it takes the answer.
    async fn ask(&self, script: &str) -> serde_json::Value {
        self.client().execute_async(script, Vec::new()).await.unwrap()
    }

    async fn close(mut self) {
        if let Some(client) = self.client.take() {
            tokio::time::timeout(PATIENCE, client.close()).await.expect("the window did not close").unwrap();
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // After a failure the application and its web processes would outlive the drivers. They are known by the home
        // that nothing else has.
        let home = format!("HOME={}/.", self.home.path().display());
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes()) {
                let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
            }
        }
        let _ = self.drivers.wait();
    }
}

/// Starts a session, which opens the window.
async fn connect(ports: [u16; 2], application: &Path, data_dir: &Path) -> Result<Client, Box<dyn std::error::Error>> {
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
fn free_ports() -> [u16; 2] {
    [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).map(|held| held.local_addr().unwrap().port())
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

#[tokio::test]
async fn the_window_shows_the_name_and_the_version_of_the_program() {
    let window = Window::open().await;
    assert_eq!(window.text("h1").await, "Keywheel");
    assert_eq!(
        window.text(".version").await,
        format!("Version {}", env!("CARGO_PKG_VERSION")),
        "the window shows another version than the one that was built, or Rust was not asked"
    );
    window.close().await;
}

#[tokio::test]
async fn the_window_can_call_nothing_that_its_capabilities_do_not_name() {
    let window = Window::open().await;
    window.text(".version").await;
    let call = |command: &str| {
        format!(
            "const done = arguments[arguments.length - 1];
             window.__TAURI_INTERNALS__.invoke('{command}', {{}})
               .then((answer) => done({{ answer }}), (error) => done({{ error: String(error) }}));"
        )
    };
    let allowed = window.ask(&call("about")).await;
    assert_eq!(allowed["answer"]["version"], env!("CARGO_PKG_VERSION"), "the call itself must work: {allowed}");
    for command in ["plugin:app|version", "plugin:window|close", "plugin:webview|create_webview", "no_such_command"] {
        let refused = window.ask(&call(command)).await;
        assert!(refused["error"].is_string(), "the window may call {command}: {refused}");
    }
    window.close().await;
}

#[tokio::test]
async fn the_page_can_neither_run_inline_code_nor_reach_the_network() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let window = Window::open().await;
    window.text(".version").await;

    let inline = window
        .ask(
            "const done = arguments[arguments.length - 1];
             const script = document.createElement('script');
             script.textContent = 'window.inlineCodeRan = true';
             document.head.append(script);
             setTimeout(() => done(window.inlineCodeRan === true), 200);",
        )
        .await;
    assert_eq!(inline, json!(false), "the policy lets inline code run");

    let fetched = window
        .ask(&format!(
            "const done = arguments[arguments.length - 1];
             fetch('http://127.0.0.1:{port}/', {{ mode: 'no-cors' }}).then(() => done('sent'), () => done('refused'));"
        ))
        .await;
    assert_eq!(fetched, json!("refused"), "the policy lets the page reach the network");
    assert!(
        matches!(listener.accept(), Err(error) if error.kind() == io::ErrorKind::WouldBlock),
        "something was sent over the network"
    );
    window.close().await;
}

#[tokio::test]
async fn the_window_writes_nothing_beside_its_data_directory() {
    let window = Window::open().await;
    window.text(".version").await;
    let inside = window.home.path().join("vault/web-view");
    assert!(inside.is_dir(), "the web view's files are not in the data directory that was named");
    for beside in ["data", "config/keywheel", "config/dev.keywheel.desktop", "cache/dev.keywheel.desktop"] {
        let found: Vec<_> = fs::read_dir(window.home.path().join(beside)).into_iter().flatten().flatten().collect();
        assert!(found.is_empty(), "something was written beside the data directory: {found:?}");
    }
    window.close().await;
}

#[test]
fn the_program_tells_its_version_and_its_options_without_a_window() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut variables = environment(home.path());
        variables.remove("DISPLAY");
        Command::new(desktop()).args(arguments).env_clear().envs(variables).output().unwrap()
    };
    let version = run(&["--version"]);
    assert!(version.status.success());
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("keywheel-desktop {}\n", env!("CARGO_PKG_VERSION")),
        "--version must be answered on standard output"
    );
    let help = run(&["--help"]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("--data-dir") && help.contains("KEYWHEEL_DATA_DIR"), "--help must name its options: {help}");

    let wrong = run(&["--data-dir", desktop().to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(2), "a file in place of the data directory is bad input");
    assert!(wrong.stdout.is_empty(), "a message belongs on standard error");
    assert!(!wrong.stderr.is_empty(), "a refusal must say why");
}

#[test]
fn without_a_display_the_program_says_so_and_names_the_command_line() {
    let home = tempfile::tempdir().unwrap();
    let mut variables = environment(home.path());
    variables.remove("DISPLAY");
    let answer = Command::new(desktop()).env_clear().envs(variables).output().unwrap();
    let told = String::from_utf8(answer.stderr).unwrap();
    assert_eq!(answer.status.code(), Some(1), "no window was opened, and nothing is changed: {told}");
    assert!(told.contains("there is no display") && told.contains("keywheel --help"), "what to do is missing: {told}");
    assert!(!told.contains("panicked"), "a missing display is no bug: {told}");
}
