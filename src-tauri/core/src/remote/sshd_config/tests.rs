use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn connection() -> Connection {
    Connection {
        user: "deploy".to_owned(),
        groups: Some(vec!["deploy".to_owned(), "web".to_owned()]),
        home: "/home/deploy".to_owned(),
        uid: 1001,
        client_address: Some("10.1.2.3".parse().unwrap()),
        local_address: None,
        local_port: Some(22),
    }
}

/// Reads a configuration of a main file and others that are included, each by the pattern it is asked by.
fn effective_of(main: &str, included: &[(&str, &[&str])], connection: &Connection) -> Effective {
    let read = |path: &str| -> Vec<(String, Vec<u8>)> {
        let named = |text: &&str| (path.to_owned(), text.as_bytes().to_vec());
        if path == PATH {
            return vec![named(&main)];
        }
        included.iter().filter(|(asked, _)| *asked == path).flat_map(|(_, texts)| texts.iter().map(named)).collect()
    };
    authorized_keys_files(&read, connection)
}

fn effective(main: &str) -> Effective {
    effective_of(main, &[], &connection())
}

fn files(main: &str) -> Vec<String> {
    effective(main).authorized_keys_files
}

const DEFAULT: [&str; 2] = ["/home/deploy/.ssh/authorized_keys", "/home/deploy/.ssh/authorized_keys2"];

#[test]
fn takes_the_defaults_where_nothing_is_said() {
    let effective = effective("# AuthorizedKeysFile /etc/keys\nPort 22\n");
    assert_eq!(effective.authorized_keys_files, DEFAULT);
    assert_eq!(effective.pubkey_authentication, None);
    assert!(!effective.undecided);
}

#[test]
fn does_not_decide_what_it_can_not_read() {
    let effective = authorized_keys_files(&|_| Vec::new(), &connection());
    assert!(effective.undecided, "an unreadable configuration is not an empty one");
    assert_eq!(effective.authorized_keys_files, DEFAULT);
}

#[test]
fn expands_files() {
    for (value, expected) in [
        (".ssh/keys", vec!["/home/deploy/.ssh/keys"]),
        ("%h/.ssh/keys", vec!["/home/deploy/.ssh/keys"]),
        ("/etc/ssh/keys/%u /etc/ssh/keys/%U", vec!["/etc/ssh/keys/deploy", "/etc/ssh/keys/1001"]),
        ("/etc/100%%/%u", vec!["/etc/100%/deploy"]),
        ("\"/etc/my keys/%u\" .ssh/a", vec!["/etc/my keys/deploy", "/home/deploy/.ssh/a"]),
        ("none", vec![]),
        ("NONE", vec![]),
        ("none .ssh/a", vec!["/home/deploy/.ssh/a"]),
        (".ssh/a %h/.ssh/a", vec!["/home/deploy/.ssh/a"]),
        (".ssh/a # .ssh/b", vec!["/home/deploy/.ssh/a"]),
    ] {
        let effective = effective(&format!("AuthorizedKeysFile {value}\n"));
        assert_eq!(effective.authorized_keys_files, expected, "{value}");
        assert!(!effective.undecided, "{value}");
    }
    for value in ["~/keys", "/etc/%i", "/etc/%"] {
        assert!(effective(&format!("AuthorizedKeysFile {value}\n")).undecided, "{value} is not known here");
    }
}

#[test]
fn takes_the_first_value_of_the_general_part() {
    assert_eq!(files("authorizedkeysfile=/a\nAUTHORIZEDKEYSFILE /b\n"), ["/a"]);
    let effective = effective(
        "PubkeyAuthentication no\nPubkeyAuthentication yes\nStrictModes NO\nPermitRootLogin without-password\r\n\
         AuthenticationMethods publickey,password publickey,keyboard-interactive\n\
         AuthorizedKeysCommand /usr/bin/keys --user \"%u\"\nPubkeyAcceptedKeyTypes -ssh-rsa\n",
    );
    assert_eq!(effective.pubkey_authentication, Some(false));
    assert_eq!(effective.strict_modes, Some(false));
    assert_eq!(effective.permit_root_login, Some(RootLogin::ProhibitPassword));
    assert_eq!(effective.authentication_methods.as_deref(), Some("publickey,password publickey,keyboard-interactive"));
    assert_eq!(effective.authorized_keys_command.as_deref(), Some("/usr/bin/keys --user \"%u\""));
    assert_eq!(effective.pubkey_accepted_algorithms.as_deref(), Some("-ssh-rsa"));
}

#[test]
fn a_command_of_none_is_none() {
    assert_eq!(effective("AuthorizedKeysCommand none\nAuthorizedKeysCommand /x\n").authorized_keys_command, None);
}

#[test]
fn a_block_that_applies_wins_over_the_general_part() {
    for (criteria, applies) in [
        ("User deploy", true),
        ("user root,dep*", true),
        ("User *,!deploy", false),
        ("User !deploy", false),
        ("Group web", true),
        ("Group wheel", false),
        ("Group *,!web", false),
        ("Address 10.0.0.0/8", true),
        ("Address 192.0.2.0/24", false),
        ("LocalPort 22", true),
        ("LocalPort 2222", false),
        ("User deploy Address 10.0.0.0/8", true),
        ("User deploy Address 192.0.2.0/24", false),
        ("User=deploy", true),
        ("User \"deploy\"", true),
        ("User deploy # every day", true),
        ("all", true),
        ("invalid-user", false),
        // One criterion that doesn't hold decides, whatever the unknown one says.
        ("Host *.example.org User root", false),
    ] {
        let effective = effective(&format!("AuthorizedKeysFile /a\nMatch {criteria}\n AuthorizedKeysFile /b\n"));
        assert_eq!(effective.authorized_keys_files, [if applies { "/b" } else { "/a" }], "Match {criteria}");
        assert!(!effective.undecided, "Match {criteria}");
    }
}

