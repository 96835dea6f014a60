use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// What sshd makes of files; shared with the test that asks a real sshd.
#[expect(unreachable_pub, reason = "the table is part of the test fleet's interface")]
#[path = "../../../../tests/src/authorized_keys_cases.rs"]
mod cases;

const OLD: [u8; 51] = ed25519(1);
const NEW: [u8; 51] = ed25519(2);
const OTHER: [u8; 51] = ed25519(3);

/// The encoding of an Ed25519 key whose point is this byte 32 times.
const fn ed25519(point: u8) -> [u8; 51] {
    let mut blob = [point; 51];
    let head = *b"\0\0\0\x0bssh-ed25519\0\0\0\x20";
    let mut index = 0;
    while index < head.len() {
        blob[index] = head[index];
        index += 1;
    }
    blob
}

fn key(blob: &[u8]) -> Key<'_> {
    Key { key_type: "ssh-ed25519", blob }
}

/// An RSA key whose numbers are written with so many superfluous zeros.
fn rsa(zeros: usize) -> Vec<u8> {
    let mut blob = b"\0\0\0\x07ssh-rsa".to_vec();
    let mut modulus = vec![0; zeros];
    modulus.extend([0x7f; 256]);
    for number in [vec![1, 0, 1], modulus] {
        blob.extend(u32::try_from(number.len()).unwrap().to_be_bytes());
        blob.extend(number);
    }
    blob
}

/// Writes `OLD`, `NEW` and `OTHER` out as type and base64.
fn text(template: &str) -> Vec<u8> {
    let mut text = template.to_owned();
    for (name, blob) in [("OLD", OLD), ("NEW", NEW), ("OTHER", OTHER)] {
        text = text.replace(name, &format!("ssh-ed25519 {}", blob::encode(&blob)));
    }
    text.into_bytes()
}

fn contents(lines: &[Line]) -> Vec<Vec<u8>> {
    lines.iter().map(|line| line.bytes.clone()).collect()
}

fn add_new(text: &[u8]) -> Result<Edit, EditError> {
    add(text, &[key(&OLD)], key(&NEW))
}

