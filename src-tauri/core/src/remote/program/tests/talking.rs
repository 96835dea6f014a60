//! The pure parts: checksums, elevation, the conversation.

use super::support::*;
use super::*;

fn bytes(say: &[Say]) -> Vec<Vec<u8>> {
    say.iter()
        .map(|say| match say {
            Say::Bytes(bytes) => bytes.to_vec(),
            Say::End => b"<end>".to_vec(),
        })
        .collect()
}

#[test]
fn checksums_agree_with_the_utilities() {
    for text in [b"".to_vec(), b"123456789".to_vec(), vec![0; 70_000], (0..=255).collect()] {
        let place = Place::with(&text);
        for utility in ["cksum", "sha256sum"] {
            let output = Command::new(utility).stdin(std::fs::File::open(&place.file).unwrap()).output().unwrap();
            let told = Checksum::from_output(&String::from_utf8(output.stdout).unwrap()).unwrap();
            assert!(told.is_of(&text), "{utility} of {} bytes: {told}", text.len());
            assert!(!told.is_of(&[&text[..], b"x"].concat()), "{utility}: another text has another checksum");
        }
    }
    assert_eq!(Checksum::cksum(b"123456789"), Checksum::Cksum { crc: 930_766_865, length: 9 });
    assert_eq!(Checksum::from_output("no sums"), None);
}

#[test]
fn no_program_holds_what_a_login_shell_would_change() {
    let what = Write { path: "/x", expected: b"", new: b"", deadline_seconds: 30, mark: "a-1" };
    for program in [
        read("1", "/x").unwrap(),
        write("1", &what).unwrap(),
        probe("1", &[]).unwrap(),
        install("1", "/x").unwrap(),
        clean("1", &["/x".to_owned()], "a").unwrap(),
        waiting_write("it's; rm"),
    ] {
        assert!(travels(&program.script), "{}", program.script);
        assert!(program.command().starts_with("sh -c '"), "the command is one sh");
        println!("{} characters", program.command().len());
    }
    assert!(waiting_write("it's; rm").command().ends_with("' kw it-s--rm"), "an ID has only plain characters");
    assert_eq!(waiting_write("1").command(), write("1", &what).unwrap().command(), "started ahead it is the same");
}

#[test]
fn data_waits_for_ready() {
    let place = Place::with(b"");
    let program = place.write("1", b"", b"new\n");
    let (mut conversation, say) = Conversation::begin(&program, None);
    assert!(say.is_empty(), "nothing may be sent yet");
    assert!(conversation.hear(Stream::Out, b"welcome\nKW-1 rea").is_empty());
    assert!(conversation.hear(Stream::Error, b"KW-1 ready\n").is_empty(), "only standard output counts");
    let say = conversation.hear(Stream::Out, b"dy\n");
    assert_eq!(bytes(&say), [program.input().to_vec(), b"<end>".to_vec()]);
    assert!(conversation.hear(Stream::Out, b"KW-1 ready\n").is_empty(), "data is sent once");
    let mut ahead = Conversation::wait(&waiting_write("1"), None);
    assert!(ahead.hear(Stream::Out, b"\nKW-1 ready\n").is_empty() && ahead.is_ready());
    assert_eq!(bytes(&ahead.give(b"data".to_vec())), [b"data".to_vec(), b"<end>".to_vec()]);
    let (_, say) = Conversation::begin(&read("1", "/x").unwrap(), None);
    assert_eq!(bytes(&say), [b"<end>".to_vec()], "a program that reads nothing gets an end at once");
}

fn asked(account: &str) -> Program {
    let elevation = Elevation::SudoPassword { account: account.to_owned(), mark: "M4rk".to_owned() };
    elevate(waiting_write("1"), &elevation).unwrap()
}

#[test]
fn the_password_is_sent_only_when_asked_for_and_once() {
    let password = || Some(SecretString::from("pass word"));
    let mut conversation = Conversation::wait(&asked("deploy"), password());
    assert!(conversation.give(b"data".to_vec()).is_empty());
    assert!(conversation.hear(Stream::Error, b"We trust you have received the usual lecture\nM4").is_empty());
    assert_eq!(bytes(&conversation.hear(Stream::Error, b"rk")), [b"pass word\n".to_vec()]);
    assert_eq!(bytes(&conversation.hear(Stream::Out, b"KW-1 ready\n")), [b"data".to_vec(), b"<end>".to_vec()]);
    // Asked again: wrong.
    let mut conversation = Conversation::wait(&asked("deploy"), password());
    conversation.give(b"data".to_vec());
    conversation.hear(Stream::Error, b"M4rk");
    let say = conversation.hear(Stream::Error, b"Sorry, try again.\nM4rk");
    assert_eq!(bytes(&say), [b"<end>".to_vec()], "a second question ends it");
    assert!(conversation.hear(Stream::Error, b"M4rk").is_empty());
    assert_eq!(conversation.finish(), Err(ElevationError::WrongPassword));
    // Not asked at all: the password must stay here.
    let mut conversation = Conversation::wait(&asked("deploy"), password());
    conversation.hear(Stream::Out, b"KW-1 ready\n");
    assert!(conversation.hear(Stream::Error, b"M4rk").is_empty(), "after ready, input is data");
    assert_eq!(bytes(&conversation.give(b"data".to_vec())), [b"data".to_vec(), b"<end>".to_vec()]);
    let shown = format!("{conversation:?} {:?}", Say::Bytes(b"pass word".to_vec().into()));
    assert!(!shown.contains("pass word"), "{shown}");
}

