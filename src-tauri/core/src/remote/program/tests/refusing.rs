//! What the writing program refuses, and that it then leaves everything as it was.

use super::support::*;
use super::*;

const BEFORE: &[u8] = b"ssh-ed25519 AAAA old\n";
const AFTER: &[u8] = b"ssh-ed25519 AAAA old\nssh-ed25519 BBBB new\n";

fn refusal(place: &Place, answer: &[u8]) -> WriteError {
    let Err(error) = parse_write("1", answer) else { panic!("it must not be written") };
    place.assert_untouched(BEFORE);
    error
}

#[test]
fn a_cut_payload_leaves_the_file_untouched() {
    let place = Place::with(BEFORE);
    let whole = place.write("1", BEFORE, AFTER);
    for length in [0, 1, 20, whole.input().len() - AFTER.len(), whole.input().len() - 1] {
        let cut = Program { input: whole.input()[..length].to_vec(), ..whole.clone() };
        let error = refusal(&place, &run(&["sh"], &cut));
        assert!(
            matches!(error, WriteError::ChecksumMismatch | WriteError::InputDamaged | WriteError::Missing),
            "cut at {length}: {error:?}"
        );
    }
}

#[test]
fn a_beheaded_input_is_noticed() {
    let place = Place::with(BEFORE);
    let whole = place.write("1", BEFORE, AFTER);
    let beheaded = Program { input: whole.input()[5..].to_vec(), ..whole };
    assert_eq!(refusal(&place, &run(&["sh"], &beheaded)), WriteError::InputDamaged);
}

#[test]
fn a_file_that_holds_other_bytes_is_not_written() {
    let place = Place::with(BEFORE);
    let answer = run(&["sh"], &place.write("1", b"something else\n", AFTER));
    assert_eq!(refusal(&place, &answer), WriteError::ChangedBySomeoneElse);
}

#[test]
fn a_missing_file_and_a_missing_directory_are_told() {
    let place = Place::with(BEFORE);
    for name in ["other", "no/such/file"] {
        let path = place.file.with_file_name(name);
        let what =
            Write { path: path.to_str().unwrap(), expected: b"", new: AFTER, deadline_seconds: 30, mark: "0a1b2c3d-7" };
        let answer = run(&["sh"], &write("1", &what).unwrap());
        assert_eq!(refusal(&place, &answer), WriteError::Missing, "{name}");
        assert!(!path.exists(), "nothing may be created");
    }
}

#[test]
fn a_link_that_appeared_is_not_followed() {
    let place = Place::with(BEFORE);
    let link = place.file.with_file_name("link");
    std::os::unix::fs::symlink(&place.file, &link).unwrap();
    let folder = place.file.with_file_name("folder");
    std::os::unix::fs::symlink(place.file.parent().unwrap(), &folder).unwrap();
    for path in [link, folder.join("authorized_keys")] {
        let what = Write {
            path: path.to_str().unwrap(),
            expected: BEFORE,
            new: AFTER,
            deadline_seconds: 30,
            mark: "0a1b2c3d-7",
        };
        let answer = run(&["sh"], &write("1", &what).unwrap());
        assert_eq!(refusal(&place, &answer), WriteError::Moved, "{path:?}");
    }
}

#[test]
fn a_directory_or_a_pipe_is_not_written() {
    let place = Place::with(BEFORE);
    let pipe = place.file.with_file_name("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [place.file.parent().unwrap(), &pipe] {
        let what = Write {
            path: path.to_str().unwrap(),
            expected: BEFORE,
            new: AFTER,
            deadline_seconds: 30,
            mark: "0a1b2c3d-7",
        };
        let answer = run(&["sh"], &write("1", &what).unwrap());
        assert_eq!(refusal(&place, &answer), WriteError::NotRegular, "{path:?}");
    }
}

#[test]
fn a_second_hard_link_is_not_broken() {
    let place = Place::with(BEFORE);
    std::fs::hard_link(&place.file, place.file.with_file_name("second")).unwrap();
    let answer = run(&["sh"], &place.write("1", BEFORE, AFTER));
    assert_eq!(refusal(&place, &answer), WriteError::MetadataWouldChange { what: "hard links".to_owned() });
}

