use super::*;
use crate::error::{Class, Explain};
use crate::key::{Algorithm, PrivateKey};
use crate::keywheel::testing::keywheel;

fn host_key(algorithm: Algorithm) -> PublicKey {
    PrivateKey::generate(algorithm, "").unwrap().public_key().clone()
}

async fn add(keywheel: &Keywheel, name: &str) -> Device {
    keywheel.add_device(NewDevice::new(name, "10.0.0.1")).await.unwrap()
}

#[tokio::test]
async fn a_device_is_added_found_changed_and_removed() {
    let (keywheel, _dir) = keywheel();
    let mut new = NewDevice::new(" web-1 ", "web-1.example.org");
    (new.port, new.tags, new.authorized_keys_path) =
        (2222, vec!["web".to_owned(), "a".to_owned()], "/etc/keys/%u".to_owned());
    let added = keywheel.add_device(new).await.unwrap();
    assert_eq!((added.name.as_str(), added.port), ("web-1", 2222));
    assert_eq!(added.tags, ["a", "web"]);
    assert_eq!(keywheel.find_device("web-1").await.unwrap(), added);
    assert_eq!(keywheel.find_device(&added.id.to_string()).await.unwrap(), added, "a device can be given by its ID");
    assert_eq!(
        keywheel.devices().await.unwrap(),
        std::slice::from_ref(&added),
        "the list and the single look-up must agree"
    );

    let edit = EditDevice {
        name: Some("web-2".to_owned()),
        port: Some(22),
        authorized_keys_path: Some(String::new()),
        enabled: Some(false),
        ..EditDevice::default()
    };
    let edited = keywheel.edit_device(added.id, edit).await.unwrap();
    assert_eq!(edited, keywheel.find_device("web-2").await.unwrap());
    assert_eq!((edited.address.as_str(), edited.authorized_keys_path.as_deref()), ("web-1.example.org", None));
    assert_eq!(edited.tags, ["a", "web"], "what is not named must stay");
    assert!(!edited.enabled);

    keywheel.remove_device(added.id).await.unwrap();
    assert_eq!(keywheel.find_device("web-2").await.unwrap_err().code(), "unknown-name");
    assert_eq!(keywheel.find_device(&added.id.to_string()).await.unwrap_err().code(), "unknown-name");
    assert!(keywheel.device(added.id).await.unwrap().removed_at.is_some(), "a removed device must stay known");
    assert_eq!(keywheel.remove_device(added.id).await.unwrap_err().code(), "unknown-name");
    let again = add(&keywheel, "web-2").await;
    assert!(again.id > added.id, "the ID of a removed device must never be given to another");
}

#[tokio::test]
async fn refuses_bad_fields_and_changes_nothing() {
    let (keywheel, _dir) = keywheel();
    let known = add(&keywheel, "web-1").await;
    type Spoil = fn(&mut NewDevice);
    let cases: [(&str, Spoil); 8] = [
        ("name-empty", |new| new.name = " ".to_owned()),
        ("name-digits", |new| new.name = "17".to_owned()),
        ("name-taken", |new| new.name = "web-1".to_owned()),
        ("bad-address", |new| new.address = "10.0.0.1:22".to_owned()),
        ("bad-port", |new| new.port = 0),
        ("bad-tag", |new| new.tags = vec!["a;b".to_owned()]),
        ("unknown-name", |new| new.jump = Some(DeviceId(99))),
        ("unknown-name", |new| new.jump_with = Some(CredentialId(99))),
    ];
    for (code, spoil) in cases {
        let mut new = NewDevice::new("web-2", "10.0.0.2");
        spoil(&mut new);
        let error = keywheel.add_device(new).await.unwrap_err();
        assert_eq!((error.code(), error.class()), (code, Class::BadInput), "{error}");
        assert_eq!(keywheel.devices().await.unwrap(), std::slice::from_ref(&known), "{code}");
    }
}