fn remove_old(text: &[u8]) -> Result<Edit, EditError> {
    remove(text, &[key(&OLD)], key(&NEW))
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[track_caller]
fn assert_text(left: &[u8], right: &[u8], broken: &str) {
    assert_eq!(show(left), show(right), "{broken}");
}

#[test]
fn reads_each_case_as_sshd_does() {
    let (rsa, other) = (rsa(0), blob::encode(&OTHER));
    let other = ("ssh-ed25519", other.as_str());
    let of_any_type = [("ssh-ed25519", OLD.as_slice()), ("ssh-rsa", rsa.as_slice())];
    let tries = of_any_type.into_iter().flat_map(|key| cases::CASES.iter().map(move |case| (key, case)));
    for ((key_type, blob), case) in tries.chain(cases::RSA_CASES.iter().map(|case| (("ssh-rsa", rsa.as_slice()), case)))
    {
        let text = case.text((key_type, &blob::encode(blob)), other);
        let expected = match case.truth {
            cases::Truth::LogsIn(lines) | cases::Truth::OptionsRefuse(lines) => lines,
            cases::Truth::Absent => 0,
        };
        let found = lines(&text, Key { key_type, blob });
        assert_eq!(found.len(), expected, "{}: sshd finds other lines in {}", case.name, show(&text));
        let listed =
            all_keys(&text).into_iter().filter(|entry| entry.blob == blob && entry.role == Role::Login).count();
        assert_eq!(listed, expected, "{}: the list of all keys differs", case.name);
    }
}

#[test]
fn finds_an_rsa_key_whose_numbers_have_superfluous_zeros() {
    let text = format!("ssh-rsa {} me\n", blob::encode(&rsa(3)));
    assert_eq!(lines(text.as_bytes(), Key { key_type: "ssh-rsa", blob: &rsa(0) }).len(), 1, "sshd compares numbers");
}

#[test]
fn takes_a_line_apart() {
    let line = &lines(&text("x\n \tno-pty,from=\"a b\" \tOLD  me at home \n"), key(&OLD))[0];
    assert_eq!(line.number, 2);
    assert_eq!(line.leading, b" \t");
    assert_eq!(line.options, b"no-pty,from=\"a b\"");
    assert_eq!(line.comment, b"me at home ");
}

#[test]
fn lists_certificate_authorities_apart() {
    let text = text("cert-authority OTHER ca\nOLD me\nssh-ed25519-cert-v01@openssh.com AAAA me\n");
    let listed: Vec<_> = all_keys(&text).iter().map(|entry| (entry.line.number, entry.role)).collect();
    assert_eq!(listed, [(1, Role::CertificateAuthority), (2, Role::Login)]);
}

#[test]
fn adds_right_behind_the_old_line() {
    for (before, after) in [
        ("OLD me\n", "OLD me\nNEW me\n"),
        ("OTHER\nOLD me\nOTHER x\n", "OTHER\nOLD me\nNEW me\nOTHER x\n"),
        // A last line without a newline: nothing is glued to it, and the file still ends without one.
        ("OLD", "OLD\nNEW"),
        ("OTHER a\r\nOLD me", "OTHER a\r\nOLD me\r\nNEW me"),
        ("OTHER a\nOTHER b\r\nOLD", "OTHER a\nOTHER b\r\nOLD\nNEW"),
        // The old line's own kind of end.
        ("OTHER\nOLD me\r\nOTHER\n", "OTHER\nOLD me\r\nNEW me\r\nOTHER\n"),
        ("OLD\r\r\n", "OLD\r\r\nNEW\r\r\n"),
        // Options and blanks travel as they are.
        (
            "\t from=\"10.0.0.0/8\",command=\"a  b\"\t OLD\tme  \n",
            "\t from=\"10.0.0.0/8\",command=\"a  b\"\t OLD\tme  \n\t from=\"10.0.0.0/8\",command=\"a  b\"\t NEW\tme  \n",
        ),
        (
            "command=\"echo OLD # \\\"x y\\\"\" OLD # c\n",
            "command=\"echo OLD # \\\"x y\\\"\" OLD # c\ncommand=\"echo OLD # \\\"x y\\\"\" NEW # c\n",
        ),
        ("OLD a\0b\n", "OLD a\0b\nNEW a\0b\n"),
        // Every line of the old key gets its own.
        (
            "OLD a\nOLD a\nno-pty OLD b\nOLD c\n",
            "OLD a\nNEW a\nOLD a\nNEW a\nno-pty OLD b\nno-pty NEW b\nOLD c\nNEW c\n",
        ),
        // What stands there is left.
        ("NEW x\nOLD me\n", "NEW x\nOLD me\n"),
        ("NEW x\nOLD me\nno-pty OLD me\n", "NEW x\nOLD me\nno-pty OLD me\nno-pty NEW me\n"),
        ("NEW x\n", "NEW x\n"),
        // No login lines of the key.
        (
            "#OLD\ncert-authority OLD\ncommand=\"OLD x\" OTHER\nOLD me\n",
            "#OLD\ncert-authority OLD\ncommand=\"OLD x\" OTHER\nOLD me\nNEW me\n",
        ),
    ] {
        assert_text(&add_new(&text(before)).unwrap().after, &text(after), "the new line stands elsewhere or differs");
    }
}

#[test]
fn counts_what_stood_before() {
    let edit = add_new(&text("NEW x\nOLD me\nno-pty OLD me\n")).unwrap();
    assert_eq!((edit.stood_before, edit.added.len()), (1, 1));
    assert_eq!(edit.added[0].number, 4, "an added line is numbered in the new text");
}

#[test]
fn adds_for_every_older_version() {
    let edit = add(&text("no-pty OTHER a\nOLD b\n"), &[key(&OLD), key(&OTHER)], key(&NEW)).unwrap();
    assert_text(&edit.after, &text("no-pty OTHER a\nno-pty NEW a\nOLD b\nNEW b\n"), "a version was left out");
}

#[test]
fn does_not_add_where_the_old_key_is_missing() {
    for before in ["", "OTHER OLD\n", "# OLD\n", "cert-authority OLD\n", "OTHER me@hostOLD\n"] {
        assert_eq!(add_new(&text(before)), Err(EditError::OldKeyMissing), "{before:?} holds no line of the old key");
    }
}

#[test]
fn does_not_add_where_the_new_key_has_other_options() {
    assert_eq!(add_new(&text("OLD me\nno-pty NEW me\n")), Err(EditError::OptionsDiffer { line: 2 }));
    assert_eq!(add_new(&text("no-pty OLD me\nNEW me\nno-pty NEW me\n")), Err(EditError::OptionsDiffer { line: 2 }));
}

#[test]
fn removes_only_behind_the_new_line() {
    for (before, after) in [
        ("OLD me\nNEW me\n", "NEW me\n"),
        ("OLD\nNEW", "NEW"),
        ("OTHER\r\nOLD a\nOLD a\nNEW x\nOTHER\0\u{ff}", "OTHER\r\nNEW x\nOTHER\0\u{ff}"),
        ("NEW\nOTHER\nOLD", "NEW\nOTHER\n"),
        ("#OLD\ncert-authority OLD\nOLD\nNEW\n", "#OLD\ncert-authority OLD\nNEW\n"),
        ("OTHER\n", "OTHER\n"),
    ] {
        assert_text(&remove_old(&text(before)).unwrap().after, &text(after), "another line was touched");
    }
}

#[test]
fn does_not_remove_where_the_new_line_is_gone() {
    for (before, line) in [
        ("OLD me\n", 1),
        ("OTHER\nOLD me\nno-pty NEW me\n", 2),
        ("OLD\nNEW\nno-pty OLD\n", 3),
        ("OLD\n#NEW\n", 1),
        ("OLD\ncert-authority NEW\n", 1),
    ] {
        assert_eq!(remove_old(&text(before)), Err(EditError::NewLineGone { line }), "{before:?}: this would lock out");
    }
}

#[test]
fn never_removes_the_key_that_is_kept() {
    let edit = remove(&text("OLD\nNEW\n"), &[key(&OLD), key(&NEW)], key(&NEW)).unwrap();
    assert_text(&edit.after, &text("NEW\n"), "the kept key's line was taken out");
}

#[test]
fn takes_back_only_what_was_added() {
    let before = text("NEW x\nOLD me\nno-pty OLD me\n");
    let edit = add_new(&before).unwrap();
    assert_text(
        &take_back(&edit.after, &contents(&edit.added), key(&NEW)).after,
        &before,
        "a line that stood before went",
    );
    let taken = take_back(&text("no-pty NEW other comment\nOLD\n"), &[text("no-pty NEW me")], key(&NEW));
    assert_text(&taken.after, &text("OLD\n"), "a line is ours whatever became of its comment");
    let taken = take_back(&text("OLD me\n"), &[text("NEW me")], key(&NEW));
    assert!(taken.changes_nothing(), "what is gone needs no taking back");
}

#[test]
fn restores_what_is_missing() {
    for (before, remembered, after) in [
        ("NEW me\n", vec!["OLD me"], "OLD me\nNEW me\n"),
        ("OTHER\r\nNEW me", vec!["OLD me"], "OTHER\r\nOLD me\r\nNEW me"),
        ("OLD other comment\nNEW me\n", vec!["OLD me"], "OLD other comment\nNEW me\n"),
        ("NEW\nno-pty NEW\n", vec!["no-pty OLD", "OLD"], "OLD\nNEW\nno-pty OLD\nno-pty NEW\n"),
        ("NEW\n", vec!["OLD a", "OLD a", "OLD b"], "OLD a\nOLD a\nOLD b\nNEW\n"),
        // Only another role of the key, or its line as a comment, stands there.
        ("cert-authority OLD\n#OLD me\n", vec!["OLD me"], "cert-authority OLD\n#OLD me\nOLD me\n"),
        ("OTHER", vec!["OLD", "no-pty OLD"], "OTHER\nOLD\nno-pty OLD"),
        ("", vec!["OLD"], "OLD\n"),
        ("x\n", vec!["x", "y"], "x\ny\n"),
    ] {
        let remembered: Vec<_> = remembered.into_iter().map(text).collect();
        let edit = restore(&text(before), &remembered, key(&NEW));
        assert_text(&edit.after, &text(after), "the old key is not as it was");
        assert!(restore(&edit.after, &remembered, key(&NEW)).changes_nothing(), "a second time must change nothing");
    }
}

#[test]
fn appends_on_a_line_of_its_own() {
    for (before, after) in [
        ("", "no-pty NEW me\n"),
        ("OTHER\n", "OTHER\nno-pty NEW me\n"),
        ("OTHER", "OTHER\nno-pty NEW me"),
        ("OTHER\r\n", "OTHER\r\nno-pty NEW me\r\n"),
        ("no-pty NEW x\nOTHER\n", "no-pty NEW x\nOTHER\n"),
        ("#NEW\n", "#NEW\nno-pty NEW me\n"),
    ] {
        let edit = append(&text(before), &text("no-pty NEW me"), key(&NEW)).unwrap();
        assert_text(&edit.after, &text(after), "the line was not installed as asked");
        if edit.stood_before == 0 {
            let back = take_back(&edit.after, &contents(&edit.added), key(&NEW));
            assert_text(&back.after, &text(before), "an install taken back leaves the file as it was");
        }
    }
}

#[test]
fn appends_nothing_that_differs_or_that_sshd_would_not_read() {
    let append = |before: &str, line: &str| append(&text(before), &text(line), key(&NEW));
    assert_eq!(append("OTHER\nNEW\n", "no-pty NEW"), Err(EditError::OptionsDiffer { line: 2 }));
    assert_eq!(append("no-pty NEW\nNEW\n", "NEW"), Err(EditError::OptionsDiffer { line: 1 }), "sshd obeys the first");
    for line in ["OTHER", "command=\"a NEW", "no-pty, no-x11 NEW", "cert-authority NEW", "#NEW", "NEW\nOTHER", ""] {
        assert_eq!(append("", line), Err(EditError::LineUnreadable), "{line:?} would install something else");
    }
}

#[test]
fn withdraws_every_line_of_a_key() {
    let edit = withdraw(&text("OLD\nOTHER\n#OLD\nno-pty OLD x\r\ncert-authority OLD\nOLD"), &[key(&OLD)]);
    assert_text(&edit.after, &text("OTHER\n#OLD\ncert-authority OLD\n"), "a line was left or lost");
    assert_eq!(edit.removed.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 4, 6]);
    assert_eq!(untouched_lines(&edit), 3);
}