#[test]
fn a_second_name_that_another_write_gave_is_waited_for() {
    let place = Place::with(BEFORE);
    let second = place.file.with_file_name(".kw-another-vault-1.old");
    std::fs::hard_link(&place.file, &second).unwrap();
    let answer = run(&["sh"], &place.write("1", BEFORE, AFTER));
    assert_eq!(parse_write("1", &answer), Err(WriteError::ChangedBySomeoneElse));
    assert_eq!(place.text(), BEFORE, "the other write would lose its file");
    let told = || parse_probe("1", &run(&["sh"], &probe("1", &[place.path().to_owned()]).unwrap())).unwrap();
    assert_eq!(told().files[0].link_count, None, "the check would refuse");
    std::fs::rename(&second, place.file.with_file_name("second")).unwrap();
    assert_eq!(told().files[0].link_count, Some(2), "the check would not refuse");
}

#[test]
fn a_file_of_another_owner_is_not_taken_over() {
    if !is_root("giving a file to another account") {
        return;
    }
    let place = Place::with(BEFORE).of_account();
    std::os::unix::fs::chown(&place.file, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&place.file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let program = place.write("1", BEFORE, AFTER);
    let error = refusal(&place, &run_by(as_account(program.command()), &program));
    assert_eq!(error, WriteError::MetadataWouldChange { what: "mode or owner".to_owned() });
    assert_eq!(place.file.metadata().unwrap().uid(), 0, "the owner must stay");
}

#[test]
fn a_read_only_file_and_a_read_only_directory_are_told() {
    let place = Place::with(BEFORE).of_account();
    let program = place.write("1", BEFORE, AFTER);
    std::fs::set_permissions(&place.file, std::fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(refusal(&place, &run_by(as_account(program.command()), &program)), WriteError::FileReadOnly);
    std::fs::set_permissions(&place.file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(place.folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    let answer = run_by(as_account(program.command()), &program);
    std::fs::set_permissions(place.folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(refusal(&place, &answer), WriteError::DirectoryNotWritable);
    std::fs::set_permissions(&place.file, std::fs::Permissions::from_mode(0o200)).unwrap();
    let answer = run_by(as_account(program.command()), &program);
    std::fs::set_permissions(&place.file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(refusal(&place, &answer), WriteError::FileUnreadable);
}

#[test]
fn an_immutable_file_is_told() {
    if !is_root("chattr") || !is_installed("chattr") {
        return;
    }
    for flag in ["i", "a"] {
        let place = Place::with(BEFORE);
        let set = Command::new("chattr").arg(format!("+{flag}")).arg(&place.file).output().unwrap();
        if !set.status.success() {
            println!("skipped: the file system has no immutable files");
            return;
        }
        let answer = run(&["sh"], &place.write("1", BEFORE, AFTER));
        let seen = parse_read("1", &run(&["sh"], &read("1", place.path()).unwrap()));
        must(&["chattr", &format!("-{flag}"), place.path()]);
        assert_eq!(refusal(&place, &answer), WriteError::Immutable, "flag {flag}");
        assert!(seen.unwrap().state.immutable, "reading must show the mark {flag}");
    }
}

/// Runs a program in a mount namespace of its own, after a preparation that gets the file's folder as `$1`.
fn run_mounted(place: &Place, program: &Program, preparation: &str) -> Option<Vec<u8>> {
    if !is_root("mounting") || !is_installed("unshare") {
        return None;
    }
    let line = format!("{{ {preparation}; }} >/dev/null || exit; exec sh -c \"$2\"");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &line, "sh", place.file.parent().unwrap().to_str().unwrap(), program.command()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(run_by(command, program))
}

#[test]
fn a_full_disk_is_told() {
    let place = Place::with(BEFORE);
    let big = vec![b'k'; 200_000];
    let program = place.write("1", BEFORE, &big);
    let full = "cp \"$1/authorized_keys\" /tmp/.kw-test-$$ && mount -t tmpfs -o size=64k none \"$1\" && mv /tmp/.kw-test-$$ \"$1/authorized_keys\"; trap \"\" EXIT";
    let Some(answer) = run_mounted(&place, &program, full) else { return };
    assert_eq!(refusal(&place, &answer), WriteError::DiskFull);
    let last = format!("{full}; cat /dev/zero >\"$1/fill\" 2>/dev/null; true");
    let small = place.write("1", BEFORE, AFTER);
    let Some(answer) = run_mounted(&place, &small, &last) else { return };
    assert_eq!(refusal(&place, &answer), WriteError::DiskFull);
    let nodes = full.replace("size=64k", "nr_inodes=2");
    let Some(answer) = run_mounted(&place, &small, &nodes) else { return };
    assert_eq!(refusal(&place, &answer), WriteError::DiskFull);
}

#[test]
fn a_mounted_file_and_a_read_only_mount_are_told() {
    let place = Place::with(BEFORE);
    let program = place.write("1", BEFORE, AFTER);
    let bound = "mount --bind \"$1/authorized_keys\" \"$1/authorized_keys\"";
    let Some(answer) = run_mounted(&place, &program, bound) else { return };
    assert_eq!(refusal(&place, &answer), WriteError::MountPoint);
    let reading = read("1", place.path()).unwrap();
    let answer = run_mounted(&place, &reading, bound).unwrap();
    assert!(parse_read("1", &answer).unwrap().state.mount_point, "reading must show the mount point");
    let read_only = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\"";
    let answer = run_mounted(&place, &program, read_only).unwrap();
    assert_eq!(refusal(&place, &answer), WriteError::DirectoryNotWritable);
    let answer = run_mounted(&place, &reading, read_only).unwrap();
    assert!(!parse_read("1", &answer).unwrap().state.directory_writable, "reading must show it");
}

#[test]
fn a_write_that_comes_too_late_is_not_made() {
    let place = Place::with(BEFORE);
    let what = Write { path: place.path(), expected: BEFORE, new: AFTER, deadline_seconds: 1, mark: "0a1b2c3d-7" };
    let program = write("1", &what).unwrap();
    let answer = place.run_with(&program, "S \"$t\";c=0", "sleep 2;");
    assert_eq!(refusal(&place, &answer), WriteError::TooLate);
}

#[test]
fn a_signal_while_it_waits_or_works_leaves_nothing_behind() {
    for signal in ["TERM", "HUP", "INT"] {
        let place = Place::with(BEFORE);
        let program = place.write("1", BEFORE, AFTER);
        let mut child = command(&["sh"], &format!("exec {}", program.command())).spawn().unwrap();
        let data = program.input();
        child.stdin.as_mut().unwrap().write_all(&data[..data.len() - 3]).unwrap();
        let started = std::time::Instant::now();
        while left_over(place.folder.path()).is_empty() {
            assert!(started.elapsed().as_secs() < 20, "the copy must appear");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        must(&["kill", &format!("-{signal}"), &child.id().to_string()]);
        // It may have ended already, if the signal came just before it began to read the data.
        let _ = child.stdin.as_mut().unwrap().write_all(&data[data.len() - 3..]);
        let output = child.wait_with_output().unwrap();
        assert_eq!(refusal(&place, &output.stdout), WriteError::Stopped, "{signal}");
        // The same at each later point up to the rename.
        for at in ["S \"$t\";c=0", "if [ . -ef . ]", "trap \"\" HUP INT TERM PIPE"] {
            let answer = place.run_with(&program, at, &format!("kill -{signal} $$;"));
            assert_eq!(refusal(&place, &answer), WriteError::Stopped, "{signal} before {at}");
        }
    }
}

#[test]
fn a_signal_after_the_rename_does_not_stop_it_from_finishing() {
    let place = Place::with(BEFORE);
    let program = place.write("1", BEFORE, AFTER);
    let answer = place.run_with(&program, "S .;r=0", "kill -HUP $$;kill -TERM $$;");
    assert!(parse_write("1", &answer).unwrap().holds(AFTER), "it must finish and say so");
    place.assert_untouched(AFTER);
}

#[test]
fn an_answer_cut_anywhere_is_no_answer() {
    let place = Place::with(BEFORE);
    let answer = run(&["sh"], &place.write("1", BEFORE, AFTER));
    assert!(parse_write("1", &answer).is_ok(), "the whole answer says that it was written");
    for length in 0..answer.len() {
        assert_eq!(parse_write("1", &answer[..length]), Err(WriteError::NoAnswer), "cut at {length}");
    }
    assert_eq!(parse_write("2", &answer), Err(WriteError::NoAnswer), "another request's answer is none");
}