#[tokio::test]
async fn a_jump_device_can_not_lead_back() {
    let (keywheel, _dir) = keywheel();
    let (a, b, c) = (add(&keywheel, "a").await, add(&keywheel, "b").await, add(&keywheel, "c").await);
    let jump = |to: DeviceId| EditDevice { jump: Some(Some(to)), ..EditDevice::default() };
    assert_eq!(keywheel.edit_device(a.id, jump(a.id)).await.unwrap_err().code(), "jump-loop");
    keywheel.edit_device(a.id, jump(b.id)).await.unwrap();
    keywheel.edit_device(b.id, jump(c.id)).await.unwrap();
    let error = keywheel.edit_device(c.id, jump(a.id)).await.unwrap_err();
    assert_eq!(error.code(), "jump-loop");
    assert!(error.to_string().contains("c → a → b → c"), "{error}");
    let way = keywheel
        .database()
        .read(|conn| device::way_to(conn, &device::by_id(conn, a.id)?))
        .unwrap()
        .into_iter()
        .map(|device| device.name)
        .collect::<Vec<_>>();
    assert_eq!(way, ["c", "b"], "the nearest to this machine comes first");

    let error = keywheel.remove_device(c.id).await.unwrap_err();
    assert_eq!(error.code(), "device-is-jump");
    assert!(error.to_string().contains("\"b\""), "{error}");
    keywheel.edit_device(b.id, EditDevice { jump: Some(None), ..EditDevice::default() }).await.unwrap();
    keywheel.remove_device(c.id).await.unwrap();
    assert_eq!(keywheel.edit_device(b.id, jump(c.id)).await.unwrap_err().code(), "unknown-name");
}

#[tokio::test]
async fn a_pinned_host_key_is_replaced_only_by_a_decision() {
    let (keywheel, _dir) = keywheel();
    let web = add(&keywheel, "web-1").await;
    let (one, two, ecdsa) =
        (host_key(Algorithm::Ed25519), host_key(Algorithm::Ed25519), host_key(Algorithm::EcdsaP256));
    let pinned = keywheel.pin_host_keys(web.id, vec![one.clone(), ecdsa.clone()], Pinned::Keep).await.unwrap();
    assert_eq!(pinned.host_keys.len(), 2);
    keywheel.pin_host_keys(web.id, vec![one.clone()], Pinned::Keep).await.unwrap();

    let error = keywheel.pin_host_keys(web.id, vec![two.clone()], Pinned::Keep).await.unwrap_err();
    assert_eq!(error.code(), "host-key-pinned");
    assert_eq!(keywheel.device(web.id).await.unwrap(), pinned, "a changed host key must not be taken silently");

    let replaced = keywheel.pin_host_keys(web.id, vec![two.clone()], Pinned::Replace).await.unwrap();
    assert!(replaced.host_keys.iter().any(|known| known.key == two));
    assert!(!replaced.host_keys.iter().any(|known| known.key == one));
    assert!(replaced.host_keys.iter().any(|known| known.key == ecdsa), "the key of another type stays");
    let rows = keywheel.audit_rows(Default::default()).await.unwrap();
    let row = rows.last().unwrap();
    assert_eq!(row.detail["replaced"][0], one.fingerprint().to_string(), "the old key must be on record");

    let left = keywheel.unpin_host_key(web.id, "ssh-ed25519").await.unwrap();
    assert_eq!(left.host_keys.len(), 1);
}

#[tokio::test]
async fn a_new_address_does_not_take_the_pins_away() {
    let (keywheel, _dir) = keywheel();
    let web = add(&keywheel, "web-1").await;
    keywheel.pin_host_keys(web.id, vec![host_key(Algorithm::Ed25519)], Pinned::Keep).await.unwrap();
    let edit = EditDevice { address: Some("10.0.0.9".to_owned()), ..EditDevice::default() };
    let moved = keywheel.edit_device(web.id, edit).await.unwrap();
    assert_eq!(moved.host_keys.len(), 1, "another host at the new address would be trusted at first sight");
}

#[tokio::test]
async fn the_view_has_the_shape_of_the_command_line() {
    let (keywheel, _dir) = keywheel();
    let jump = add(&keywheel, "jump").await;
    let mut new = NewDevice::new("web-1", "10.0.0.5");
    new.jump = Some(jump.id);
    let web = keywheel.add_device(new).await.unwrap();
    let key = host_key(Algorithm::Ed25519);
    keywheel.pin_host_keys(web.id, vec![key.clone()], Pinned::Keep).await.unwrap();
    let view = keywheel.device_view(web.id).await.unwrap();
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(
        json,
        json!({
            "id": 2, "name": "web-1", "address": "10.0.0.5", "port": 22, "jump": "jump", "jump_with": null, "tags": [],
            "authorized_keys_path": null, "enabled": true,
            "host_keys": [{
                "algorithm": "ssh-ed25519", "fingerprint": key.fingerprint().to_string(),
                "pinned_at": "2026-11-24T08:00:00.000Z"
            }]
        })
    );
    assert_eq!(keywheel.device_views().await.unwrap()[1], view);
}

