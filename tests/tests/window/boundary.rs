//! What the page may call and reach, and what it leaves behind.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use keywheel_fleet::Trouble;
use keywheel_fleet::window::{Page, Place};
use serde_json::{Value, json};

async fn call(page: &Page, command: &str) -> Result<Value, Trouble> {
    page.ask(
        "window.__TAURI_INTERNALS__.invoke(arguments[0], {})
           .then((answer) => done({ answer }), (error) => done({ error: String(error) }));",
        vec![json!(command)],
    )
    .await
}

#[tokio::test]
async fn the_window_can_call_nothing_that_its_capabilities_do_not_name() -> Result<(), Trouble> {
    let place = Place::new()?;
    let window = place.open().await?;
    window.find("link", "Overview").await?;
    let allowed = call(&window, "opening").await?;
    assert_eq!(allowed["answer"]["version"], env!("CARGO_PKG_VERSION"), "the call itself must work: {allowed}");
    for command in [
        "plugin:app|version",
        "plugin:window|close",
        "plugin:webview|create_webview",
        "plugin:event|listen",
        "plugin:dialog|open",
        "plugin:clipboard-manager|read_text",
        "plugin:notification|notify",
        "plugin:autostart|enable",
        "no_such_command",
    ] {
        let refused = call(&window, command).await?;
        assert!(refused["error"].is_string(), "the window may call {command}: {refused}");
    }
    window.close().await
}

#[tokio::test]
async fn the_page_can_neither_run_inline_code_nor_reach_the_network() -> Result<(), Trouble> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let place = Place::new()?;
    let window = place.open().await?;
    window.find("link", "Overview").await?;

    let inline = "const script = document.createElement('script');
         script.textContent = 'window.inlineCodeRan = true';
         document.head.append(script);
         return window.inlineCodeRan === true;";
    assert_eq!(window.run(inline, Vec::new()).await?, json!(false), "the policy lets inline code run");

    let fetched = window
        .ask(
            "fetch(`http://127.0.0.1:${arguments[0]}/`, { mode: 'no-cors' }).then(() => done('sent'), () => done('refused'));",
            vec![json!(port)],
        )
        .await?;
    assert_eq!(fetched, json!("refused"), "the policy lets the page reach the network");
    assert!(
        matches!(listener.accept(), Err(error) if error.kind() == io::ErrorKind::WouldBlock),
        "something was sent over the network"
    );
    window.close().await
}

#[tokio::test]
async fn the_window_writes_nothing_beside_its_data_directory() -> Result<(), Trouble> {
    let place = Place::new()?;
    let window = place.open().await?;
    window.find("link", "Overview").await?;
    assert!(place.data_dir().join("web-view").is_dir(), "the web view's files are not in the data directory");
    let home = place.path().join("k/home");
    for beside in [".local/share", ".config", ".cache", ".local/state"] {
        let found: Vec<_> = fs::read_dir(home.join(beside)).into_iter().flatten().flatten().collect();
        let found: Vec<_> = found
            .iter()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.to_lowercase().contains("keywheel"))
            .collect();
        assert!(found.is_empty(), "something was written beside the data directory, in {beside}: {found:?}");
    }
    window.close().await
}
