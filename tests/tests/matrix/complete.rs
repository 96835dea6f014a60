//! The matrix as a whole: nothing of it is missing, and the documentation shows it as it is.

use keywheel_fleet::matrix::{self, Column};

use crate::{files, keyring, network, paused, process, server};

const COLUMNS: &[Column] = &[
    network::cut_before::COLUMN,
    network::cut_during::COLUMN,
    network::cut_after::COLUMN,
    network::answer_lost::COLUMN,
    network::hangs::COLUMN,
    network::dead::COLUMN,
    network::restarted::COLUMN,
    process::killed::COLUMN,
    paused::stopped_and_continued::COLUMN,
    process::power_cut_here::COLUMN,
    process::power_cut_there::COLUMN,
    keyring::locked::COLUMN,
    keyring::slow::COLUMN,
    keyring::fails::COLUMN,
    files::other_writer::COLUMN,
    files::put_back::COLUMN,
    files::read_only::COLUMN,
    files::disk_full_there::COLUMN,
    files::disk_full_here::COLUMN,
    server::host_key::COLUMN,
    server::refuses_key::COLUMN,
    server::accepts_old::COLUMN,
    server::nologin::COLUMN,
    server::shared_home::COLUMN,
    server::clock_here::COLUMN,
    server::clock_there::COLUMN,
    server::label::COLUMN,
];

const BEGIN: &str = "<!-- The fault matrix: written by `make reliability`. -->\n";
const END: &str = "<!-- The end of the fault matrix. -->\n";

#[test]
fn every_fault_has_one_cell_for_every_stage() {
    assert_eq!(matrix::gaps(COLUMNS), [""; 0], "the matrix has holes, or two cells for one pair");
}

#[test]
fn the_documentation_shows_the_matrix_as_it_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/RELIABILITY.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark where the matrix begins");
    let (_, after) = rest.split_once(END).expect("the mark where the matrix ends");
    let expected = format!("{before}{BEGIN}\n{}\n{END}{after}", matrix::table(COLUMNS));
    if std::env::var_os("KEYWHEEL_WRITE_RELIABILITY").is_some() {
        std::fs::write(path, expected).unwrap();
    } else {
        assert!(text == expected, "docs/RELIABILITY.md is stale: run `make reliability`");
    }
}