#[test]
fn words_of_sudo_become_causes() {
    for (said, cause) in [
        ("sudo: a password is required\n", ElevationError::PasswordNeeded),
        ("sudo: 1 incorrect password attempt\n", ElevationError::WrongPassword),
        ("op is not in the sudoers file.  This incident will be reported.\n", ElevationError::NotAllowed),
        ("Sorry, user op is not allowed to execute '/bin/sh -c x' as deploy on host.\n", ElevationError::NotAllowed),
        ("Sorry, user op may not run sudo on host.\n", ElevationError::NotAllowed),
        ("sudo: sorry, you must have a tty to run sudo\n", ElevationError::TerminalNeeded),
        ("sudo: unknown user: deploy\n", ElevationError::UnknownAccount),
        (
            "su: user deploy does not exist or the user entry does not contain all the required fields\n",
            ElevationError::UnknownAccount,
        ),
        ("env: 'sudo': No such file or directory\n", ElevationError::NotInstalled),
    ] {
        let elevation = Elevation::SudoNoPassword { account: "deploy".to_owned() };
        let mut conversation = Conversation::wait(&elevate(waiting_write("1"), &elevation).unwrap(), None);
        conversation.hear(Stream::Error, said.as_bytes());
        assert_eq!(conversation.finish(), Err(cause), "{said}");
    }
    let plain = Conversation::wait(&waiting_write("1"), None);
    assert_eq!(plain.finish(), Ok(Vec::new()), "without a cause the answer is empty");
}

#[test]
fn account_names_that_could_break_out_are_refused() {
    for account in ["", "-s", "a'b", "a!b", "a\nb", "a\\\\b", "a\\"] {
        let elevation = Elevation::SudoNoPassword { account: account.to_owned() };
        let result = elevate(waiting_write("1"), &elevation);
        assert!(matches!(result, Err(ElevationError::AccountName { .. })), "{account:?}");
    }
    for account in ["deploy", "deploy@EXAMPLE.ORG", "EXAMPLE\\deploy", "with space", "host$"] {
        let elevation = Elevation::SudoNoPassword { account: account.to_owned() };
        assert!(elevate(waiting_write("1"), &elevation).is_ok(), "{account:?}");
    }
}

#[test]
fn root_works_as_the_account_through_every_login_shell() {
    if !is_root("acting as another account") {
        return;
    }
    for shell in login_shells() {
        for elevation in [
            Elevation::RootSu { account: "nobody".to_owned() },
            Elevation::SudoNoPassword { account: "nobody".to_owned() },
        ] {
            let utility = if matches!(elevation, Elevation::RootSu { .. }) { "su" } else { "sudo" };
            if !is_installed(utility) {
                continue;
            }
            let place = Place::with(b"before\n").of_account();
            let program = elevate(read("1", place.path()).unwrap(), &elevation).unwrap();
            let file =
                parse_read("1", &run(&shell, &program)).unwrap_or_else(|error| panic!("{shell:?} {utility}: {error}"));
            assert_eq!(file.bytes, b"before\n", "{shell:?} {utility}");
            let program = elevate(probe("1", &[place.path().to_owned()]).unwrap(), &elevation).unwrap();
            let probe = parse_probe("1", &run(&shell, &program)).unwrap();
            assert_eq!((probe.user.as_str(), probe.uid), ("nobody", Some(NOBODY)), "{shell:?} {utility}");
            let program = elevate(place.write("2", b"before\n", b"after\n"), &elevation).unwrap();
            parse_write("2", &run(&shell, &program)).unwrap_or_else(|error| panic!("{shell:?} {utility}: {error}"));
            assert_eq!(place.text(), b"after\n", "{shell:?} {utility}");
            assert_eq!(place.file.metadata().unwrap().uid(), NOBODY, "{shell:?} {utility}: the owner stays");
        }
    }
}

