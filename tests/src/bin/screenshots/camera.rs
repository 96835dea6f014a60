//! What takes the pictures: sizes, themes, and which pictures are kept in docs/screenshots.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fantoccini::actions::{InputSource as _, MouseActions, PointerAction};
use keywheel_fleet::Trouble;
use keywheel_fleet::window::Page;
use serde_json::json;

/// The pictures that lie in docs/screenshots: every screen of the design once. All others are made on request only.
const KEPT: &[&str] = &[
    "first-start",
    "overview",
    "credentials",
    "credential",
    "form",
    "form-key",
    "form-additional",
    "form-devices",
    "change-key",
    "change-running",
    "change-finished",
    "change-partly",
    "key-compromised",
    "changes",
    "devices",
    "device",
    "scan",
    "people",
    "policies",
    "policy",
    "audit",
    "settings",
];

/// How long the display may take to show what the page has drawn.
const DISPLAYED: Duration = Duration::from_millis(250);

/// One way to look at a screen.
struct View {
    /// What the file's name ends with.
    end: &'static str,
    size: (u32, u32),
    theme: &'static str,
    zoom: u32,
}

const LARGE: (u32, u32) = (1280, 800);
const SMALL: (u32, u32) = (1024, 640);

/// How screens are looked at in docs/screenshots.
const VIEWS: [View; 3] = [
    View { end: "light", size: LARGE, theme: "light", zoom: 1 },
    View { end: "dark", size: LARGE, theme: "dark", zoom: 1 },
    View { end: "1024-light", size: SMALL, theme: "light", zoom: 1 },
];

/// At twice the size; on request.
const ZOOMED: View = View { end: "zoomed-light", size: LARGE, theme: "light", zoom: 2 };

/// Which pictures are wanted.
enum Wanted {
    Kept,
    All,
    Named(Vec<String>),
}

/// Takes those pictures that are wanted.
pub(crate) struct Camera {
    folder: PathBuf,
    wanted: Wanted,
    missed: Mutex<Vec<String>>,
}

impl Camera {
    /// Reads the arguments: nothing for those that are kept, `all`, or names.
    pub(crate) fn new(folder: PathBuf, names: Vec<String>) -> Self {
        let wanted = match names.as_slice() {
            [] => Wanted::Kept,
            [all] if all == "all" => Wanted::All,
            _ => Wanted::Named(names),
        };
        Self { folder, wanted, missed: Mutex::default() }
    }

    /// Whether a picture is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        match &self.wanted {
            Wanted::Kept => KEPT.contains(&name),
            Wanted::All => true,
            Wanted::Named(names) => names.iter().any(|wanted| wanted == name),
        }
    }

    /// Whether one of these is wanted, so that what comes before them has to be done.
    pub(crate) fn wants_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.wants(name))
    }

    /// Notes a picture that could not be taken; the others still are.
    pub(crate) fn miss(&self, trouble: &str) {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).push(trouble.to_owned());
    }

    /// Says which pictures could not be taken.
    pub(crate) fn end(self) -> Result<(), Trouble> {
        let missed = self.missed.into_inner().unwrap_or_else(PoisonError::into_inner);
        if missed.is_empty() { Ok(()) } else { Err(missed.join("\n").into()) }
    }

    /// Goes to an address and takes its picture once the page shows a text.
    pub(crate) async fn visit(&self, page: &Page, name: &str, address: &str, sees: &str) -> Result<(), Trouble> {
        if !self.wants(name) {
            return Ok(());
        }
        go(page, address).await?;
        match page.sees(sees).await {
            Ok(()) => self.take(page, name).await,
            Err(trouble) => {
                self.miss(&format!("{name}: {trouble}"));
                Ok(())
            }
        }
    }

    /// Takes a picture of what is shown, in every view.
    pub(crate) async fn take(&self, page: &Page, name: &str) -> Result<(), Trouble> {
        if !self.wants(name) {
            return Ok(());
        }
        let extra = match self.wanted {
            Wanted::Kept => None,
            Wanted::All | Wanted::Named(_) => Some(&ZOOMED),
        };
        // What the pointer rests on would show its title, over everything else.
        let away = PointerAction::MoveTo { duration: None, x: 1.0, y: 1.0 };
        page.client().perform_actions(MouseActions::new("mouse".to_owned()).then(away)).await?;
        for view in VIEWS.iter().chain(extra) {
            show(page, view).await?;
            grab(&self.folder.join(format!("{name}-{}.png", view.end)), view.size)?;
        }
        let [first, ..] = &VIEWS;
        show(page, first).await
    }
}

/// Goes to a place by its address, as a link would.
pub(crate) async fn go(page: &Page, address: &str) -> Result<(), Trouble> {
    page.run("window.location.hash = arguments[0];", vec![address.into()]).await?;
    Ok(())
}

/// Gives the window a view, and waits until it is drawn.
async fn show(page: &Page, view: &View) -> Result<(), Trouble> {
    let (width, height) = view.size;
    page.client().set_window_size(width, height).await?;
    page.run(
        "document.documentElement.dataset.theme = arguments[0]; document.documentElement.style.zoom = arguments[1];",
        vec![view.theme.into(), view.zoom.into()],
    )
    .await?;
    page.wait(
        "its size",
        "return window.innerWidth === arguments[0] && window.innerHeight === arguments[1];",
        vec![json!(width), json!(height)],
    )
    .await?;
    // What moves without an end, such as the mark of a running stage, is not waited for.
    page.ask(
        "const moving = () => document.getAnimations()
           .filter((it) => it.effect?.getComputedTiming().endTime !== Infinity)
           .map((it) => it.finished.catch(() => undefined));
         const frame = () => new Promise((drawn) => requestAnimationFrame(drawn));
         (async () => {
           await document.fonts.ready;
           await frame();
           await Promise.all(moving());
           await frame();
           await frame();
           done(true);
         })();",
        Vec::new(),
    )
    .await?;
    tokio::time::sleep(DISPLAYED).await;
    Ok(())
}

/// WebDriver's own pictures hang where there is no graphics card, so the display is asked.
fn grab(file: &Path, (width, height): (u32, u32)) -> Result<(), Trouble> {
    let crop = format!("{width}x{height}+0+0");
    let status = Command::new("import")
        .args(["-window", "root", "-crop", &crop, "+repage", "+dither", "-colors", "256"])
        // A palette of 8 bits is a quarter of the size, and shows the same.
        .args(["-depth", "8", "-type", "Palette", "-strip"])
        .args([
            "-define",
            "png:color-type=3",
            "-define",
            "png:compression-level=9",
            "-define",
            "png:compression-filter=0",
        ])
        .arg(file)
        .status()
        .map_err(|error| format!("import can't be run ({error}); run `make setup`, which installs it"))?;
    if status.success() { Ok(()) } else { Err("import failed".into()) }
}
