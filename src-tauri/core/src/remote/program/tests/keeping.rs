//! What a file is besides its bytes stays, and what other writers do is not lost.

use std::sync::atomic::{AtomicBool, Ordering};

use super::support::*;
use super::*;

const BEFORE: &[u8] = b"ssh-ed25519 AAAA old\n";
const AFTER: &[u8] = b"ssh-ed25519 AAAA old\nssh-ed25519 BBBB new\n";

#[test]
fn mode_owner_and_group_stay() {
    for mode in [0o600, 0o640, 0o644, 0o664, 0o755] {
        let place = Place::with(BEFORE);
        std::fs::set_permissions(&place.file, std::fs::Permissions::from_mode(mode)).unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&place.file, Some(1234), Some(4321)).unwrap();
        }
        let before = place.file.metadata().unwrap();
        let answer = run(&["sh"], &place.write("1", BEFORE, AFTER));
        assert!(parse_write("1", &answer).unwrap().holds(AFTER));
        let after = place.file.metadata().unwrap();
        assert_eq!(
            (after.mode(), after.uid(), after.gid(), after.nlink()),
            (before.mode(), before.uid(), before.gid(), 1),
            "mode {mode:o}"
        );
    }
}

fn acl(place: &Place) -> String {
    let output = Command::new("getfacl").args(["-n", "-p", place.path()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_access_control_list_stays() {
    if !is_installed("setfacl") {
        return;
    }
    let place = Place::with(BEFORE);
    must(&["setfacl", "-m", "u:1234:r", place.path()]);
    let before = acl(&place);
    assert!(before.contains("user:1234:r--"), "the list must be there: {before}");
    let answer = run(&["sh"], &place.write("1", BEFORE, AFTER));
    assert!(parse_write("1", &answer).unwrap().holds(AFTER));
    assert_eq!(acl(&place), before, "the list must stay");
    let state = parse_read("1", &run(&["sh"], &read("1", place.path()).unwrap())).unwrap().state;
    assert_eq!((state.sign, state.extended_acl), (AttributeSign::Acl, Some(true)), "reading must show the list");
}

#[test]
fn an_access_control_list_that_would_be_lost_is_a_refusal() {
    if !is_installed("setfacl") {
        return;
    }
    let place = Place::with(BEFORE);
    must(&["setfacl", "-m", "u:1234:r", place.path()]);
    let before = acl(&place);
    let program = place.write("1", BEFORE, AFTER);
    // A `cp` that keeps no lists: by the mark in the listing, and by getfacl where the listing shows no mark.
    let plain = "cp(){ command cp -- \"$4\" \"$5\"&&chmod 640 \"$5\";};";
    let answer = place.run_with(&program, "t=./.kw-$m", plain);
    let what = "mode or owner".to_owned();
    assert_eq!(parse_write("1", &answer), Err(WriteError::MetadataWouldChange { what }));
    let blind = format!("{plain}ls(){{ command ls \"$@\"|tr -d +;}};");
    let answer = place.run_with(&program, "t=./.kw-$m", &blind);
    let what = "access control list or attributes".to_owned();
    assert_eq!(parse_write("1", &answer), Err(WriteError::MetadataWouldChange { what }));
    place.assert_untouched(BEFORE);
    assert_eq!(acl(&place), before, "the list must stay");
}

#[test]
fn an_attribute_that_would_be_lost_is_a_refusal() {
    let place = Place::with(BEFORE);
    let program = place.write("1", BEFORE, AFTER);
    // A `getfattr` as of the attr package: files without attributes are left out, each block ends with an empty line.
    let shows = |live: &str, copy: &str| {
        let show = |value: &str| match value {
            "" => ":".to_owned(),
            value => format!("echo \"# file: $q\";echo {value};echo"),
        };
        format!("getfattr(){{ for q in \"$@\";do case $q in *.new){};;*keys){};;esac;done;}};", show(copy), show(live))
    };
    let what = "access control list or attributes".to_owned();
    let refused = Err(WriteError::MetadataWouldChange { what });
    for (live, copy) in [("user.a=0x01", ""), ("", "user.a=0x01"), ("user.a=0x01", "user.a=0x02")] {
        let answer = place.run_with(&program, "t=./.kw-$m", &shows(live, copy));
        assert_eq!(parse_write("1", &answer), refused, "{live:?} {copy:?}");
        place.assert_untouched(BEFORE);
    }
    for same in ["user.a=0x01", ""] {
        std::fs::write(&place.file, BEFORE).unwrap();
        let answer = place.run_with(&program, "t=./.kw-$m", &shows(same, same));
        assert!(parse_write("1", &answer).unwrap().holds(AFTER), "{same:?}");
    }
}

#[test]
fn extended_attributes_stay() {
    if !is_installed("python3") {
        return;
    }
    let place = Place::with(BEFORE);
    let set = "import os,sys; os.setxattr(sys.argv[1], 'user.note', b'kept')";
    if !Command::new("python3").args(["-c", set, place.path()]).output().unwrap().status.success() {
        println!("skipped: the file system has no extended attributes");
        return;
    }
    let answer = run(&["sh"], &place.write("1", BEFORE, AFTER));
    assert!(parse_write("1", &answer).unwrap().holds(AFTER));
    must(&["python3", "-c", "import os,sys; assert os.getxattr(sys.argv[1], 'user.note') == b'kept'", place.path()]);
}

#[test]
fn busybox_alone_reads_and_writes() {
    let Some(folder) = busybox_folder() else { return };
    let path = folder.path().to_str().unwrap();
    let place = Place::with(BEFORE);
    let program = place.write("1", BEFORE, AFTER);
    let mut command = command(&["busybox", "ash"], &with_path(&program, path));
    command.env("PATH", format!("{path}:/usr/bin"));
    let answer = run_by(command, &program);
    let written = parse_write("1", &answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    assert!(written.holds(AFTER) && !written.plain_compare);
    place.assert_untouched(AFTER);
    let program = read("1", place.path()).unwrap();
    let mut command = support::command(&["busybox", "ash"], &with_path(&program, path));
    command.env("PATH", format!("{path}:/usr/bin"));
    let file = parse_read("1", &run_by(command, &program)).unwrap();
    assert_eq!(file.bytes, AFTER);
    assert!(file.state.identity.is_some() && file.state.free.is_some(), "busybox tells identity and free space");
}

#[test]
fn without_sha256sum_the_crc_decides() {
    let place = Place::with(BEFORE);
    let program = place.write("1", BEFORE, AFTER);
    let line = program.command().replace("command -v sha256sum", "command -v no-such-utility");
    let written = parse_write("1", &run_by(command(&["sh"], &line), &program)).unwrap();
    assert_eq!(written.checksum, Checksum::cksum(AFTER));
    let line = place.write("2", BEFORE, AFTER).command().replace("command -v sha256sum", "command -v no-such-utility");
    let answer = run_by(command(&["sh"], &line), &place.write("2", BEFORE, AFTER));
    assert_eq!(parse_write("2", &answer), Err(WriteError::ChangedBySomeoneElse), "the file holds the new text already");
}

#[test]
fn without_hard_links_the_file_is_compared_and_the_answer_says_so() {
    let place = Place::with(BEFORE);
    let program = place.write("1", BEFORE, AFTER);
    let written = parse_write("1", &place.run_with(&program, "S \"$t\";c=0", "ln(){ false;};")).unwrap();
    assert!(written.plain_compare && written.holds(AFTER));
    place.assert_untouched(AFTER);
    let answer = place.run_with(&program, "S \"$t\";c=0", "ln(){ false;};");
    assert_eq!(parse_write("1", &answer), Err(WriteError::ChangedBySomeoneElse));
    place.assert_untouched(AFTER);
}

#[test]
fn a_tail_appended_before_the_look_is_a_conflict() {
    let place = Place::with(BEFORE);
    let program = place.write("1", BEFORE, AFTER);
    let answer = place.run_with(&program, "S \"$t\";c=0", "echo foreign >>\"$b\";");
    assert_eq!(parse_write("1", &answer), Err(WriteError::ChangedBySomeoneElse));
    place.assert_untouched(&[BEFORE, b"foreign\n"].concat());
}

#[test]
fn a_tail_appended_after_the_look_is_carried_over() {
    let place = Place::with(BEFORE);
    let program = place.write("1", BEFORE, AFTER);
    // Before the rename by name, after it through a descriptor that was opened before.
    let answer = place.run_with(&program, "trap \"\" HUP INT TERM PIPE", "echo first >>\"$b\";");
    let written = parse_write("1", &answer).unwrap();
    assert!(written.carried_over && !written.holds(AFTER), "{written:?}");
    assert!(written.holds(&place.text()), "the checksum read back is the one of the file");
    place.assert_untouched(&[AFTER, b"first\n"].concat());
    std::fs::write(&place.file, BEFORE).unwrap();
    let line = program.command().replace("trap \"\" HUP INT TERM PIPE", "exec 8>>\"$b\";trap \"\" HUP INT TERM PIPE");
    let line = line.replace("S .;r=0", "echo second >&8;exec 8>&-;S .;r=0");
    assert!(parse_write("1", &run_by(command(&["sh"], &line), &program)).unwrap().carried_over);
    place.assert_untouched(&[AFTER, b"second\n"].concat());
}

#[test]
fn a_tail_behind_an_unfinished_line_puts_the_file_back() {
    let place = Place::with(b"ssh-ed25519 AAAA old");
    let program = place.write("1", b"ssh-ed25519 AAAA old", b"ssh-ed25519 AAAA old\nssh-ed25519 BBBB new");
    let answer = place.run_with(&program, "trap \"\" HUP INT TERM PIPE", "echo first >>\"$b\";");
    assert_eq!(parse_write("1", &answer), Err(WriteError::ChangedBySomeoneElse));
    place.assert_untouched(b"ssh-ed25519 AAAA oldfirst\n");
}

#[test]
fn a_file_rewritten_after_the_look_is_put_back() {
    let place = Place::with(BEFORE);
    let program = place.write("1", BEFORE, AFTER);
    let answer = place.run_with(&program, "trap \"\" HUP INT TERM PIPE", "echo all new >\"$b\";");
    assert_eq!(parse_write("1", &answer), Err(WriteError::ChangedBySomeoneElse));
    place.assert_untouched(b"all new\n");
}

#[test]
fn a_file_replaced_after_the_look_is_not_overwritten() {
    let place = Place::with(BEFORE);
    let program = place.write("1", BEFORE, AFTER);
    let answer = place.run_with(&program, "T;[ $((u-s))", "echo replaced >x;mv x \"$b\";");
    assert_eq!(parse_write("1", &answer), Err(WriteError::ChangedBySomeoneElse));
    place.assert_untouched(b"replaced\n");
}

#[test]
fn a_writer_that_appends_all_the_time_loses_no_line() {
    let place = Place::with(b"ours 0\n");
    let stop = AtomicBool::new(false);
    /// Ends the other writer also where an assertion fails.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let appended = std::thread::scope(|scope| {
        let stopping = Stop(&stop);
        let writer = scope.spawn(|| {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                let mut file = std::fs::OpenOptions::new().append(true).open(&place.file).unwrap();
                file.write_all(format!("foreign {count}\n").as_bytes()).unwrap();
                drop(file);
                count += 1;
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            count
        });
        let (mut done, mut tries, mut carried) = (0, 0, 0);
        while done < 50 {
            tries += 1;
            assert!(tries < 1000, "a write must come through now and then");
            let before = place.text();
            let text = String::from_utf8(before.clone()).unwrap();
            let new = text.replacen(&format!("ours {done}\n"), &format!("ours {}\n", done + 1), 1);
            match parse_write("1", &run(&["sh"], &place.write("1", &before, new.as_bytes()))) {
                Ok(written) => {
                    done += 1;
                    carried += u32::from(written.carried_over);
                }
                Err(WriteError::ChangedBySomeoneElse) => {}
                Err(error) => panic!("{error}"),
            }
        }
        drop(stopping);
        println!("{tries} tries, {carried} tails carried over");
        writer.join().unwrap()
    });
    let text = String::from_utf8(place.text()).unwrap();
    assert_eq!(text.lines().filter(|line| *line == "ours 50").count(), 1, "all our writes must have come through");
    for number in 0..appended {
        let line = format!("foreign {number}");
        assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{line} must stand once");
    }
    assert_eq!(left_over(place.folder.path()), Vec::<String>::new());
}
