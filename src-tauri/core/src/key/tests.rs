//! Against files of the real `ssh-keygen` and `openssl` (`tests/keys`, made by the script there), and against the
//! `ssh-keygen` of this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::*;
use crate::error::{Class, Explain as _};

const PASSPHRASE: &str = "correct horse";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

fn read(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn read_public(name: &str) -> PublicKey {
    PublicKey::from_openssh(&String::from_utf8(read(name)).unwrap()).unwrap()
}

fn names(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(fixture(folder))
        .unwrap()
        .map(|entry| format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap()))
        .filter(|name| !name.ends_with(".pub") && !name.ends_with(".art"))
        .collect();
    names.sort();
    names
}

/// The public half that a fixture must have, found by its name.
fn expected(name: &str) -> PublicKey {
    let (folder, file) = name.split_once('/').unwrap();
    let base = file.split('.').next().unwrap();
    match (folder, base) {
        ("pkcs8", "ed25519") => read_public("pkcs8/ed25519.pub"),
        ("pem", _) if file.ends_with(".ecparam") => read_public("pem/ecdsa-p256.ecparam.pub"),
        ("short", _) => read_public(&format!("short/{base}.pub")),
        _ => read_public(&format!("openssh/{base}.pub")),
    }
}

fn passphrase(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn import(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    PrivateKey::import(bytes, None)
}

fn import_sealed(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    PrivateKey::import(bytes, Some(&passphrase(PASSPHRASE)))
}

#[track_caller]
fn assert_refused(result: Result<PrivateKey, KeyError>, code: &str, name: &str) {
    match result {
        Ok(key) => panic!("{name} must be refused with {code}, but was read as {key:?}"),
        Err(error) => assert_eq!(error.code(), code, "{name} must be refused with {code}: {error}"),
    }
}

/// Runs this machine's ssh-keygen in a folder of its own, without the user's environment.
#[cfg(unix)]
fn ssh_keygen(folder: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("ssh-keygen")
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env_remove("SSH_ASKPASS")
        .output()
        .expect("ssh-keygen must be installed");
    assert!(output.status.success(), "ssh-keygen {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[cfg(unix)]
fn write_key_file(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// An armoured container of OpenSSH's format, from its bytes.
fn armour(label: &str, data: &[u8]) -> Vec<u8> {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(data)).into_bytes()
}

fn unarmour(file: &[u8]) -> Vec<u8> {
    let text: String = std::str::from_utf8(file)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('-') && !line.contains(':'))
        .collect();
    STANDARD.decode(text).unwrap()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

#[test]
fn reads_every_file_of_ssh_keygen_and_openssl() {
    let mut count = 0;
    for name in ["openssh", "sealed", "pem", "pkcs8", "short"].into_iter().flat_map(names) {
        let key = import_sealed(&read(&name)).unwrap_or_else(|error| panic!("{name} must be read: {error:?}"));
        let expected = expected(&name);
        assert_eq!(key.public_key(), &expected, "{name} must be read as the key it is");
        assert_eq!(key.public_key().algorithm(), expected.algorithm());
        count += 1;
    }
    assert!(count > 80, "the files must be found, else nothing is tested");
}

#[test]
fn keeps_the_comment_of_openssh_files() {
    assert_eq!(import(&read("openssh/ed25519")).unwrap().public_key().comment(), "deploy@desk with spaces");
    let sealed = import_sealed(&read("sealed/rsa-2048.aes128-gcm@openssh.com")).unwrap();
    assert_eq!(sealed.public_key().comment(), "deploy@desk");
    assert_eq!(import(&read("pem/rsa-2048")).unwrap().public_key().comment(), "", "PEM has no place for one");
}

#[test]
fn fingerprint_and_randomart_are_those_of_ssh_keygen() {
    for algorithm in Algorithm::GENERATED {
        let public = read_public(&format!("openssh/{algorithm}.pub"));
        assert_eq!(public.algorithm(), algorithm);
        let shown = String::from_utf8(read(&format!("openssh/{algorithm}.art"))).unwrap();
        let (line, art) = shown.split_once('\n').unwrap();
        assert_eq!(
            line,
            format!("{} {} {} ({})", algorithm.bits(), public.fingerprint(), public.comment(), algorithm.family()),
            "a user compares this line with ssh-keygen's"
        );
        assert_eq!(public.randomart(), art.trim_end_matches('\n'), "a user compares the pictures");
    }
}

#[cfg(unix)]
#[test]
fn generates_keys_that_ssh_keygen_reads_and_shows_alike() {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in Algorithm::GENERATED {
        let key = PrivateKey::generate(algorithm, "deploy@web-1").unwrap();
        let public = key.public_key();
        assert_eq!(public.algorithm(), algorithm);
        assert_eq!(public.comment(), "deploy@web-1");

        let name = algorithm.to_string();
        write_key_file(folder.path(), &name, &key.write_openssh(None).unwrap());
        let line = ssh_keygen(folder.path(), &["-y", "-f", &name]);
        assert_eq!(line.trim_end(), public.to_openssh(), "the revealed {algorithm} file must hold this key");
        let shown = ssh_keygen(folder.path(), &["-lv", "-f", &name]);
        assert!(shown.contains(public.fingerprint().as_str()), "{shown}");
        assert!(shown.contains(&public.randomart()), "{shown}\n{}", public.randomart());

        let sealed = key.write_openssh(Some(&passphrase("geheim"))).unwrap();
        write_key_file(folder.path(), &name, &sealed);
        let line = ssh_keygen(folder.path(), &["-y", "-P", "geheim", "-f", &name]);
        assert_eq!(line.trim_end(), public.to_openssh(), "the revealed, encrypted {algorithm} file must hold this key");
        assert_refused(import(sealed.as_bytes()), "passphrase-needed", "a file revealed with a passphrase");
        let again = PrivateKey::import(sealed.as_bytes(), Some(&passphrase("geheim"))).unwrap();
        assert_eq!(*again.to_secret_bytes(), *key.to_secret_bytes(), "reveal and import must lead to the same key");
    }
}

#[test]
fn two_generated_keys_differ() {
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::Rsa(2048)] {
        let (one, two) = (PrivateKey::generate(algorithm, "").unwrap(), PrivateKey::generate(algorithm, "").unwrap());
        assert_ne!(one.public_key(), two.public_key());
    }
}

#[test]
fn generates_no_other_sizes() {
    for bits in [0, 1024, 2047, 8192] {
        let error = PrivateKey::generate(Algorithm::Rsa(bits), "").unwrap_err();
        assert_eq!(error.code(), "algorithm-not-generated");
    }
}

#[test]
fn secret_bytes_read_back_as_the_same_key() {
    for name in names("openssh").into_iter().chain(names("short")) {
        let key = import(&read(&name)).unwrap();
        let bytes = key.to_secret_bytes();
        assert!(bytes.starts_with(b"openssh-key-v1\0"), "no text armour: it would not fit");
        assert!(!bytes.windows(5).any(|part| part == b"-----"));
        let again = PrivateKey::from_secret_bytes(&bytes).unwrap();
        assert_eq!(again.public_key(), key.public_key(), "{name}: the keyring must give back the key");
        assert_eq!(again.public_key().comment(), key.public_key().comment());
        assert_eq!(*again.to_secret_bytes(), *bytes, "{name}: the stored bytes are compared, so must not vary");
        again.with_signer(|signer| pair::prove(signer, key.public_key().as_ssh_key())).unwrap();
    }
}

#[test]
fn the_longest_key_with_the_longest_comment_fits_the_windows_credential_manager() {
    let long = "ü".repeat(2000);
    let key = PrivateKey::generate(Algorithm::Rsa(4096), &long).unwrap();
    let bytes = key.to_secret_bytes();
    assert!(bytes.len() < 2560, "{} bytes do not fit", bytes.len());
    let kept = key.public_key().comment();
    assert_eq!(kept, "ü".repeat(60), "what fits of the comment is kept");
    assert_eq!(PrivateKey::from_secret_bytes(&bytes).unwrap().public_key().comment(), kept);
}

#[test]
fn a_damaged_keyring_item_is_refused() {
    let bytes = import(&read("openssh/ed25519")).unwrap().to_secret_bytes();
    for len in 0..bytes.len() {
        let error = PrivateKey::from_secret_bytes(&bytes[..len]);
        assert!(error.is_err() || len >= bytes.len(), "a cut item of {len} bytes must not pass for a key");
    }
}

#[test]
fn refuses_what_is_no_usable_key_with_its_reason() {
    let table = [
        ("dsa.openssh", "dsa-not-supported"),
        ("dsa.pem", "dsa-not-supported"),
        ("dsa.pkcs8", "dsa-not-supported"),
        ("dsa.sealed", "dsa-not-supported"),
        ("rsa-1024.openssh", "rsa-too-short"),
        ("rsa-1024.pem", "rsa-too-short"),
        ("rsa-1024.pkcs8", "rsa-too-short"),
        ("public.openssh", "public-key-given"),
        ("public.rfc4716", "public-key-given"),
        ("public.pem", "public-key-given"),
        ("public.pkcs8", "public-key-given"),
        ("certificate.openssh", "certificate-given"),
        ("certificate.x509", "certificate-given"),
        ("x25519", "key-type-not-supported"),
        ("ed448", "key-type-not-supported"),
        ("rsa-pss", "key-type-not-supported"),
        ("secp256k1", "key-type-not-supported"),
        ("brainpool", "key-type-not-supported"),
        ("explicit.sec1", "key-type-not-supported"),
        ("explicit.pkcs8", "key-type-not-supported"),
        ("pbe-sha1-3des", "key-encryption-not-supported"),
        ("camellia.pem", "key-encryption-not-supported"),
        ("camellia.pkcs8", "key-encryption-not-supported"),
    ];
    for (name, code) in table {
        assert_refused(import_sealed(&read(&format!("refused/{name}"))), code, name);
    }
    assert_eq!(table.len(), names("refused").len(), "every file must stand in the table");
}

#[test]
fn a_second_version_of_pkcs8_carries_the_public_half() {
    let made = Ed25519KeyPair::generate().unwrap();
    let mut der = made.to_pkcs8().unwrap().as_ref().to_vec();
    let key = import(&armour("PRIVATE KEY", &der)).unwrap();
    let public = aws_lc_rs::signature::KeyPair::public_key(&made).as_ref().to_vec();
    assert!(key.public_key().blob().ends_with(&public));
    assert!(der.ends_with(&public), "the public half must be what the test changes");
    *der.last_mut().unwrap() ^= 1;
    assert_refused(import(&armour("PRIVATE KEY", &der)), "key-halves-differ", "PKCS#8 with another public half");
}

#[test]
fn asks_for_no_passphrase_where_the_key_will_be_refused() {
    assert_refused(import(&read("refused/dsa.sealed")), "dsa-not-supported", "dsa.sealed");
    assert_refused(import(&read("refused/camellia.pem")), "key-encryption-not-supported", "camellia.pem");
}

#[test]
fn names_the_type_that_is_not_supported() {
    for (name, shown) in
        [("x25519", "X25519"), ("ed448", "Ed448"), ("rsa-pss", "RSASSA-PSS"), ("secp256k1", "secp256k1")]
    {
        let message = import(&read(&format!("refused/{name}"))).unwrap_err().to_string();
        assert!(message.contains(shown), "{message}");
    }
    let message = import_sealed(&read("refused/camellia.pem")).unwrap_err().to_string();
    assert!(message.contains("CAMELLIA-256-CBC"), "{message}");
    let error = import_sealed(&read("refused/rsa-1024.pem")).unwrap_err();
    assert!(matches!(error, KeyError::RsaTooShort { bits: 1024 }));
}

#[test]
fn refuses_keys_that_live_in_hardware() {
    let name = b"sk-ssh-ed25519@openssh.com";
    let public = [string(name), string(&[7; 32]), string(b"ssh:")].concat();
    let private =
        [&[0, 0, 0, 1, 0, 0, 0, 1][..], &public, &[1], &string(b"handle"), &string(b""), &string(b"c")].concat();
    let container = [
        &b"openssh-key-v1\0"[..],
        &string(b"none"),
        &string(b"none"),
        &string(b""),
        &[0, 0, 0, 1],
        &string(&public),
        &string(&private),
    ]
    .concat();
    assert_refused(import(&armour("OPENSSH PRIVATE KEY", &container)), "key-type-not-supported", "an sk key");
}

#[test]
fn refuses_files_without_a_private_key() {
    let table: [(&[u8], &str); 12] = [
        (b"", "key-file-empty"),
        (b" \r\n\t\n", "key-file-empty"),
        (b"\xef\xbb\xbf\n", "key-file-empty"),
        (b"hello", "not-a-private-key"),
        (b"\0\xff\xfe", "not-a-private-key"),
        (b"-----BEGIN PGP MESSAGE-----\nAAAA\n-----END PGP MESSAGE-----\n", "not-a-private-key"),
        (
            b"-----BEGIN PGP PRIVATE KEY BLOCK-----\nAAAA\n-----END PGP PRIVATE KEY BLOCK-----\n",
            "key-type-not-supported",
        ),
        (b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56wAAA\n", "key-type-not-supported"),
        (b"PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\nComment: c\r\n", "putty-file"),
        (b"\n PuTTY-User-Key-File-2: ssh-rsa\n", "putty-file"),
        (b"from=\"10.0.0.1\",no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me\n", "public-key-given"),
        (b"# known hosts\nweb-1 ssh-rsa AAAAB3NzaC1yc2E=\n", "public-key-given"),
    ];
    for (bytes, code) in table {
        assert_refused(import(bytes), code, &String::from_utf8_lossy(bytes));
    }
    let large = [vec![b'x'; 2 << 20], read("openssh/ed25519")].concat();
    assert_refused(import(&large), "not-a-private-key", "a file of 2 MiB");
}

#[test]
fn an_encrypted_file_needs_its_passphrase() {
    let sealed: Vec<String> = ["sealed", "pem", "pkcs8"].into_iter().flat_map(names).collect();
    let sealed = sealed.iter().filter(|name| {
        let text = String::from_utf8(read(name)).unwrap();
        name.starts_with("sealed/") || text.contains("ENCRYPTED")
    });
    let mut count = 0;
    for name in sealed {
        let bytes = read(name);
        assert_refused(import(&bytes), "passphrase-needed", name);
        assert_refused(PrivateKey::import(&bytes, Some(&passphrase(""))), "passphrase-needed", name);
        // The default rounds are slow in a test build.
        assert_refused(PrivateKey::import(&bytes, Some(&passphrase("correct horse "))), "wrong-passphrase", name);
        count += 1;
    }
    assert!(count > 60, "the files must be found, else nothing is tested");
}

#[test]
fn armour_may_be_surrounded_and_have_any_line_ends() {
    for name in
        ["openssh/ed25519", "sealed/ed25519.aes256-ctr", "pem/rsa-2048.aes192", "pem/ecdsa-p256", "pkcs8/ed25519"]
    {
        let expected = expected(name);
        let text = String::from_utf8(read(name)).unwrap();
        let ecdsa = String::from_utf8(read("openssh/ecdsa-p384")).unwrap();
        let variants = [
            text.replace('\n', "\r\n"),
            text.replace('\n', "\r"),
            text.replace('\n', "\n\n"),
            text.trim_end().to_owned(),
            format!("\u{feff}{text}"),
            format!("\n \t\n{text}\n\n  "),
            text.lines().map(|line| format!("   {line}  \n")).collect(),
            format!("Key of web-1, see wiki:\n\n{text}\nEnd of the key.\n"),
            format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 a public key before it\n{text}"),
            format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{text}"),
            // As ssh does, the first key counts.
            format!("{text}{ecdsa}"),
        ];
        for variant in variants {
            let key =
                import_sealed(variant.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error:?} in {variant:?}"));
            assert_eq!(key.public_key(), &expected, "{variant:?}");
        }
    }
}

#[test]
fn a_damaged_file_is_called_damaged() {
    for name in ["openssh/ed25519", "openssh/rsa-2048", "pem/rsa-2048", "pem/ecdsa-p256", "pkcs8/ed25519"] {
        let text = String::from_utf8(read(name)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let without_end = lines[..lines.len() - 1].join("\n");
        let without_a_line = [&lines[..1], &lines[2..]].concat().join("\n");
        let cut_inside = [&lines[..lines.len() - 2], &lines[lines.len() - 1..]].concat().join("\n");
        let no_base64 = text.replacen("\nM", "\n*", 1).replacen("\nb", "\n*", 1);
        let other_end = text.replace("-----END ", "-----END SOME ");
        for damaged in [without_end, without_a_line, cut_inside, no_base64, other_end, text.replace('\n', " ")] {
            assert_refused(import(damaged.trim().as_bytes()), "key-file-damaged", &damaged);
        }
    }
    let error = import(b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n").unwrap_err();
    assert!(error.hint().contains("END line is missing"), "the hint must say what is wrong: {}", error.hint());
}

#[test]
fn a_changed_bit_in_an_unencrypted_key_never_gives_another_key() {
    for name in ["openssh/ed25519", "openssh/ecdsa-p256", "pem/ecdsa-p256"] {
        let file = read(name);
        let label = if name.starts_with("pem") { "EC PRIVATE KEY" } else { "OPENSSH PRIVATE KEY" };
        let (data, expected) = (unarmour(&file), expected(name));
        for bit in 0..data.len() * 8 {
            let mut changed = data.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(key) = import(&armour(label, &changed)) {
                // Only the comment and the check numbers may change unnoticed.
                assert_eq!(key.public_key(), &expected, "{name}, bit {bit}: a half key would lock its user out");
            }
        }
    }
}

#[test]
fn halves_that_do_not_belong_together_are_refused() {
    for name in ["openssh/ed25519", "openssh/ecdsa-p384", "openssh/rsa-2048"] {
        let key = import(&read(name)).unwrap();
        let other = PrivateKey::generate(key.public_key().algorithm(), "").unwrap();
        let blob = key.public_key().blob();
        let mut container = key.to_secret_bytes().to_vec();
        let at = container.windows(blob.len()).position(|part| part == blob).unwrap();
        let stranger = other.public_key().blob();
        assert_eq!(stranger.len(), blob.len());
        container[at..at + blob.len()].copy_from_slice(stranger);
        assert_refused(import(&armour("OPENSSH PRIVATE KEY", &container)), "key-halves-differ", name);
        assert_eq!(PrivateKey::from_secret_bytes(&container).unwrap_err().code(), "key-halves-differ");
    }
    // SEC 1 has the public point at its end.
    let mut sec1 = unarmour(&read("pem/ecdsa-p256"));
    *sec1.last_mut().unwrap() ^= 1;
    assert_refused(import(&armour("EC PRIVATE KEY", &sec1)), "key-halves-differ", "SEC 1");
    // In PKCS#1, the last byte of d: it stands before p.
    let key = import(&read("pem/rsa-2048")).unwrap();
    let prime =
        key.with_signer(|signer| signer.key_data().rsa().unwrap().private().p().as_positive_bytes().unwrap().to_vec());
    let mut pkcs1 = unarmour(&read("pem/rsa-2048"));
    let at = pkcs1.windows(prime.len()).position(|part| part == prime).unwrap();
    pkcs1[at + prime.len() - 1] ^= 2;
    assert_refused(import(&armour("RSA PRIVATE KEY", &pkcs1)), "key-halves-differ", "PKCS#1");
}

#[test]
fn a_wrong_speed_up_number_of_an_rsa_file_is_not_handed_on() {
    let key = import(&read("openssh/rsa-2048")).unwrap();
    let coefficient = key.with_signer(|signer| signer.key_data().rsa().unwrap().private().iqmp().as_bytes().to_vec());
    let mut container = key.to_secret_bytes().to_vec();
    let at = container.windows(coefficient.len()).position(|part| part == coefficient).unwrap();
    container[at + 9] ^= 1;
    let again = PrivateKey::from_secret_bytes(&container).unwrap();
    assert_eq!(*again.to_secret_bytes(), *key.to_secret_bytes(), "the revealed file would not sign in OpenSSH");
}

#[cfg(unix)]
#[test]
fn a_secret_number_with_leading_zeros_is_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    for name in names("short") {
        let key = import(&read(&name)).unwrap();
        let first = key.with_signer(|signer| signer.key_data().ecdsa().unwrap().private_key_bytes()[0]);
        assert_eq!(first, 0, "{name}: the file must be of the rare kind");
        write_key_file(folder.path(), "key", &key.write_openssh(None).unwrap());
        let line = ssh_keygen(folder.path(), &["-y", "-f", "key"]);
        assert_eq!(line.trim_end(), key.public_key().to_openssh(), "{name} must be readable to OpenSSH");
    }
}

#[test]
fn a_file_cannot_ask_for_hours_of_work() {
    let file = read("sealed/ed25519.aes256-ctr");
    let mut container = unarmour(&file);
    // magic, "aes256-ctr", "bcrypt", length of the options, salt; then the rounds.
    let at = 15 + 4 + 10 + 4 + 6 + 4 + 4 + 16;
    assert_eq!(container[at..at + 4], [0, 0, 0, 1], "the rounds must be where the test changes them");
    for rounds in [4097u32, u32::MAX] {
        container[at..at + 4].copy_from_slice(&rounds.to_be_bytes());
        assert_refused(
            import_sealed(&armour("OPENSSH PRIVATE KEY", &container)),
            "key-derivation-too-costly",
            "bcrypt",
        );
    }
    container[at..at + 4].copy_from_slice(&[0; 4]);
    assert_refused(import_sealed(&armour("OPENSSH PRIVATE KEY", &container)), "key-file-damaged", "no rounds");

    // 2,048 rounds of PBKDF2, as an INTEGER of two bytes, become 16 millions in one of four.
    let der = unarmour(&read("pkcs8/ed25519.SHA256"));
    let changed = replace_in_der(&der, &[2, 2, 8, 0], &[2, 4, 1, 0, 0, 0]);
    assert_refused(import_sealed(&armour("ENCRYPTED PRIVATE KEY", &changed)), "key-derivation-too-costly", "PBKDF2");
    // N = 16,384 of scrypt becomes 2^30.
    let der = unarmour(&read("pkcs8/ed25519.scrypt"));
    let changed = replace_in_der(&der, &[2, 2, 0x40, 0], &[2, 4, 0x40, 0, 0, 0]);
    assert_refused(import_sealed(&armour("ENCRYPTED PRIVATE KEY", &changed)), "key-derivation-too-costly", "scrypt");
}

/// Replaces a primitive element and lengthens every sequence around it; all lengths must be short.
fn replace_in_der(der: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = der.windows(old.len()).position(|part| part == old).unwrap();
    let mut changed = [&der[..at], new, &der[at + old.len()..]].concat();
    let more = u8::try_from(new.len() - old.len()).unwrap();
    let mut start = 0;
    while start < at {
        let (tag, len) = (der[start], der[start + 1]);
        // openssl writes these short files with a length of one byte, or 0x81 and one byte.
        let (field, content) = if len == 0x81 { (start + 2, start + 3) } else { (start + 1, start + 2) };
        let end = content + usize::from(der[field]);
        if tag == 0x30 && end > at {
            changed[field] += more;
            start = content;
        } else {
            start = end;
        }
    }
    changed
}

#[test]
fn a_comment_cannot_end_its_line() {
    let key = PrivateKey::generate(Algorithm::Ed25519, "me\nssh-ed25519 AAAA intruder\0").unwrap();
    let line = key.public_key().to_openssh();
    assert!(
        !line.contains(['\n', '\r', '\0']),
        "a second line in authorized_keys would let somebody else in: {line:?}"
    );
    assert!(line.ends_with(" me ssh-ed25519 AAAA intruder"));
    let renamed = key.public_key().with_comment("two\r\nlines");
    assert_eq!(renamed.comment(), "two  lines");
    assert_eq!(renamed.to_openssh().lines().count(), 1);
    assert_eq!(&renamed, key.public_key(), "the comment is no part of the key");
}

#[test]
fn reads_public_keys_from_one_line() {
    for algorithm in Algorithm::GENERATED {
        let line = String::from_utf8(read(&format!("openssh/{algorithm}.pub"))).unwrap();
        let public = PublicKey::from_openssh(&line).unwrap();
        assert_eq!(public.to_openssh(), line.trim_end(), "nothing of the line may get lost");
        assert_eq!(public.key_type(), line.split(' ').next().unwrap());
        let bare = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        assert_eq!(PublicKey::from_openssh(&bare).unwrap().to_openssh(), bare, "a line without a comment stays one");
    }
    let dss = "ssh-dss AAAAB3NzaC1kc3M= me";
    assert_eq!(PublicKey::from_openssh(dss).unwrap_err().code(), "dsa-not-supported");
    let certificate = String::from_utf8(read("refused/certificate.openssh")).unwrap();
    assert_eq!(PublicKey::from_openssh(&certificate).unwrap_err().code(), "certificate-given");
    let line = String::from_utf8(read("openssh/ed25519.pub")).unwrap();
    let other_type = line.replacen("ssh-ed25519", "ssh-rsa", 1);
    let options = format!("no-pty {line}");
    let two = format!("{line}{line}");
    for bad in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "hello world", &other_type, &options, &two] {
        assert_eq!(PublicKey::from_openssh(bad).unwrap_err().code(), "not-a-public-key", "{bad:?}");
    }
}

#[test]
fn nothing_private_is_printed() {
    for name in names("openssh") {
        let key = import(&read(&name)).unwrap();
        let printed = format!("{key:?} {key:#?}");
        assert!(printed.contains(key.public_key().fingerprint().as_str()));
        assert!(
            !printed.contains("PRIVATE") && printed.len() < 400,
            "only the public half has a place in a log: {printed}"
        );
    }
}

#[test]
fn every_error_says_what_happened_and_what_to_do() {
    let errors = [
        import(b"").unwrap_err(),
        import(b"x").unwrap_err(),
        import(&read("refused/dsa.pem")).unwrap_err(),
        import(&read("refused/rsa-1024.pem")).unwrap_err(),
        import(&read("refused/x25519")).unwrap_err(),
        import(&read("sealed/ed25519.aes256-ctr")).unwrap_err(),
        import(b"-----BEGIN PRIVATE KEY-----").unwrap_err(),
        PublicKey::from_openssh("x").unwrap_err(),
        "x".parse::<Fingerprint>().unwrap_err(),
        "x".parse::<Algorithm>().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.class(), Class::BadInput, "{error:?}: the exit status must be that of bad input");
        for sentence in [error.to_string(), error.hint()] {
            assert!(sentence.ends_with('.') && sentence.contains(' '), "{sentence:?} must be a sentence");
        }
    }
}

fn any_fixture() -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<Vec<u8>> = ["openssh", "sealed", "pem", "pkcs8", "refused"]
        .into_iter()
        .flat_map(names)
        .filter(|name| !name.contains("rsa-4096") && !name.contains("default"))
        .map(|name| read(&name))
        .collect();
    prop::sample::select(files)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn import_never_panics_on_arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(import(&bytes).is_err());
    }

    #[test]
    fn import_never_panics_on_arbitrary_content_in_an_armour(
        label in prop::sample::select(vec![
            "OPENSSH PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY",
        ]),
        magic in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let data = if magic { [&b"openssh-key-v1\0"[..], &bytes].concat() } else { bytes };
        prop_assert!(import_sealed(&armour(label, &data)).is_err());
    }

    #[test]
    fn import_never_panics_on_a_changed_file(
        file in any_fixture(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut changed = file;
        for (index, byte) in changes {
            let at = index.index(changed.len());
            changed[at] = byte;
        }
        if let Some(index) = cut {
            changed.truncate(index.index(changed.len()));
        }
        // Either is right; what counts is that it comes back with an answer.
        if let Ok(key) = import_sealed(&changed) {
            key.with_signer(|signer| pair::prove(signer, key.public_key().as_ssh_key())).unwrap();
        }
    }

    #[test]
    fn from_secret_bytes_never_panics(
        index in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        len in any::<prop::sample::Index>(),
    ) {
        let mut bytes = import(&read("openssh/ecdsa-p521")).unwrap().to_secret_bytes().to_vec();
        let at = index.index(bytes.len());
        bytes[at] = byte;
        let _ = PrivateKey::from_secret_bytes(&bytes);
        bytes.truncate(len.index(bytes.len()));
        prop_assert!(PrivateKey::from_secret_bytes(&bytes).is_err());
    }
}