mod csv_file {
    use super::*;

    async fn preview(keywheel: &Keywheel, csv: &str) -> Result<Preview, Error> {
        keywheel.preview_import(csv.as_bytes().to_vec()).await
    }

    fn causes(preview: &Preview) -> Vec<(u64, &str)> {
        preview.bad.iter().map(|row| (row.line, row.error.code.as_str())).collect()
    }

    #[tokio::test]
    async fn is_shown_first_and_then_imported_as_shown() {
        let (keywheel, _dir) = keywheel();
        add(&keywheel, "web-1").await;
        let key = host_key(Algorithm::Ed25519).to_openssh();
        let csv = format!(
            "\u{feff}address,name,port,jump,tags,authorized_keys_path,host_key\r\n\
             10.0.0.9,web-1,,,,,\r\n\
             web-2.example.org,web-2,2222,jump,\"b;a\",/etc/keys/%u,{key}\r\n\
             10.0.0.7,jump,,,,,\r\n"
        );
        let shown = preview(&keywheel, &csv).await.unwrap();
        assert_eq!(keywheel.devices().await.unwrap().len(), 1, "a preview must write nothing");
        assert_eq!(
            shown.new.iter().map(|row| (row.line, row.name.as_str())).collect::<Vec<_>>(),
            [(3, "web-2"), (4, "jump")]
        );
        assert_eq!(shown.changed.len(), 1);
        assert_eq!(shown.changed[0].columns, ["address"]);
        assert_eq!(shown.bad, []);

        let done = keywheel.import_devices(csv.clone().into_bytes(), shown.clone()).await.unwrap();
        assert_eq!(done, shown);
        let web = keywheel.find_device("web-2").await.unwrap();
        assert_eq!((web.port, web.jump), (2222, Some(keywheel.find_device("jump").await.unwrap().id)));
        assert_eq!(web.tags, ["a", "b"]);
        assert_eq!(web.host_keys.len(), 1);
        assert_eq!(web.id, DeviceId(2), "IDs follow the lines, also after a preview");
        let again = preview(&keywheel, &csv).await.unwrap();
        assert_eq!(again.unchanged, ["web-1", "web-2", "jump"], "importing twice must change nothing");
    }

    #[tokio::test]
    async fn bad_rows_are_named_by_line_and_cause_and_the_good_ones_are_left() {
        let (keywheel, _dir) = keywheel();
        add(&keywheel, "known").await;
        let csv = "name,address,port,jump,host_key\n\
                   good,10.0.0.1,,,\n\
                   ,10.0.0.2,,,\n\
                   12,10.0.0.3,,,\n\
                   a,10.0.0.300,,,\n\
                   b,10.0.0.4,0,,\n\
                   c,10.0.0.5,ssh,,\n\
                   d,10.0.0.6,,nobody,\n\
                   e,10.0.0.7\n\
                   good,10.0.0.8,,,\n\
                   f,10.0.0.9,,,ssh-ed25519 AAAA\n\
                   behind-d,10.0.0.10,,d,\n\
                   x,10.0.0.11,,y,\n\
                   y,10.0.0.12,,x,\n";
        let shown = preview(&keywheel, csv).await.unwrap();
        assert_eq!(
            causes(&shown),
            [
                (3, "name-empty"),
                (4, "name-digits"),
                (5, "bad-address"),
                (6, "bad-port"),
                (7, "bad-port"),
                (8, "unknown-name"),
                (9, "csv-bad-row"),
                (10, "name-twice"),
                (11, "bad-host-key"),
                (12, "unknown-name"),
                (13, "unknown-name"),
                (14, "jump-loop"),
            ]
        );
        assert_eq!(shown.new.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["good"]);
        keywheel.import_devices(csv.as_bytes().to_vec(), shown).await.unwrap();
        let names: Vec<String> = keywheel.devices().await.unwrap().into_iter().map(|device| device.name).collect();
        assert_eq!(names, ["known", "good"]);
    }

    #[tokio::test]
    async fn a_host_key_that_differs_from_the_pinned_one_is_a_bad_row() {
        let (keywheel, _dir) = keywheel();
        let web = add(&keywheel, "web-1").await;
        keywheel.pin_host_keys(web.id, vec![host_key(Algorithm::Ed25519)], Pinned::Keep).await.unwrap();
        let csv = format!("name,address,host_key\nweb-1,10.0.0.1,{}\n", host_key(Algorithm::Ed25519).to_openssh());
        assert_eq!(causes(&preview(&keywheel, &csv).await.unwrap()), [(2, "host-key-pinned")]);
    }

