use super::support::*;
use super::*;

fn payloads() -> Vec<Vec<u8>> {
    let big: Vec<u8> = (0..1_048_576_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    vec![
        b"ssh-ed25519 AAAA one\n".to_vec(),
        b"nul \0 high \xff\xfe crlf\r\n\r\n".to_vec(),
        b"no final newline".to_vec(),
        Vec::new(),
        b"'; rm -rf /tmp/nothing; echo $(id) `id` \\n %s !\n".to_vec(),
        big,
    ]
}

#[test]
fn every_login_shell_reads_and_writes_every_byte() {
    for shell in login_shells() {
        let place = Place::with(b"before\n");
        let mut before = b"before\n".to_vec();
        for (number, new) in payloads().into_iter().enumerate() {
            let id = format!("17-{number}");
            let answer = run(&shell, &place.write(&id, &before, &new));
            let written = parse_write(&id, &answer)
                .unwrap_or_else(|error| panic!("{shell:?} {number}: {error}: {}", String::from_utf8_lossy(&answer)));
            assert!(written.holds(&new), "{shell:?}: the checksum read back must be the one of payload {number}");
            assert!(!written.carried_over && !written.plain_compare, "{shell:?}: nobody else wrote");
            assert!(place.text() == new, "{shell:?}: the file must hold payload {number} to the byte");
            let answer = run(&shell, &read("r", place.path()).unwrap());
            let file = parse_read("r", &answer)
                .unwrap_or_else(|error| panic!("{shell:?} {number}: {error}: {}", String::from_utf8_lossy(&answer)));
            assert!(file.bytes == new, "{shell:?}: payload {number} must be read to the byte");
            assert_eq!(file.resolved, place.path(), "{shell:?}: the path was resolved already");
            assert_eq!(file.state.mode, Some(Mode(0o600)), "{shell:?}: the mode must stay");
            before = new;
        }
        assert_eq!(left_over(place.folder.path()), Vec::<String>::new(), "{shell:?}: no temporary file may stay");
    }
}
