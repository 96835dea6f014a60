//! Files that others write, that nobody may write, disks that are full.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use keywheel_fleet::{
    embedded::{Edge, Point},
    matrix::Variant,
};

use crate::{place::fill, trial::Trial};

/// Another program appends a line, or writes the file anew with a line more, between our reading and our writing.
fn write_beside(trial: &Trial) {
    const THEIRS: &str = "\n# of somebody else";
    let (shared, renames) = (Arc::clone(&trial.shared), trial.variant == Variant::OneByOne);
    trial.at(Edge::Before, move |device| {
        let path = device.authorized_keys_path();
        if renames {
            let mut text = fs::read(&path).unwrap();
            text.extend(THEIRS.as_bytes());
            replace(&path, &text);
        } else {
            fs::File::options().append(true).open(path).unwrap().write_all(THEIRS.as_bytes()).unwrap();
        }
        shared.appended(THEIRS);
    });
}

/// A configuration manager puts the file that it knows in place of what the stage has just made.
fn put_back(trial: &Trial) {
    let text = trial.text();
    trial.at(Edge::After, move |device| replace(&device.authorized_keys_path(), text.as_bytes()));
}

/// Writes a file anew, with the old one's owner and mode.
fn replace(path: &Path, text: &[u8]) {
    let new = path.with_file_name("of-somebody-else");
    fs::copy(path, &new).unwrap();
    fs::write(&new, text).unwrap();
    let old = fs::metadata(path).unwrap();
    let (user, group) = (std::os::unix::fs::MetadataExt::uid(&old), std::os::unix::fs::MetadataExt::gid(&old));
    std::os::unix::fs::chown(&new, Some(user), Some(group)).unwrap();
    fs::rename(new, path).unwrap();
}

/// Nobody may write the file any more.
fn make_read_only(trial: &Trial) {
    trial.at(Edge::Before, |device| {
        fs::set_permissions(device.authorized_keys_path(), fs::Permissions::from_mode(0o400)).unwrap();
    });
}

/// The device has no room left for what is to be written.
fn fill_there(trial: &Trial) {
    let (home, shared) = (trial.target().home().to_owned(), Arc::clone(&trial.shared));
    trial.arm(move |device, effect| {
        // Over SFTP the rename comes when all is written.
        let point = match effect.point() {
            Point::Request(rename) if !rename.is_empty() => Point::Request("write ".to_owned()),
            point => point,
        };
        device.once(Edge::Before, point, move || {
            fill(&home);
            shared.hit();
        });
    });
}

/// This machine has no room left for the database.
fn fill_here(trial: &Trial) {
    let disk = trial.place.disk();
    trial.at(Edge::Before, move |_| fill(&disk));
}

column! {
    /// Another program writes the file.
    other_writer: OtherWriter, super::write_beside, {
        in_check: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_add: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_prove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_remove: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_refuse: [Shell: Done, Sftp: Done, OneByOne: Done],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Done],
    }
}

column! {
    /// A configuration manager puts its file back.
    put_back: PutBack, super::put_back, {
        in_check: "what it puts back is what stands there",
        in_add: [Shell: Back, Sftp: Back, OneByOne: Back],
        in_prove: [Shell: Stopped, Sftp: Stopped, OneByOne: Back],
        in_remove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_refuse: [Shell: Stopped, Sftp: Stopped, OneByOne: Back],
        in_take_back: [Shell: Done, Sftp: Done, OneByOne: Done],
    }
}

column! {
    /// The file was made read-only.
    read_only: ReadOnly, super::make_read_only, {
        in_check: [Shell: Refused, OneByOne: Refused],
        in_add: [Shell: Back, OneByOne: Back],
        in_prove: "nothing is written in this stage",
        in_remove: [Shell: Stopped, OneByOne: Stopped],
        in_refuse: "nothing is written in this stage",
        in_take_back: [Shell: Stopped, OneByOne: Stopped],
    }
}

column! {
    /// The device's disk is full.
    disk_full_there: DiskFullThere, super::fill_there, {
        in_check: [Shell: Refused, Sftp: Back, OneByOne: Refused],
        in_add: [Shell: Back, Sftp: Back, OneByOne: Back],
        in_prove: "nothing is written in this stage",
        in_remove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_refuse: "nothing is written in this stage",
        in_take_back: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
    }
}

column! {
    /// This machine's disk is full.
    disk_full_here: DiskFullHere, super::fill_here, {
        in_check: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_add: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_prove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_remove: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_refuse: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
        in_take_back: [Shell: Stopped, Sftp: Stopped, OneByOne: Stopped],
    }
}
