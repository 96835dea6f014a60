//! The editor of `authorized_keys`, held against a reading of the file that knows nothing of sshd's rules.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keywheel_core::authorized_keys::{
    Edit, EditError, Key, Line, add, all_keys, append, diff, lines, remove, restore, take_back, withdraw,
};

const OLD: [u8; 51] = blob(1);
const OLDER: [u8; 51] = blob(2);
const NEW: [u8; 51] = blob(3);

/// An Ed25519 key as in RFC 8709, section 4, with a point of one repeated byte.
const fn blob(point: u8) -> [u8; 51] {
    let mut blob = [point; 51];
    let head = b"\0\0\0\x0bssh-ed25519\0\0\0\x20";
    let mut at = 0;
    while at < head.len() {
        blob[at] = head[at];
        at += 1;
    }
    blob
}

fn key(blob: &[u8]) -> Key<'_> {
    Key { key_type: "ssh-ed25519", blob }
}

/// Edits any text in every way, and looks for a byte that changed though it should not have.
///
/// The bytes 1, 2 and 3 stand for the old key, an older one and the new one, so that a fuzzer meets them in all places.
///
/// # Panics
///
/// A foreign line changed; a line of ours is not where it belongs; what was added can't be taken back.
pub fn authorized_keys(bytes: &[u8]) {
    let text = spelled_out(bytes);
    let text = text.as_slice();
    let old = [key(&OLD), key(&OLDER)];
    let new = key(&NEW);

    for entry in all_keys(text) {
        assert!(entry.line.number > 0, "lines count from 1");
    }
    match add(text, &old, new) {
        Ok(added) => changed(text, &added, &old, new),
        Err(EditError::OldKeyMissing) => {
            assert!(old.iter().all(|old| lines(text, *old).is_empty()), "a line of the old key was not seen");
        }
        Err(_) => {}
    }
    if let Ok(removed) = remove(text, &old, new) {
        only_removed(&removed);
        assert!(old.iter().all(|old| lines(&removed.after, *old).is_empty()), "a line of the old key stayed");
        assert_eq!(
            contents(&lines(&removed.after, new)),
            contents(&lines(text, new)),
            "a line of the kept key changed"
        );
    }
    let line = [b"no-pty ssh-ed25519 ".as_slice(), STANDARD.encode(NEW).as_bytes()].concat();
    if let Ok(installed) = append(text, &line, new) {
        only_added(&installed);
        assert_eq!(take_back(&installed.after, &contents(&installed.added), new).after, text, "an install stayed");
    }
    let withdrawn = withdraw(text, &old);
    only_removed(&withdrawn);
    assert!(old.iter().all(|old| lines(&withdrawn.after, *old).is_empty()), "a line of the key stayed");
}

/// A key was added: what the file is then, and after each way on from there.
fn changed(text: &[u8], added: &Edit, old: &[Key<'_>], new: Key<'_>) {
    only_added(added);
    assert!(add(&added.after, old, new).unwrap().changes_nothing(), "adding again adds again");
    assert_eq!(
        take_back(&added.after, &contents(&added.added), new).after,
        text,
        "what was added could not be taken back"
    );

    let removed = remove(&added.after, old, new).unwrap();
    only_removed(&removed);
    let options =
        |text: &[u8], key: Key<'_>| -> Vec<Vec<u8>> { lines(text, key).into_iter().map(|line| line.options).collect() };
    for old in old {
        for wanted in options(text, *old) {
            assert!(options(&removed.after, new).contains(&wanted), "the options of an old line are lost");
        }
    }
    let restored = restore(&removed.after, &contents(&removed.removed), new);
    let back = take_back(&restored.after, &contents(&added.added), new);
    for old in old {
        let sorted = |text: &[u8]| {
            let mut options = options(text, *old);
            options.sort();
            options
        };
        assert_eq!(sorted(&back.after), sorted(text), "the way back lost or doubled a line of the old key");
    }
    let foreign = |text: &[u8]| -> Vec<Vec<u8>> {
        let ours: Vec<usize> = old.iter().flat_map(|old| lines(text, *old)).map(|line| line.number).collect();
        let rest = split(text).into_iter().enumerate().filter(|(index, _)| !ours.contains(&(index + 1)));
        rest.map(|(_, line)| line.strip_suffix(b"\r").unwrap_or(line).to_vec()).collect()
    };
    assert_eq!(foreign(&back.after), foreign(text), "the way back changed a foreign line");
}

/// All lines that were there are there, in their order, and nothing came but what the edit names.
fn only_added(edit: &Edit) {
    assert!(edit.removed.is_empty(), "an addition took a line out");
    assert_eq!(
        split(&edit.after).len(),
        split(&edit.before).len() + edit.added.len(),
        "more or fewer lines than named"
    );
    is_within(&edit.before, &edit.after);
    told(edit);
}

/// Nothing went but what the edit names, and the rest is in its order.
fn only_removed(edit: &Edit) {
    assert!(edit.added.is_empty(), "a removal put a line in");
    assert_eq!(
        split(&edit.before).len(),
        split(&edit.after).len() + edit.removed.len(),
        "more or fewer lines than named"
    );
    is_within(&edit.after, &edit.before);
    told(edit);
}

fn told(edit: &Edit) {
    let moved = !edit.added.is_empty() || !edit.removed.is_empty();
    assert_eq!(edit.changes_nothing(), !moved, "bytes changed without a line that changed");
    assert_eq!(diff(edit, "authorized_keys").is_empty(), !moved, "the diff does not tell what is done");
}

/// The lines of the one are among those of the other, in the same order. A last line without its end gets one when
/// another comes behind it.
fn is_within(few: &[u8], many: &[u8]) {
    let bare = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).to_vec();
    let mut all = split(many).into_iter().map(bare);
    for line in split(few) {
        let line = bare(line);
        assert!(all.any(|other| other == line), "a foreign line is gone or changed: {}", line.escape_ascii());
    }
}

/// The text's lines; what stands behind the last line end is one if it is not empty.
fn split(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines
}

fn contents(lines: &[Line]) -> Vec<Vec<u8>> {
    lines.iter().map(|line| line.bytes.clone()).collect()
}

fn spelled_out(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    for byte in bytes {
        let blob = match byte {
            1 => &OLD,
            2 => &OLDER,
            3 => &NEW,
            _ => {
                text.push(*byte);
                continue;
            }
        };
        text.extend_from_slice(b"ssh-ed25519 ");
        text.extend_from_slice(STANDARD.encode(blob).as_bytes());
    }
    text
}