#[test]
fn shows_our_lines_and_their_neighbours_only() {
    let (old, new) = (blob::encode(&OLD), blob::encode(&NEW));
    let before = text("secret one\n\x1b[31m\u{202e}\nOLD me\nneighbour\nsecret two\n");
    let edit = add_new(&before).unwrap();
    assert_eq!(
        diff(&edit, "/home/a/.ssh/authorized_keys"),
        format!(
            "--- /home/a/.ssh/authorized_keys\n+++ /home/a/.ssh/authorized_keys\n@@ -3,2 +3,3 @@\n ssh-ed25519 {old} me\n+ssh-ed25519 {new} me\n neighbour\n"
        )
    );
    let edit = remove_old(&edit.after).unwrap();
    assert_eq!(
        diff(&edit, "f"),
        format!(
            "--- f\n+++ f\n@@ -2,3 +2,2 @@\n \\u{{1b}}[31m\\u{{202e}}\n-ssh-ed25519 {old} me\n ssh-ed25519 {new} me\n"
        )
    );
    assert_eq!(
        diff(&append(b"", &text("NEW"), key(&NEW)).unwrap(), "f"),
        format!("--- f\n+++ f\n@@ -0,0 +1 @@\n+ssh-ed25519 {new}\n")
    );
    assert_eq!(diff(&withdraw(b"\xff", &[]), "f"), "");
    let bytes = [b"\xffa\n".as_slice(), &text("OLD")].concat();
    assert!(diff(&withdraw(&bytes, &[key(&OLD)]), "f").contains("\n \\xffa\n"), "bytes that are no text are escaped");
}

