//! Every input of the corpus, among them all that ever broke a promise, through the functions that a fuzzer calls.

#![allow(
    clippy::unwrap_used,
    reason = "all of this file is a test, but clippy takes only the functions marked as tests for it"
)]

use std::fs;
use std::path::Path;

/// Gives each file below a folder of this crate to a fuzzed function, and fails where there is none.
fn replay(folder: &str, target: fn(&[u8])) {
    let mut found = 0;
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            target(&fs::read(&path).unwrap());
            found += 1;
        }
    }
    assert!(found > 3, "{folder} holds {found} inputs");
}

#[test]
fn the_editor_keeps_its_promises_on_every_input_of_the_corpus() {
    replay("corpus/authorized_keys", keywheel_fuzz::authorized_keys);
}

#[test]
fn the_import_of_keys_keeps_its_promises_on_every_input_of_the_corpus() {
    replay("corpus/key_file", keywheel_fuzz::key_file);
    // The files of the key's own tests are where the fuzzer begins, too.
    replay("../tests/keys", keywheel_fuzz::key_file);
}

#[test]
fn the_import_of_devices_keeps_its_promises_on_every_input_of_the_corpus() {
    replay("corpus/csv_import", keywheel_fuzz::csv_import);
}

#[test]
fn the_reading_of_a_configuration_keeps_its_promises_on_every_input_of_the_corpus() {
    replay("corpus/sshd_config", keywheel_fuzz::sshd_config);
}