    #[tokio::test]
    async fn an_import_that_would_do_something_else_than_was_shown_is_refused() {
        let (keywheel, _dir) = keywheel();
        let csv = "name,address\nweb-1,10.0.0.1\n";
        let shown = preview(&keywheel, csv).await.unwrap();
        add(&keywheel, "web-1").await;
        let error = keywheel.import_devices(csv.as_bytes().to_vec(), shown).await.unwrap_err();
        assert_eq!(error.code(), "import-changed");
    }

    #[tokio::test]
    async fn a_file_that_is_no_list_of_devices_is_refused_whole() {
        let (keywheel, _dir) = keywheel();
        for (csv, code) in [
            (b"".as_slice(), "csv-empty"),
            (b"name,address\n", "csv-empty"),
            (b"name\nweb-1\n", "csv-missing-column"),
            (b"name,address,colour\nweb-1,10.0.0.1,red\n", "csv-unknown-column"),
            (b"name,address,name\nweb-1,10.0.0.1,x\n", "csv-unknown-column"),
            (b"name,address\nb\xfccher,10.0.0.1\n", "csv-not-utf8"),
        ] {
            let error = keywheel.preview_import(csv.to_vec()).await.unwrap_err();
            assert_eq!((error.code(), error.class()), (code, Class::BadInput), "{error}");
        }
    }

    #[tokio::test]
    async fn lines_are_counted_as_an_editor_counts_them() {
        let (keywheel, _dir) = keywheel();
        for end in ["\n", "\r\n", "\r"] {
            let csv = ["name,address", "", "\"a", "b\",10.0.0.1", "", "12,10.0.0.2", "13,10.0.0.3"].join(end);
            let shown = preview(&keywheel, &csv).await.unwrap();
            assert_eq!(causes(&shown), [(3, "name-control"), (6, "name-digits"), (7, "name-digits")], "{end:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut csv = b"name,address,port\n".to_vec();
            csv.extend(bytes);
            let _ = import::parse(&csv);
        }
    }
}

#[tokio::test]
async fn a_whole_form_sets_every_field_and_a_wrong_one_is_named() {
    let (keywheel, _dir) = keywheel();
    let hop = keywheel.save_device(None, NewDevice::new("hop", "10.0.0.1")).await.unwrap();
    let form =
        NewDevice { jump: Some(hop.view.id), tags: vec!["web".to_owned()], ..NewDevice::new("web-1", "10.0.0.2") };
    let web = keywheel.save_device(None, form.clone()).await.unwrap();
    assert_eq!((web.jump_id, web.view.jump.as_deref()), (Some(hop.view.id), Some("hop")));
    let rows = keywheel.audit_rows(Default::default()).await.unwrap().len();
    let save = |form: NewDevice| keywheel.save_device(Some(web.view.id), form);
    assert_eq!(save(form.clone()).await.unwrap(), web);
    assert_eq!(keywheel.audit_rows(Default::default()).await.unwrap().len(), rows, "nothing was changed");

    let field = async |form: NewDevice| save(form).await.unwrap_err().field();
    assert_eq!(field(NewDevice { name: String::new(), ..form.clone() }).await, Some("name"));
    assert_eq!(field(NewDevice { name: "hop".to_owned(), ..form.clone() }).await, Some("name"));
    assert_eq!(field(NewDevice { address: "a b".to_owned(), ..form.clone() }).await, Some("address"));
    assert_eq!(field(NewDevice { port: 0, ..form.clone() }).await, Some("port"));
    assert_eq!(field(NewDevice { jump: Some(web.view.id), ..form.clone() }).await, Some("jump"));
    assert_eq!(field(NewDevice { jump: Some(DeviceId(99)), ..form.clone() }).await, Some("jump"));
    assert_eq!(field(NewDevice { jump_with: Some(CredentialId(99)), ..form.clone() }).await, Some("jump_with"));
    assert_eq!(field(NewDevice { tags: vec!["a;b".to_owned()], ..form.clone() }).await, Some("tags"));
    assert_eq!(field(NewDevice { authorized_keys_path: "/".to_owned(), ..form }).await, Some("authorized_keys_path"));

    let bare = save(NewDevice::new("web-1", "10.0.0.3")).await.unwrap();
    assert_eq!((bare.jump_id, bare.view.tags.len()), (None, 0), "a field that was emptied has stayed");
}