#[test]
fn the_first_block_that_applies_wins() {
    let text = "Match User root\nAuthorizedKeysFile /a\nMatch Group web\nAuthorizedKeysFile /b\nMatch all\nAuthorizedKeysFile /c\n\
                PubkeyAuthentication no\n";
    assert_eq!(files(text), ["/b"]);
    assert_eq!(effective(text).pubkey_authentication, Some(false));
}

#[test]
fn does_not_decide_a_block_it_can_not_judge() {
    for criteria in [
        "Host *.example.org",
        "LocalAddress 10.0.0.1",
        "RDomain x",
        "Version OpenSSH_9*",
        "User deploy Host a",
        "Address 10.0.0.1/8",
        "User",
    ] {
        let unknown = effective(&format!("AuthorizedKeysFile /a\nMatch {criteria}\nAuthorizedKeysFile /b\n"));
        assert!(unknown.undecided, "Match {criteria}");
        assert_eq!(unknown.authorized_keys_files, ["/a"], "Match {criteria}");
    }
    let harmless = effective("Match Host x\nX11Forwarding no\n");
    assert!(!harmless.undecided, "a block that says nothing about keys needs no deciding");
    let stranger = Connection { groups: None, client_address: None, ..connection() };
    for criteria in ["Group web", "Address 10.0.0.0/8"] {
        let text = format!("Match {criteria}\nPubkeyAuthentication no\n");
        assert!(effective_of(&text, &[], &stranger).undecided, "Match {criteria}");
    }
}

#[test]
fn does_not_decide_a_value_sshd_would_not_start_with() {
    for text in
        ["PubkeyAuthentication perhaps", "PermitRootLogin maybe", "AuthorizedKeysFile \"/a", "AuthorizedKeysFile \"\""]
    {
        assert!(effective(text).undecided, "{text}");
    }
}

#[test]
fn reads_included_files_where_they_are_included() {
    let drop_ins: [(&str, &[&str]); 3] = [
        (
            "/etc/ssh/sshd_config.d/*.conf",
            &["PubkeyAuthentication no\nMatch User root\nStrictModes no\n", "AuthorizedKeysFile /b\n"],
        ),
        ("/etc/ssh/more", &["Include /deep\n"]),
        ("/deep", &["PermitRootLogin no\nMatch User deploy\nAuthorizedKeysFile /d\n"]),
    ];
    let of = |main: &str| effective_of(main, &drop_ins, &connection());
    let effective = of("Include /etc/ssh/sshd_config.d/*.conf\nAuthorizedKeysFile /a\nPubkeyAuthentication yes\n");
    assert_eq!(effective.authorized_keys_files, ["/b"], "a block ends with its file");
    assert_eq!(effective.pubkey_authentication, Some(false));
    assert_eq!(of("AuthorizedKeysFile /a\nInclude sshd_config.d/*.conf\n").authorized_keys_files, ["/a"]);
    let nested = of("AuthorizedKeysFile /a\ninclude more\n");
    assert_eq!(nested.authorized_keys_files, ["/d"], "a block in an included file applies like any other");
    assert_eq!(nested.permit_root_login, Some(RootLogin::No));
    let skipped = of("AuthorizedKeysFile /a\nMatch User root\nInclude more\n");
    assert_eq!((skipped.authorized_keys_files, skipped.permit_root_login), (vec!["/a".to_owned()], None));
    let unknown = of("AuthorizedKeysFile /a\nMatch Host x\nInclude more\n");
    assert!(unknown.undecided && unknown.authorized_keys_files == ["/a"]);
    let inside = of("AuthorizedKeysFile /a\nMatch User deploy\nInclude more\nPermitRootLogin yes\n");
    assert_eq!(inside.permit_root_login, Some(RootLogin::No), "the included file comes first");
}

#[test]
fn a_file_that_includes_itself_ends() {
    let circle: [(&str, &[&str]); 1] = [("/etc/ssh/a", &["Include a\n"])];
    assert!(effective_of("Include a\n", &circle, &connection()).undecided, "sshd refuses to start with it");
}

#[test]
fn files_that_include_each_other_twice_end_soon() {
    let main = "Include a\nInclude a\nAuthorizedKeysFile /a\n";
    let effective = effective_of(main, &[("/etc/ssh/a", &["Include a\nInclude a\n"])], &connection());
    assert!(effective.undecided, "two to the power of sixteen files were read, or it was not noticed");
    assert_eq!(effective.authorized_keys_files, ["/a"], "what the main file says itself still counts");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let read = |path: &str| if path == PATH { vec![(path.to_owned(), bytes.clone())] } else { Vec::new() };
        authorized_keys_files(&read, &connection());
    }

    #[test]
    fn any_words_are_taken_and_give_absolute_paths(words in proptest::collection::vec(select(vec![
        "AuthorizedKeysFile", "Match", "User", "Address", "all", "\n", "\n", " ", " ", "\"", "'", "\\", "=", "%", "%h", "#", "!", "*",
        ",", "/", "10.0.0.0/8", "::/0", "1/999", "deploy", "Include", "none", "~", "é", "\0", "\r", "Group", "LocalPort",
    ]), 0..40)) {
        let text = words.concat().into_bytes();
        let read = |path: &str| if path == PATH { vec![(path.to_owned(), text.clone())] } else { Vec::new() };
        for path in authorized_keys_files(&read, &connection()).authorized_keys_files {
            prop_assert!(path.starts_with('/'), "{} is not absolute", path);
        }
    }
}
