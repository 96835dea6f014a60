//! Checks that `ui/src/generated` says what the Rust types say.
//!
//! `make types` writes the folder; every other run of the tests only compares.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ts_rs::{Config, TS};

use crate::commands;
use crate::desk::Notice;

macro_rules! export_all {
    ($config:expr, $($name:ty),+ $(,)?) => {
        $(<$name>::export_all($config).unwrap();)+
    };
}

/// Writes every type that crosses to the window, with the types it is made of.
fn write_types(to: &Path) {
    let config = Config::new().with_out_dir(to).with_large_int("number");
    export_all!(
        &config,
        commands::opening::Opening,
        commands::settings::Desktop,
        commands::devices::Scanned,
        commands::devices::Pin,
        commands::devices::PinsDone,
        commands::devices::CsvDraft,
        commands::credentials::CredentialForm,
        commands::credentials::CredentialPage,
        commands::credentials::PolicyChoice,
        commands::keys::KeyChoice,
        commands::checks::DeviceFinding,
        commands::checks::FormCheck,
        commands::changes::ChangeRequest,
        commands::changes::ChangePage,
        commands::audit::Exported,
        Notice,
        keywheel_core::person::NewPerson,
        keywheel_core::person::PersonRow,
        keywheel_core::device::NewDevice,
        keywheel_core::device::DeviceRow,
        keywheel_core::credential::Standing,
        keywheel_core::rotation::accepts::Accepts,
        keywheel_core::rotation::changes::Step,
        keywheel_core::audit::Page,
        keywheel_core::audit::Record,
        keywheel_core::audit::Verdict,
        keywheel_core::audit::Format,
        keywheel_core::settings::SettingView,
    );
}

fn generated() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/src/generated")
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    entries
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap().replace("\r\n", "\n");
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect()
}

#[test]
fn the_interface_has_the_types_that_rust_has() {
    let fresh = tempfile::tempdir().unwrap();
    write_types(fresh.path());
    let fresh = files(fresh.path());
    let committed = generated();
    if std::env::var_os("KEYWHEEL_WRITE_TYPES").is_some() {
        let _ = fs::remove_dir_all(&committed);
        fs::create_dir_all(&committed).unwrap();
        for (name, text) in &fresh {
            fs::write(committed.join(name), text).unwrap();
        }
    }
    assert_eq!(files(&committed), fresh, "ui/src/generated is stale; run `make types` and commit what it wrote");
}
