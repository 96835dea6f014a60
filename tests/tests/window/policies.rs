//! A policy from its form to the next change of a credential that has it.

use keywheel_core::device::NewDevice;
use keywheel_fleet::Trouble;
use keywheel_fleet::window::Place;

#[tokio::test]
async fn a_policy_is_made_simulated_given_to_a_credential_and_says_when_its_key_changes() -> Result<(), Trouble> {
    let place = Place::new()?;
    let keywheel = place.keywheel()?;
    keywheel.add_device(NewDevice::new("web-1", "127.0.0.1")).await?;
    let window = place.open().await?;

    window.link("Policies").await?;
    window.find("row", "Standard").await?;
    window.button("New policy").await?;
    window.fill("Name", "Weekends").await?;
    window.fill("Maximum key age", "30").await?;
    for day in ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"] {
        window.click("checkbox", day).await?;
    }
    window.fill("From", "22:00").await?;
    window.fill("To", "6 o'clock").await?;
    window.button("Simulate").await?;
    window.sees("\"6 o'clock\" is no time of the day.").await?;
    window.fill("To", "06:00").await?;
    window.button("Simulate").await?;
    window.find("table", "The next 90 days").await?;
    window.sees("A key that is made now would change on:").await?;
    window.button("Save").await?;
    window.find("row", "Weekends").await?;
    window.sees("Sat and Sun").await?;

    window.link("Credentials").await?;
    window.button("New credential").await?;
    window.fill("Name", "deploy").await?;
    window.fill("Username", "deploy").await?;
    window.choose("Original device", "web-1").await?;
    window.click("tab", "Key").await?;
    window.button("Generate a new key").await?;
    window.sees("Generated just now").await?;
    window.click("tab", "Additional settings").await?;
    window.sees("On request only: automatic change is off.").await?;
    window.click("checkbox", "Enable automatic change").await?;
    window.sees("90 days after it is saved").await?;
    window.choose("Policy", "Weekends").await?;
    window.sees("30 days after it is saved").await?;
    window.button("Save").await?;
    window.find("heading", "deploy").await?;
    window.link("Weekends").await?;
    window.sees("1 credential has this policy").await?;

    let row = keywheel.credential_rows().await?.pop().ok_or("the credential was saved")?;
    let next = keywheel.coming_change(row.policy_id, Some(row.view.id)).await?.next;
    assert_eq!(row.view.policy, "Weekends");
    assert_eq!(
        row.view.next_change,
        Some(keywheel_core::clock::rfc3339(next.at)),
        "the list says another time than the page"
    );
    let policy = keywheel.find_policy("Weekends").await?;
    let zone = keywheel.clock().zone();
    assert!(keywheel_core::schedule::is_allowed(&policy, &zone, next.at), "it would begin outside of its hours");

    window.link("Policies").await?;
    window.button("Remove Weekends").await?;
    window.sees("1 credential has this policy. Give it another one first.").await?;
    window.close().await
}