#[test]
fn shows_distant_changes_apart() {
    let edit = add_new(&text("OLD a\n1\n2\n3\nno-pty OLD b\n4\n5\n")).unwrap();
    let diff = diff(&edit, "f");
    let heads: Vec<_> = diff.lines().filter(|line| line.starts_with("@@")).collect();
    assert_eq!(heads, ["@@ -1,2 +1,3 @@", "@@ -5,2 +6,3 @@"]);
    assert!(!diff.contains("\n 2\n") && !diff.contains("\n 5\n"), "a line that is no neighbour was shown");
}

/// A line of a plausible file, of which the test knows without reading it whether it is the old key's.
#[derive(Debug, Clone)]
struct Known {
    content: Vec<u8>,
    /// For a line of the old key: its text without the key, before and behind.
    old: Option<(String, String)>,
    end: &'static str,
}

const OPTIONS: [&str; 7] = [
    "",
    "no-pty",
    "from=\"10.0.0.0/8\",command=\"echo  a # b\"",
    "command=\"say \\\"OLD x\\\" y\"",
    "environment=\"A=b,cert-authority\"",
    "restrict,pty",
    "command=\"a\tb\u{a0}\"",
];

fn known_line() -> impl Strategy<Value = Known> {
    let end = select(vec!["\n", "\n", "\r\n"]);
    let old =
        (select(OPTIONS.to_vec()), select(vec!["", " ", "\t "]), select(vec!["", " me", "\tme # x  ", " a\0b", "\r"]))
            .prop_map(|(options, leading, comment)| {
                let before = if options.is_empty() { leading.to_owned() } else { format!("{leading}{options} ") };
                let content = text(&format!("{before}OLD{comment}"));
                (content, Some((before, comment.to_owned())))
            });
    let foreign = prop_oneof![
        select(vec![
            "",
            "# OLD me",
            "#",
            "OTHER x",
            "cert-authority OLD ca",
            "no-pty,CERT-AUTHORITY OLD",
            "command=\"OLD x\" OTHER y",
            "OTHER OLD",
            "command=\"open OLD me",
            "x, y OLD z",
            "  # note",
            "ssh-ed25519",
            "\tOTHER\tx \r",
            "restrict OTHER a\0OLD",
        ])
        .prop_map(text),
        vec(any::<u8>(), 0..40).prop_map(|bytes| bytes.into_iter().filter(|byte| *byte != b'\n').collect()),
        Just(b"\xff\xfe\0 \x0b".to_vec()),
    ]
    .prop_map(|mut content: Vec<u8>| {
        // A CR at the end would belong to the end of the line.
        while content.last() == Some(&b'\r') {
            content.pop();
        }
        (content, None)
    });
    (prop_oneof![old, foreign], end).prop_map(|((content, old), end)| Known { content, old, end })
}