/// Runs a program as the account `kwop`, whose password is `pass word`, in a namespace with accounts and sudoers of its own.
fn by_operator(
    shell: &[&str],
    program: &Program,
    sudoers: &str,
    password: &str,
) -> Option<Result<Vec<u8>, ElevationError>> {
    if !["unshare", "sudo", "setpriv", "openssl"].iter().all(|utility| is_installed(utility)) {
        return None;
    }
    let etc = tempfile::tempdir().unwrap();
    let hash = Command::new("openssl").args(["passwd", "-6", "pass word"]).output().unwrap().stdout;
    let hash = String::from_utf8(hash).unwrap().trim().to_owned();
    for (name, line, mode) in [
        ("passwd", "kwop:x:4711:4711::/:/bin/sh\n".to_owned(), 0o644),
        ("shadow", format!("kwop:{hash}:20000:0:99999:7:::\n"), 0o600),
        ("group", "kwop:x:4711:\n".to_owned(), 0o644),
    ] {
        let text = std::fs::read_to_string(format!("/etc/{name}")).unwrap();
        std::fs::write(etc.path().join(name), text + &line).unwrap();
        std::fs::set_permissions(etc.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    std::fs::write(etc.path().join("sudoers"), sudoers).unwrap();
    std::fs::set_permissions(etc.path().join("sudoers"), std::fs::Permissions::from_mode(0o440)).unwrap();
    let line = "for f in passwd shadow group sudoers;do mount --bind \"$1/$f\" /etc/$f||exit;done;shift;\
        exec setpriv --reuid=4711 --regid=4711 --clear-groups \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", line, "sh", etc.path().to_str().unwrap()]).args(shell);
    command.arg("-c").arg(program.command()).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(talk(command, program, Some(SecretString::from(password))))
}

#[test]
fn sudo_with_a_password_writes_as_the_account() {
    if !is_root("accounts of its own") {
        return;
    }
    let rules = "Defaults passwd_tries=3\nroot ALL=(ALL) ALL\n";
    let asking = format!("{rules}kwop ALL=(nobody) ALL\n");
    let silent = format!("{rules}kwop ALL=(nobody) NOPASSWD: ALL\n");
    let elevation = Elevation::SudoPassword { account: "nobody".to_owned(), mark: "KWask7f3a".to_owned() };
    for shell in login_shells() {
        for sudoers in [&asking, &silent] {
            let place = Place::with(b"before\n").of_account();
            let program = elevate(place.write("1", b"before\n", b"after \0\n"), &elevation).unwrap();
            let Some(answer) = by_operator(&shell, &program, sudoers, "pass word") else { return };
            let written = parse_write("1", &answer.unwrap()).unwrap_or_else(|error| panic!("{shell:?}: {error}"));
            assert!(written.holds(b"after \0\n"), "{shell:?}");
            assert_eq!(place.text(), b"after \0\n", "{shell:?}: neither password nor script may stand in the file");
        }
    }
    let place = Place::with(b"before\n").of_account();
    let program = elevate(place.write("1", b"before\n", b"after\n"), &elevation).unwrap();
    let shell = &["sh"];
    let wrong = by_operator(shell, &program, &asking, "wrong word").unwrap();
    assert_eq!(wrong, Err(ElevationError::WrongPassword));
    assert_eq!(by_operator(shell, &program, rules, "pass word").unwrap(), Err(ElevationError::NotAllowed));
    let few = format!("{rules}kwop ALL=(nobody) /usr/bin/id\n");
    assert_eq!(by_operator(shell, &program, &few, "pass word").unwrap(), Err(ElevationError::NotAllowed));
    let terminal = format!("Defaults requiretty\n{asking}");
    assert_eq!(by_operator(shell, &program, &terminal, "pass word").unwrap(), Err(ElevationError::TerminalNeeded));
    let mute = Elevation::SudoNoPassword { account: "nobody".to_owned() };
    let program = elevate(place.write("1", b"before\n", b"after\n"), &mute).unwrap();
    assert_eq!(by_operator(shell, &program, &asking, "pass word").unwrap(), Err(ElevationError::PasswordNeeded));
    let nobody = Elevation::SudoNoPassword { account: "no-such-account".to_owned() };
    let program = elevate(place.write("1", b"before\n", b"after\n"), &nobody).unwrap();
    let every = format!("{rules}kwop ALL=(ALL) NOPASSWD: ALL\n");
    assert_eq!(by_operator(shell, &program, &every, "pass word").unwrap(), Err(ElevationError::UnknownAccount));
    place.assert_untouched(b"before\n");
}
