//! `make screenshots`: every screen as a person sees it, with data from a real run, in docs/screenshots.
//!
//! Arguments: the folder to write to, and if wanted the names of the screens to write.

mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use keywheel_fleet::Trouble;
use keywheel_fleet::embedded::Fault;
use keywheel_fleet::window::{Page, Place, Window};

use crate::world::World;

/// How long a screen may take to stand still after it has shown what is waited for: its transitions are shorter.
const STANDS: Duration = Duration::from_millis(400);

/// The sizes that the design names.
const SIZES: [(u32, u32); 2] = [(1280, 800), (1024, 640)];

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "The pictures could not be made: {trouble}");
            ExitCode::FAILURE
        }
    }
}

struct Camera {
    folder: PathBuf,
    wanted: Vec<String>,
}

impl Camera {
    /// Takes a picture in both sizes and both themes; only the first size has both.
    async fn take(&self, window: &Window, name: &str) -> Result<(), Trouble> {
        if !self.wanted.is_empty() && !self.wanted.iter().any(|wanted| wanted == name) {
            return Ok(());
        }
        for (size, theme) in [(SIZES[0], "light"), (SIZES[0], "dark"), (SIZES[1], "light")] {
            let (width, height) = size;
            window.client().set_window_size(width, height).await?;
            window.run("document.documentElement.dataset.theme = arguments[0];", vec![theme.into()]).await?;
            tokio::time::sleep(STANDS).await;
            let small = if width == SIZES[0].0 { String::new() } else { format!("-{width}") };
            grab(&self.folder.join(format!("{name}{small}-{theme}.png")), size)?;
        }
        let (width, height) = SIZES[0];
        window.client().set_window_size(width, height).await?;
        Ok(())
    }
}

/// WebDriver's own pictures hang where there is no graphics card, so the display is asked.
fn grab(file: &Path, (width, height): (u32, u32)) -> Result<(), Trouble> {
    let crop = format!("{width}x{height}+0+0");
    let status = Command::new("import")
        .args([
            "-window",
            "root",
            "-crop",
            &crop,
            "+repage",
            "+dither",
            "-colors",
            "256",
            "-define",
            "png:compression-level=9",
        ])
        .arg(file)
        .status()
        .map_err(|error| format!("import can't be run ({error}); run `make screenshots`, which installs it"))?;
    if status.success() { Ok(()) } else { Err("import failed".into()) }
}

async fn go(page: &Page, address: &str) -> Result<(), Trouble> {
    page.run("window.location.hash = arguments[0];", vec![address.into()]).await?;
    Ok(())
}

async fn run() -> Result<(), Trouble> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: screenshots FOLDER [SCREEN…]")?);
    std::fs::create_dir_all(&folder)?;
    let camera = Camera { folder, wanted: arguments.collect() };

    let place = Place::new()?;
    let window = place.open().await?;
    window.find("link", "Overview").await?;
    camera.take(&window, "first-start").await?;
    go(&window, "#/credentials").await?;
    camera.take(&window, "credentials-empty").await?;
    window.close().await?;

    let world = World::make(&place).await?;
    let window = place.open().await?;
    for (name, address) in [
        ("overview", "#/overview"),
        ("credentials", "#/credentials"),
        ("credential", "#/credentials/4"),
        ("devices", "#/devices"),
        ("device", "#/devices/1"),
        ("people", "#/people"),
        ("changes", "#/changes"),
        ("audit", "#/audit"),
        ("settings", "#/settings"),
        ("form", "#/credentials/4/edit"),
        ("change-key", "#/credentials/4/change"),
        ("change-partly", "#/changes/8"),
        ("change-done", "#/changes/7"),
    ] {
        go(&window, address).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        camera.take(&window, name).await?;
    }
    // The live change, held open long enough to be looked at.
    for (_, _, server) in &world.devices {
        server.set_fault(Fault::Slow(Duration::from_millis(120)));
    }
    go(&window, "#/credentials/4/change").await?;
    window.button("Change key on 9 devices").await?;
    window.sees("4 of 9 proven on the new key").await?;
    camera.take(&window, "change-running").await?;
    window.sees("9 of 9 devices accept the new key and refuse the old").await?;
    camera.take(&window, "change-finished").await?;
    window.close().await?;
    drop(world);
    Ok(())
}
