//! Changes that are broken off by a kill, a stop or the window's end, and taken up by the next window.

use keywheel_core::journal::ChangeState;
use keywheel_fleet::window::{Page, Window};
use keywheel_fleet::{Embedded, Trouble};

use crate::scene::Scene;

const CHANGED: &str = "2 of 2 devices accept the new key and refuse the old";

/// Waits for the way on that a window shows first after a change was interrupted.
async fn shows_the_unfinished_change(page: &Page) -> Result<(), Trouble> {
    page.find("heading", "Key change of deploy").await?;
    page.find("button", "Resume").await?;
    page.find("button", "Roll back").await?;
    Ok(())
}

async fn resume(scene: &Scene<Embedded>, page: &Page) -> Result<(), Trouble> {
    page.button("Resume").await?;
    page.sees(CHANGED).await?;
    for index in 0..2 {
        scene.assert_changed(index).await?;
    }
    Ok(())
}

async fn roll_back(scene: &Scene<Embedded>, page: &Page) -> Result<(), Trouble> {
    page.button("Roll back").await?;
    page.find("dialog", "Roll back this change?").await?;
    page.button("Roll back").await?;
    page.sees("Everything was taken back: the 2 devices are proven on the old key").await?;
    for index in 0..2 {
        scene.assert_as_before(index).await?;
    }
    Ok(())
}

/// Waits until the journal has a change in this state.
async fn until(scene: &Scene<Embedded>, wanted: ChangeState) -> Result<(), Trouble> {
    let begun = std::time::Instant::now();
    loop {
        let states: Vec<_> = scene.keywheel.change_views().await?.into_iter().map(|change| change.state).collect();
        if states.contains(&wanted) {
            return Ok(());
        }
        if begun.elapsed() > keywheel_fleet::window::PATIENCE {
            return Err(format!("no change ever came to be {wanted:?}: {states:?}").into());
        }
        tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_unfinished_change_is_shown_first_and_resumed() -> Result<(), Trouble> {
    let scene = Scene::embedded().await?;
    let window = scene.place.open().await?;
    scene.held_while_removing(&window).await?;
    window.kill();
    scene.release();
    let window = scene.place.open().await?;
    shows_the_unfinished_change(&window).await?;
    resume(&scene, &window).await?;
    window.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_unfinished_change_is_shown_first_and_rolled_back() -> Result<(), Trouble> {
    let scene = Scene::embedded().await?;
    let window = scene.place.open().await?;
    scene.held_while_adding(&window).await?;
    window.kill();
    scene.release();
    let window = scene.place.open().await?;
    shows_the_unfinished_change(&window).await?;
    roll_back(&scene, &window).await?;
    window.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_stops_after_the_device_in_hand_and_is_resumed() -> Result<(), Trouble> {
    let scene = Scene::embedded().await?;
    let window = scene.place.open().await?;
    scene.held_while_adding(&window).await?;
    window.button("Stop").await?;
    window.find("button", "Finishing the device in hand").await?;
    scene.release();
    window.sees("Not finished").await?;
    window.sees("2 devices accept both keys").await?;
    for index in 0..2 {
        assert!(scene.old_key_logs_in(index)?, "the old key must stay until every device is proven");
    }
    resume(&scene, &window).await?;
    window.close().await
}

/// Opens a window that is held in a change, on a desktop without a tray.
async fn changing(scene: &Scene<Embedded>) -> Result<Window, Trouble> {
    let window = scene.place.open().await?;
    scene.held_while_adding(&window).await?;
    Ok(window)
}

/// The next window finds the change interrupted, and finishes it.
async fn next_window_resumes(scene: &Scene<Embedded>) -> Result<(), Trouble> {
    until(scene, ChangeState::Interrupted).await?;
    let window = scene.place.open().await?;
    shows_the_unfinished_change(&window).await?;
    resume(scene, &window).await?;
    window.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tray_closing_during_a_change_asks_and_stops_it_in_order() -> Result<(), Trouble> {
    let scene = Scene::embedded().await?;
    let window = changing(&scene).await?;
    window.ask_to_close()?;
    window.find("dialog", "A key change is running").await?;
    window.button("Keep open").await?;
    window.gone("dialog", "A key change is running").await?;
    assert!(window.process().is_some(), "the program ended though it was to stay");
    window.ask_to_close()?;
    window.find("dialog", "A key change is running").await?;
    window.button("Stop and close").await?;
    window.find("button", "Finishing the device in hand").await?;
    scene.release();
    window.ended().await?;
    next_window_resumes(&scene).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_stops_the_change_in_order() -> Result<(), Trouble> {
    let scene = Scene::embedded().await?;
    let window = changing(&scene).await?;
    window.terminate()?;
    scene.release();
    window.ended().await?;
    next_window_resumes(&scene).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_tray_the_change_goes_on_while_the_window_is_hidden() -> Result<(), Trouble> {
    let scene = Scene::embedded().await?;
    let _tray = scene.place.tray().await?;
    let window = changing(&scene).await?;
    window.ask_to_close()?;
    window.hidden().await?;
    scene.release();
    until(&scene, ChangeState::Changed).await?;
    for index in 0..2 {
        scene.assert_changed(index).await?;
    }
    // A second start brings back the window that is hidden.
    assert!(scene.place.start_again().await?.success(), "a second start must end in order");
    window.shown().await?;
    window.sees(CHANGED).await?;
    window.close().await
}

#[tokio::test]
async fn without_a_change_the_window_closes_at_once_and_ends_the_program() -> Result<(), Trouble> {
    let place = keywheel_fleet::window::Place::new()?;
    let window = place.open().await?;
    window.find("link", "Overview").await?;
    window.ask_to_close()?;
    window.ended().await
}
