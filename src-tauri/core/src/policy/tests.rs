use super::*;
use crate::catalogue::{DeviceId, Weekday};
use crate::credential::{NewCredential, NewSecret};
use crate::device::NewDevice;
use crate::error::Explain;
use crate::key::{Algorithm, PrivateKey};
use crate::keywheel::testing::keywheel;

async fn device(keywheel: &Keywheel) -> DeviceId {
    keywheel.add_device(NewDevice::new("web-1", "10.0.0.1")).await.unwrap().id
}

async fn key(keywheel: &Keywheel, name: &str, device: DeviceId, policy: Option<PolicyId>) {
    let key = PrivateKey::generate(Algorithm::Ed25519, name).unwrap();
    let new = NewCredential::new(name, "deploy", device, NewSecret::Generated(key));
    keywheel.add_credential(NewCredential { policy, ..new }).await.unwrap();
}

#[tokio::test]
async fn a_policy_is_added_changed_and_removed_and_the_audit_says_so() {
    let (keywheel, _dir) = keywheel();
    let added = keywheel.add_policy(NewPolicy::standard(" Nightly ")).await.unwrap();
    assert_eq!((added.fields.name.as_str(), added.credentials, added.standard), ("Nightly", 0, false));
    let edit = EditPolicy {
        days: Some(vec![Weekday::Sun, Weekday::Sat]),
        hours: Some(("22:00".to_owned(), "6:00".to_owned())),
        after_reveal_hours: Some(Some(24)),
        ..EditPolicy::default()
    };
    let edited = keywheel.edit_policy(added.id, edit).await.unwrap();
    assert_eq!(edited.fields.days, [Weekday::Sat, Weekday::Sun]);
    assert_eq!((edited.fields.to.as_str(), edited.fields.maximum_age_days), ("06:00", 90));
    assert_eq!(keywheel.policy_view("Nightly").await.unwrap(), edited);
    let whole = NewPolicy { after_reveal_hours: None, ..edited.fields.clone() };
    let saved = keywheel.save_policy(Some(added.id), whole).await.unwrap();
    assert_eq!(saved.fields.after_reveal_hours, None);
    keywheel.remove_policy(added.id).await.unwrap();
    let names: Vec<String> = keywheel.policy_views().await.unwrap().into_iter().map(|view| view.fields.name).collect();
    assert_eq!(names, ["Standard"]);
    let records = keywheel.audit_rows(Default::default()).await.unwrap();
    let told: Vec<&str> = records
        .iter()
        .filter(|record| record.subject.as_deref() == Some("Nightly"))
        .map(|record| record.action.as_str())
        .collect();
    assert_eq!(told.len(), 4, "{told:?}");
}

#[tokio::test]
async fn an_edit_that_changes_nothing_leaves_no_row_in_the_audit() {
    let (keywheel, _dir) = keywheel();
    let standard = keywheel.policy_view("Standard").await.unwrap();
    assert_eq!(standard.fields, NewPolicy::standard("Standard"), "a new form would not begin as Standard");
    let rows = keywheel.audit_rows(Default::default()).await.unwrap().len();
    keywheel.save_policy(Some(standard.id), standard.fields).await.unwrap();
    assert_eq!(keywheel.audit_rows(Default::default()).await.unwrap().len(), rows);
}

#[tokio::test]
async fn standard_can_be_edited_but_neither_renamed_nor_removed() {
    let (keywheel, _dir) = keywheel();
    let id = keywheel.find_policy("Standard").await.unwrap().id;
    let edit = EditPolicy { maximum_age_days: Some(30), ..EditPolicy::default() };
    assert_eq!(keywheel.edit_policy(id, edit).await.unwrap().fields.maximum_age_days, 30);
    let rename = EditPolicy { name: Some("Usual".to_owned()), ..EditPolicy::default() };
    let error = keywheel.edit_policy(id, rename).await.unwrap_err();
    assert_eq!((error.code(), error.field()), ("policy-standard", Some("name")));
    assert_eq!(keywheel.remove_policy(id).await.unwrap_err().code(), "policy-standard");
    assert_eq!(keywheel.find_policy("Standard").await.unwrap().maximum_age_days, 30);
}

#[tokio::test]
async fn a_policy_in_use_is_not_removed_and_says_by_which_credentials() {
    let (keywheel, _dir) = keywheel();
    let device = device(&keywheel).await;
    let nightly = keywheel.add_policy(NewPolicy::standard("Nightly")).await.unwrap().id;
    key(&keywheel, "deploy", device, Some(nightly)).await;
    key(&keywheel, "backup", device, Some(nightly)).await;
    key(&keywheel, "other", device, None).await;
    let counts: Vec<(String, u32)> =
        keywheel.policy_views().await.unwrap().into_iter().map(|view| (view.fields.name, view.credentials)).collect();
    assert_eq!(counts, [("Nightly".to_owned(), 2), ("Standard".to_owned(), 1)]);
    let error = keywheel.remove_policy(nightly).await.unwrap_err();
    assert_eq!(error.code(), "policy-used");
    assert!(error.to_string().contains("\"backup\", \"deploy\""), "{error}");
    for id in [1, 2] {
        keywheel
            .remove_credential(crate::catalogue::CredentialId(id), crate::credential::Standing::Refuse)
            .await
            .unwrap();
    }
    keywheel.remove_policy(nightly).await.unwrap();
}

#[tokio::test]
async fn refuses_a_taken_name_and_an_unknown_policy() {
    let (keywheel, _dir) = keywheel();
    let error = keywheel.add_policy(NewPolicy::standard("Standard")).await.unwrap_err();
    assert_eq!((error.code(), error.field()), ("name-taken", Some("name")));
    let nightly = keywheel.add_policy(NewPolicy::standard("Nightly")).await.unwrap().id;
    let rename = EditPolicy { name: Some("Standard".to_owned()), ..EditPolicy::default() };
    assert_eq!(keywheel.edit_policy(nightly, rename).await.unwrap_err().code(), "name-taken");
    assert_eq!(keywheel.remove_policy(PolicyId(99)).await.unwrap_err().code(), "unknown-name");
    assert_eq!(keywheel.policy_view("Weekly").await.unwrap_err().code(), "unknown-name");
}

#[tokio::test]
async fn a_form_is_simulated_without_being_saved_or_named() {
    let (keywheel, _dir) = keywheel();
    let form = NewPolicy { maximum_age_days: 7, days: vec![Weekday::Sun], ..NewPolicy::standard("") };
    let drawn = keywheel.simulate_policy(&form).unwrap();
    assert_eq!(drawn.days.len(), 90);
    assert_eq!(drawn.days[0].date, "2026-11-24");
    assert_eq!(drawn.changes[0].at.to_string(), "2026-12-06T00:00:00Z");
    let wrong = NewPolicy { days: Vec::new(), ..form };
    assert_eq!(keywheel.simulate_policy(&wrong).unwrap_err().field(), Some("days"));
    assert_eq!(keywheel.policies().await.unwrap().len(), 1, "a simulation has saved something");
}