/// A file, with or without a final newline.
fn known_file() -> impl Strategy<Value = Vec<Known>> {
    (vec(known_line(), 0..12), any::<bool>()).prop_map(|(mut lines, ends)| {
        if let Some(last) = lines.last_mut().filter(|last| !ends && !last.content.is_empty()) {
            last.end = "";
        }
        lines
    })
}

fn joined(lines: &[Known]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.content.as_slice(), line.end.as_bytes()]).collect::<Vec<_>>().concat()
}

/// Any text made of the words that matter to sshd; the new key is not among them.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "OLD",
        "OLD",
        "OLD me",
        "OTHER",
        " ",
        " ",
        "\t",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\0",
        "\"",
        "\\\"",
        "\\",
        ",",
        "#",
        "no-pty",
        "cert-authority",
        "command=\"",
        "from=\"a\"",
        "ssh-ed25519",
        "=",
        "x",
        "\x0b",
    ];
    let word = prop_oneof![9 => select(words.to_vec()).prop_map(text), 1 => vec(any::<u8>(), 0..4)];
    vec(word, 0..30).prop_map(|words| words.concat())
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![words(), vec(any::<u8>(), 0..200), known_file().prop_map(|lines| joined(&lines))]
}

/// The lines of a text but those with the given numbers, with their ends normalised away.
fn without(text: &[u8], numbers: &[Line]) -> Vec<Vec<u8>> {
    let rest = line::split(text).filter(|raw| numbers.iter().all(|line| line.number != raw.number));
    rest.map(|raw| raw.content.to_vec()).collect()
}

