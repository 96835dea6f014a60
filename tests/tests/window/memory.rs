//! What is left of a private key in the memory of the window's processes once nothing needs it any more.

use keywheel_fleet::{Traces, Trouble};

use crate::scene::{ACCOUNT, Scene};

#[tokio::test]
async fn nothing_of_a_key_is_left_in_memory_after_a_change() -> Result<(), Trouble> {
    let scene = Scene::new(2).await?;
    let window = scene.place.open().await?;
    scene.open_change(&window).await?;
    window.button("Change key on 2 devices").await?;
    window.sees("2 of 2 devices accept the new key and refuse the old").await?;

    let credential = scene.keywheel.find_credential(ACCOUNT).await?;
    let mut keys = Traces::default();
    let mut public = Traces::default();
    for version in &credential.key_versions {
        keys = keys.and(Traces::of_key(&scene.keywheel.read_key(&credential, version).await?)?);
        public = public.and(Traces::of(version.public_key.blob()));
    }
    let program = window.process().ok_or("the program does not run")?.as_raw();
    let (seen, _) = public.in_memory(program)?;
    assert!(!seen.is_empty(), "the search is blind: not even the public keys were found");
    let mut found = Vec::new();
    for process in window.all_processes() {
        let (traces, size) = keys.in_memory(process.as_raw())?;
        assert!(size > 100_000, "the memory of {process} was not looked through");
        found.extend(traces);
    }
    assert!(found.is_empty(), "private bytes are left in memory: {found:#?}");
    window.close().await
}
