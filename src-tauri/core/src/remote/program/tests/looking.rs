//! Reading, probing, installing and cleaning.

use super::support::*;
use super::*;

const TEXT: &[u8] = b"ssh-ed25519 AAAA one\n";

/// A home for a program: the account's entry says otherwise, so the program is told where it is.
fn at_home(program: &Program, home: &Path) -> Command {
    let line = program.command().replace("h=${h##*:};", &format!("h={};", home.to_str().unwrap()));
    assert!(line != program.command(), "the program looks for the account's home");
    command(&["sh"], &line)
}

#[test]
fn a_linked_file_and_a_linked_directory_are_resolved() {
    let place = Place::with(TEXT);
    let root = place.file.parent().unwrap();
    std::os::unix::fs::symlink("authorized_keys", root.join("inner")).unwrap();
    std::os::unix::fs::symlink("inner", root.join("outer")).unwrap();
    std::fs::create_dir(root.join("home")).unwrap();
    std::os::unix::fs::symlink("..", root.join("home/.ssh")).unwrap();
    for (asked, links) in
        [("outer", 2), ("home/.ssh/authorized_keys", 0), ("home/.ssh/inner", 1), ("./home/../outer", 2)]
    {
        let asked = root.join(asked);
        let answer = run(&["sh"], &read("1", asked.to_str().unwrap()).unwrap());
        let file = parse_read("1", &answer).unwrap();
        assert_eq!(file.resolved, place.path(), "{asked:?}");
        assert_eq!(file.bytes, TEXT);
        assert_eq!(file.state.links_followed, links, "{asked:?}");
        let metadata = place.file.metadata().unwrap();
        let identity = Identity { device: file.state.identity.unwrap().device, inode: metadata.ino() };
        assert_eq!(file.state.identity, Some(identity), "{asked:?} is the same file");
        assert!(
            file.state.is_outside(root.join("home").to_str().unwrap())
                && !file.state.is_outside(root.to_str().unwrap())
        );
    }
    let asked = root.join("home/.ssh/outer");
    let file = parse_read("1", &run(&["sh"], &read("1", asked.to_str().unwrap()).unwrap())).unwrap();
    let what = Write { path: &file.resolved, expected: TEXT, new: b"new\n", deadline_seconds: 30, mark: "0a1b2c3d-7" };
    parse_write("2", &run(&["sh"], &write("2", &what).unwrap())).unwrap();
    assert_eq!(place.text(), b"new\n", "the target is written");
    assert!(root.join("outer").is_symlink() && root.join("inner").is_symlink(), "the links stay links");
}

#[test]
fn links_in_a_circle_are_not_followed_for_ever() {
    let place = Place::with(TEXT);
    let root = place.file.parent().unwrap();
    std::os::unix::fs::symlink("b", root.join("a")).unwrap();
    std::os::unix::fs::symlink("a", root.join("b")).unwrap();
    let answer = run(&["sh"], &read("1", root.join("a").to_str().unwrap()).unwrap());
    assert!(matches!(parse_read("1", &answer), Err(ProgramError::NotRegular { .. })));
}

#[test]
fn odd_paths_arrive_in_every_login_shell() {
    for shell in login_shells() {
        for name in ["two words", "it's", "a\\nb", "dollar $HOME `id` \"x\"", "bang!!", "-n", "*", "ünï"] {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path().canonicalize().unwrap().join(name);
            std::fs::create_dir(&folder).unwrap();
            let path = folder.join(name);
            std::fs::write(&path, TEXT).unwrap();
            let path = path.to_str().unwrap();
            let answer = run(&shell, &read("1", path).unwrap());
            let file = parse_read("1", &answer).unwrap_or_else(|error| panic!("{shell:?} {name}: {error}"));
            assert_eq!((file.resolved.as_str(), file.bytes.as_slice()), (path, TEXT), "{shell:?} {name}");
            let what = Write { path, expected: TEXT, new: b"new\n", deadline_seconds: 30, mark: "0a1b2c3d-7" };
            parse_write("2", &run(&shell, &write("2", &what).unwrap()))
                .unwrap_or_else(|error| panic!("{shell:?} {name}: {error}"));
            assert_eq!(std::fs::read(path).unwrap(), b"new\n", "{shell:?} {name}");
        }
    }
    assert!(matches!(read("1", "/a\nb"), Err(ProgramError::PathNotOneLine { .. })));
}

#[test]
fn noise_of_start_up_files_is_passed_over() {
    let place = Place::with(b"KW-1 end\nKW-1 file x\nno end");
    let program = read("1", place.path()).unwrap();
    let line = format!("echo welcome; printf prompt; {}; echo bye", program.command());
    let file = parse_read("1", &run_by(command(&["sh"], &line), &program)).unwrap();
    assert_eq!(file.bytes, b"KW-1 end\nKW-1 file x\nno end", "lines of the file that look like ours are content");
}

