//! `make screenshots`: every screen as a person sees it, with data from a real run.
//!
//! Arguments: the folder to write to, and if wanted the names of pictures, or `all`. Without names those are made that
//! lie in docs/screenshots.

mod camera;
mod changes;
mod crowd;
mod form;
mod lists;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use keywheel_fleet::Trouble;
use keywheel_fleet::window::Place;

use crate::camera::Camera;
use crate::world::World;

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

async fn run() -> Result<(), Trouble> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: screenshots FOLDER [all | PICTURE…]")?);
    std::fs::create_dir_all(&folder)?;
    let camera = Camera::new(folder, arguments.collect());

    // Beginning with nothing, as everyone does; what comes last leaves marks that no other picture should have.
    let place = Place::on_this_display()?;
    let window = place.open().await?;
    lists::empty(&camera, &window).await?;
    window.close().await?;

    let mut world = World::team(&place).await?;
    let window = place.open().await?;
    let chapter = |done: Result<(), Trouble>| done.unwrap_or_else(|trouble| camera.miss(&trouble.to_string()));
    chapter(lists::full(&camera, &window).await);
    chapter(lists::dialogs(&camera, &window).await);
    chapter(form::pictures(&camera, &window).await);
    chapter(changes::asked(&camera, &window, &world).await);
    chapter(changes::running(&camera, &window, &world).await);
    window.close().await?;
    chapter(lists::portuguese(&camera, &place, &world).await);
    chapter(lists::host_keys(&camera, &place, &mut world).await);
    chapter(lists::keyring(&camera, &place).await);
    drop(world);

    chapter(changes::of_five(&camera).await);
    chapter(crowd::lists(&camera).await);
    chapter(crowd::change(&camera).await);
    camera.end()
}