fn each_operation(text: &[u8]) -> Vec<Edit> {
    let (old, new) = ([key(&OLD)], key(&NEW));
    let line = self::text("no-pty NEW me");
    let edits = [
        add(text, &old, new),
        remove(text, &old, new),
        append(text, &line, new),
        append(text, &self::text("OLD"), old[0]),
    ];
    let mut edits: Vec<_> = edits.into_iter().flatten().collect();
    edits.push(take_back(text, &[self::text("OLD")], old[0]));
    edits.push(restore(text, &[line], old[0]));
    edits.push(withdraw(text, &old));
    edits
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_edit_touches_another_line(text in any_text()) {
        for edit in each_operation(&text) {
            prop_assert_eq!(without(&edit.before, &edit.removed), without(&edit.after, &edit.added), "a foreign line changed");
            let unchanged = edit.added.is_empty() && edit.removed.is_empty();
            prop_assert_eq!(edit.changes_nothing(), unchanged, "bytes changed without a line that changed");
            prop_assert_eq!(untouched_lines(&edit), without(&edit.after, &edit.added).len());
            prop_assert_eq!(diff(&edit, "f").is_empty(), unchanged);
            for line in edit.added.iter().chain(&edit.removed) {
                prop_assert!(!line.bytes.contains(&b'\n'), "a line was glued or split");
            }
        }
    }

    #[test]
    fn an_added_line_differs_from_the_old_one_in_the_key_alone(text in any_text()) {
        let Ok(edit) = add_new(&text) else { return Ok(()) };
        let old = lines(&edit.after, key(&OLD));
        let new = lines(&edit.after, key(&NEW));
        prop_assert_eq!(&old.len(), &lines(&text, key(&OLD)).len(), "a line of the old key went or came");
        prop_assert_eq!(&new, &edit.added, "sshd must read each added line as the new key");
        for line in &new {
            let model = old.iter().find(|old| old.number + 1 == line.number).expect("a line of the old key before it");
            prop_assert_eq!((&model.leading, &model.options, &model.comment), (&line.leading, &line.options, &line.comment));
        }
        for line in &old {
            let of = |lines: &[Line]| lines.iter().filter(|other| other.options == line.options).count();
            prop_assert_eq!(of(&new), of(&old), "every line of the old key gets a line of its own");
        }
    }

    #[test]
    fn a_second_add_changes_nothing(text in any_text()) {
        let Ok(edit) = add_new(&text) else { return Ok(()) };
        let again = add_new(&edit.after).unwrap();
        prop_assert!(again.changes_nothing());
        prop_assert_eq!(again.stood_before, edit.added.len());
    }

    #[test]
    fn taking_back_an_add_leaves_the_file_as_it_was(text in any_text()) {
        let Ok(edit) = add_new(&text) else { return Ok(()) };
        prop_assert_eq!(show(&take_back(&edit.after, &contents(&edit.added), key(&NEW)).after), show(&text));
    }

    #[test]
    fn taking_back_an_install_leaves_the_file_as_it_was(text in any_text()) {
        let edit = append(&text, &self::text("no-pty NEW me"), key(&NEW)).unwrap();
        prop_assert_eq!(edit.added.len(), 1);
        prop_assert_eq!(lines(&edit.after, key(&NEW)).len(), 1, "sshd must read the installed line");
        prop_assert_eq!(show(&take_back(&edit.after, &contents(&edit.added), key(&NEW)).after), show(&text));
    }

    #[test]
    fn add_and_remove_replace_the_old_key_in_place(file in known_file()) {
        let before = joined(&file);
        let Ok(edit) = add_new(&before) else {
            prop_assert!(file.iter().all(|line| line.old.is_none()), "a line of the old key was not seen");
            return Ok(());
        };
        let mut expected = Vec::new();
        for line in &file {
            match &line.old {
                Some((before, behind)) => {
                    // `OLD` may stand within quotes too.
                    expected.extend(text(before));
                    expected.extend(text("NEW"));
                    expected.extend(behind.as_bytes());
                }
                None => expected.extend(&line.content),
            }
            expected.extend(line.end.as_bytes());
        }
        let removed = remove_old(&edit.after).unwrap();
        prop_assert_eq!(show(&removed.after), show(&expected));
    }

    #[test]
    fn roll_back_after_a_remove_brings_every_old_line_back(text in any_text()) {
        let Ok(added) = add_new(&text) else { return Ok(()) };
        let removed = remove_old(&added.after).unwrap();
        let restored = restore(&removed.after, &contents(&removed.removed), key(&NEW));
        let back = take_back(&restored.after, &contents(&added.added), key(&NEW));
        let sorted = |text: &[u8]| {
            // A line that ended in CR CR LF comes back with the end of the line it is put before.
            let content = |line: Line| line.bytes.trim_ascii_end().to_vec();
            let mut lines: Vec<_> = lines(text, key(&OLD)).into_iter().map(content).collect();
            lines.sort();
            lines
        };
        prop_assert_eq!(sorted(&back.after), sorted(&text), "the old key's lines are not as they were");
        let foreign = |text: &[u8]| without(text, &lines(text, key(&OLD)));
        prop_assert_eq!(foreign(&back.after), foreign(&text), "a foreign line changed");
        let options: Vec<_> = lines(&text, key(&OLD)).into_iter().map(|line| line.options).collect();
        if (1..options.len()).all(|index| !options[..index].contains(&options[index])) {
            prop_assert_eq!(show(&back.after), show(&text), "without duplicates the file is as it was");
        }
    }

    #[test]
    fn contents_and_ends_are_the_file(text in any_text()) {
        let parts: Vec<_> = line::split(&text).flat_map(|raw| [raw.content, raw.end]).collect();
        prop_assert_eq!(parts.concat(), text);
    }
}

#[test]
fn the_head_of_the_test_keys_is_right() {
    let head: Range<usize> = 0..19;
    assert_eq!(&OLD[head], b"\0\0\0\x0bssh-ed25519\0\0\0\x20");
}