#[test]
fn a_file_written_while_it_is_read_is_told() {
    let place = Place::with(TEXT);
    let program = read("1", place.path()).unwrap();
    for change in ["echo more >>\"$1\";", ": >\"$1\";", "echo SSH-ed25519 AAAA one >\"$1\";"] {
        std::fs::write(&place.file, TEXT).unwrap();
        let answer = place.run_with(&program, "cat \"$1\";echo;p end", change);
        assert!(matches!(parse_read("1", &answer), Err(ProgramError::ChangedWhileReading { .. })), "{change}");
    }
}

#[test]
fn a_read_answer_cut_anywhere_is_no_file() {
    let place = Place::with(TEXT);
    let answer = run(&["sh"], &read("1", place.path()).unwrap());
    parse_read("1", &answer).unwrap();
    for length in 0..answer.len() {
        assert!(parse_read("1", &answer[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn a_missing_unreadable_or_large_file_is_told() {
    let place = Place::with(TEXT).of_account();
    for name in ["none", "no/none"] {
        let path = place.file.with_file_name(name);
        let answer = run(&["sh"], &read("1", path.to_str().unwrap()).unwrap());
        assert!(matches!(parse_read("1", &answer), Err(ProgramError::Missing { .. })), "{name}");
    }
    let program = read("1", place.path()).unwrap();
    std::fs::set_permissions(&place.file, std::fs::Permissions::from_mode(0o200)).unwrap();
    let answer = run_by(as_account(program.command()), &program);
    assert!(matches!(parse_read("1", &answer), Err(ProgramError::Unreadable { .. })));
    std::fs::set_permissions(&place.file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::OpenOptions::new().write(true).open(&place.file).unwrap().set_len(17 << 20).unwrap();
    assert!(matches!(parse_read("1", &run(&["sh"], &program)), Err(ProgramError::TooLarge { .. })));
    assert!(matches!(parse_read("1", b"This account is currently not available.\n"), Err(ProgramError::NoAnswer)));
}

#[test]
fn a_probe_tells_account_tools_files_and_directories() {
    for shell in login_shells() {
        let place = Place::with(TEXT);
        let root = place.file.parent().unwrap();
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o770)).unwrap();
        let missing = root.join("missing").to_str().unwrap().to_owned();
        let answer = run(&shell, &probe("1", &[place.path().to_owned(), missing.clone()]).unwrap());
        let probe = parse_probe("1", &answer).unwrap_or_else(|error| panic!("{shell:?}: {error}"));
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
        assert_eq!((probe.user.as_str(), probe.uid), (user.name.as_str(), Some(user.uid.as_raw())), "{shell:?}");
        assert_eq!(probe.home, user.dir.to_str().unwrap(), "{shell:?}");
        assert_eq!(probe.shell, user.shell.to_str().unwrap(), "{shell:?}");
        assert!(probe.groups.contains(&user.gid.as_raw()) && !probe.kernel.is_empty(), "{shell:?}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        assert!((now - probe.clock.unwrap()).abs() < 60, "{shell:?}: the clock");
        assert!(probe.umask.is_some_and(|umask| umask <= 0o777), "{shell:?}: the umask");
        assert!(probe.tools.contains(&Tool::Ln) && probe.tools.contains(&Tool::Cp), "{shell:?}: {:?}", probe.tools);
        let [file, none] = probe.files.as_slice() else { panic!("{shell:?}: two files were asked for") };
        assert_eq!((file.kind, file.content.as_deref()), (FileKind::Regular, Some(TEXT)), "{shell:?}");
        assert_eq!((file.mode, file.link_count), (Some(Mode(0o600)), Some(1)), "{shell:?}");
        assert_eq!(file.owner_name.as_deref(), Some(user.name.as_str()), "{shell:?}");
        assert!(file.readable && file.writable && file.directory_writable && !file.mount_point && !file.immutable);
        assert!(file.free.is_some_and(|free| free > 0), "{shell:?}: free space");
        let directories: Vec<_> = file.directories.iter().map(|directory| directory.path.as_str()).collect();
        let expected: Vec<_> = root.ancestors().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(directories, expected, "{shell:?}: every directory up to / is told");
        assert_eq!(file.directories[0].mode, Mode(0o770), "{shell:?}");
        assert!(file.directories[0].mode.others_may_write(), "{shell:?}: StrictModes would refuse");
        let tmp = file.directories.iter().find(|directory| directory.path == "/tmp");
        assert!(tmp.is_none_or(|tmp| tmp.mode == Mode(0o1777)), "{shell:?}: {tmp:?}");
        assert_eq!((none.kind, none.path.as_str()), (FileKind::Missing, missing.as_str()), "{shell:?}");
        assert!(none.content.is_none() && none.directory_writable, "{shell:?}");
    }
}

#[test]
fn a_probe_without_paths_looks_at_the_home() {
    let place = Place::with(TEXT);
    let home = place.file.parent().unwrap();
    std::fs::create_dir(home.join(".ssh")).unwrap();
    std::fs::write(home.join(".ssh/authorized_keys2"), TEXT).unwrap();
    let program = probe("1", &[]).unwrap();
    let probe = parse_probe("1", &run_by(at_home(&program, home), &program)).unwrap();
    assert_eq!(probe.home_resolved, home.to_str().unwrap());
    let [first, second] = probe.files.as_slice() else { panic!("two files are looked at") };
    assert_eq!(first.kind, FileKind::Missing);
    assert_eq!(
        (second.kind, second.path.as_str()),
        (FileKind::Regular, home.join(".ssh/authorized_keys2").to_str().unwrap())
    );
    for asked in ["~/authorized_keys", "authorized_keys"] {
        let program = read("1", asked).unwrap();
        assert_eq!(
            parse_read("1", &run_by(at_home(&program, home), &program)).unwrap().resolved,
            place.path(),
            "{asked}"
        );
    }
}

#[test]
fn install_makes_what_is_missing_and_keeps_what_exists() {
    let place = Place::with(TEXT);
    let home = place.file.parent().unwrap();
    let program = install("1", "~/.ssh/authorized_keys").unwrap();
    let path = home.join(".ssh/authorized_keys");
    let made = parse_install("1", "x", &run_by(at_home(&program, home), &program)).unwrap();
    assert_eq!(made, Installed { resolved: path.to_str().unwrap().to_owned(), made_directory: true, made_file: true });
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
    assert_eq!(path.parent().unwrap().metadata().unwrap().mode() & 0o7777, 0o700);
    std::fs::write(&path, TEXT).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let made = parse_install("1", "x", &run_by(at_home(&program, home), &program)).unwrap();
    assert!(!made.made_directory && !made.made_file);
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o640, "modes of what exists stay");
    assert_eq!(std::fs::read(&path).unwrap(), TEXT, "a file that exists is not emptied");
    let program = install("1", "~/no/such/authorized_keys").unwrap();
    let answer = run_by(at_home(&program, home), &program);
    assert!(matches!(parse_install("1", "x", &answer), Err(ProgramError::NotCreated { .. })));
    assert!(!home.join("no").exists(), "a missing home is not made");
}

#[test]
fn clean_removes_only_files_of_this_mark() {
    let place = Place::with(TEXT);
    let folder = place.file.parent().unwrap();
    for name in [".kw-0a1b2c3d-7-1-99.new", ".kw-0a1b2c3d-8-1-99.old", ".kw-ffffffff-7-1-99.new", ".kw-0a1b2c3d-7.txt"]
    {
        std::fs::write(folder.join(name), TEXT).unwrap();
    }
    let folders = ["/no/such/folder".to_owned(), folder.to_str().unwrap().to_owned()];
    let removed = parse_clean("1", &run(&["sh"], &clean("1", &folders, "0a1b2c3d").unwrap())).unwrap();
    let mut paths: Vec<_> = removed.iter().map(|removed| removed.path.clone()).collect();
    paths.sort();
    let expected = [".kw-0a1b2c3d-7-1-99.new", ".kw-0a1b2c3d-8-1-99.old"]
        .map(|name| folder.join(name).to_str().unwrap().to_owned());
    assert_eq!(paths, expected);
    assert!(removed.iter().all(|removed| removed.checksum.is_of(TEXT)), "what was removed is told by its checksum");
    let mut left = left_over(folder);
    left.sort();
    assert_eq!(left, [".kw-0a1b2c3d-7.txt", ".kw-ffffffff-7-1-99.new"], "files of others stay");
    assert_eq!(parse_clean("1", &run(&["sh"], &clean("1", &folders, "0a1b2c3d").unwrap())), Ok(Vec::new()));
}

#[test]
fn what_a_killed_write_left_is_found_by_clean() {
    let place = Place::with(TEXT);
    let program = place.write("1", TEXT, b"new\n");
    for at in ["S \"$t\";c=0", "S .;r=0"] {
        std::fs::write(&place.file, TEXT).unwrap();
        place.run_with(&program, at, "kill -KILL $$;");
        let folder = place.file.parent().unwrap();
        assert!(!left_over(folder).is_empty(), "a killed program can't clean up");
        let cleaning = clean("2", &[folder.to_str().unwrap().to_owned()], "0a1b2c3d-7").unwrap();
        assert_eq!(parse_clean("2", &run(&["sh"], &cleaning)).unwrap().len(), 1, "killed before {at}");
        assert_eq!(left_over(folder), Vec::<String>::new());
    }
}
