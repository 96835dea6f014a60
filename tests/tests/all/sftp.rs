//! Files over SFTP, and host keys, at real `sshd`s whose account has nothing but SFTP.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails in a function of the tests fails the test")]

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use keywheel_core::{
    error::Explain as _,
    key::{Algorithm, PrivateKey, PublicKey},
    remote::{
        Connector, RemoteError, Route, Secret, Session, Target, Timeouts,
        files::{FileError, Files, Reach, Way},
        program::{Elevation, FileKind, ProgramError, WriteError, Written},
        scan::{KnownHost, matches_known_hosts, scan},
    },
    rotation::{Rotate, decide::Outcome},
};
use keywheel_fleet::{Account, FleetError, Sshd, Trouble, account::Storage, available, watch};

/// Bytes that a way which treats the file as text would change.
const ODD: &[u8] = b"# kept\r\n\n  \t\nssh-ed25519 broken\n\xff\xfe no text \0\nlast line without an end";

/// A device whose account has SFTP alone, with a key that Keywheel logs in with.
struct Desk {
    device: Sshd,
    key: Arc<PrivateKey>,
    reach: Reach,
}

impl Desk {
    fn start(storage: Storage) -> Result<Option<Self>, FleetError> {
        Self::with_command("internal-sftp", storage)
    }

    fn with_command(command: &str, storage: Storage) -> Result<Option<Self>, FleetError> {
        let account = Account::new("kwsftp").shell("/usr/sbin/nologin").storage(storage);
        let builder = Sshd::builder()
            .account(account)
            .account(Account::new("root"))
            .config(&format!("Match User kwsftp\n  ForceCommand {command}\n"));
        let Some(device) = available(builder.start())? else { return Ok(None) };
        let key = Arc::new(PrivateKey::generate(Algorithm::Ed25519, "desk").unwrap());
        let reach = Reach {
            way: Way::Sftp,
            elevation: Elevation::None,
            password: None,
            mark: "vault-7".to_owned(),
            deadline: Duration::from_secs(30),
        };
        let desk = Self { device, key, reach };
        desk.device.write_authorized_keys(&desk.text(b""))?;
        Ok(Some(desk))
    }

    /// A file that lets the key in, with these bytes behind its line.
    fn text(&self, rest: &[u8]) -> Vec<u8> {
        [self.key.public_key().to_openssh().as_bytes(), b"\n", rest].concat()
    }

    fn route(&self) -> Route {
        let host_keys = self.device.host_keys_public().unwrap();
        let host_keys = host_keys.iter().map(|line| PublicKey::from_openssh(line).unwrap()).collect();
        let (address, port) = ("127.0.0.1".to_owned(), self.device.port());
        Route { target: Target { name: "web-1".to_owned(), address, port, host_keys }, jump: None }
    }

    async fn log_in(&self, timeouts: Timeouts) -> Session {
        self.log_in_as(self.device.account(), timeouts).await
    }

    async fn log_in_as(&self, account: &str, timeouts: Timeouts) -> Session {
        let connection = Connector::new(timeouts).connect(&self.route()).await.unwrap();
        match connection.enter(account, &[Secret::Key(Arc::clone(&self.key))]).await.unwrap() {
            keywheel_core::remote::Entry::Entered(session, _) => *session,
            keywheel_core::remote::Entry::HungUp(_) => panic!("one secret needs no second connection"),
        }
    }

    /// What stands in `.ssh` besides the file itself.
    fn left_over(&self) -> Vec<String> {
        names(&self.device.home().join(".ssh"), "authorized_keys")
    }
}

fn names(folder: &Path, but: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).filter(|name| name != but).collect()
}

fn write_error(result: Result<Written, FileError>) -> WriteError {
    match result {
        Err(FileError::Write { source, .. }) => source,
        other => panic!("the write must be refused, and not end with {other:?}"),
    }
}

const FILE: &str = ".ssh/authorized_keys";

#[tokio::test]
async fn an_account_with_sftp_alone_is_probed_read_and_written() -> Result<(), FleetError> {
    let Some(desk) = Desk::start(Storage::Folder)? else { return Ok(()) };
    let before = desk.text(ODD);
    desk.device.write_authorized_keys(&before)?;
    let file = desk.device.authorized_keys_path();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let metadata = fs::metadata(&file).unwrap();
    let session = desk.log_in(Timeouts::default()).await;
    let files = Files::new(&session, &desk.reach);

    let shell = Reach { way: Way::Shell, ..desk.reach.clone() };
    let error = Files::new(&session, &shell).probe(&[]).await.unwrap_err();
    assert_eq!(error.code(), "shell-unusable", "the SFTP way would not be tried");
    let probe = files.probe(&[]).await.unwrap();
    assert_eq!((probe.user.as_str(), probe.home.as_str()), ("kwsftp", "/home/kwsftp"), "the account is another one");
    let [first, second] = probe.files.as_slice() else { panic!("both default files must be looked at: {probe:?}") };
    assert_eq!(first.path, "/home/kwsftp/.ssh/authorized_keys");
    assert_eq!((first.kind, second.kind), (FileKind::Regular, FileKind::Missing));
    assert_eq!(first.mode.map(|mode| mode.0), Some(0o640), "the check would judge another mode");
    assert_eq!((first.owner, first.group), (Some(metadata.uid()), Some(metadata.gid())));
    assert_eq!(first.content.as_deref(), Some(&before[..]), "the plan would be made of other bytes");
    assert!(first.readable && first.writable && first.directory_writable, "the check would refuse: {first:?}");
    assert!(first.free.is_some_and(|free| free > 0), "the check would not see a full disk");
    let way: Vec<&str> = first.directories.iter().map(|directory| directory.path.as_str()).collect();
    assert_eq!(
        way,
        ["/home/kwsftp/.ssh", "/home/kwsftp", "/home", "/"],
        "StrictModes would be judged on other folders"
    );
    let configuration = probe.configuration.iter().find(|file| file.path == "/etc/ssh/sshd_config").unwrap();
    assert!(String::from_utf8_lossy(configuration.text.as_deref().unwrap()).contains("Match User kwsftp"));

    let read = files.read("~/.ssh/authorized_keys").await.unwrap();
    assert_eq!(read.bytes, before, "bytes are lost while reading");
    let new = [b"# first\r\n".as_slice(), &before].concat();
    let written = files.write(&read.resolved, &before, &new).await.unwrap();
    assert!(written.holds(&new) && !written.carried_over && !written.plain_compare, "{written:?}");
    assert_eq!(fs::read(&file).unwrap(), new, "bytes are lost while writing");
    let after = fs::metadata(&file).unwrap();
    assert_eq!(
        (after.mode(), after.uid(), after.gid(), after.nlink()),
        (metadata.mode(), metadata.uid(), metadata.gid(), 1),
        "mode, owner, group or link count changed"
    );
    assert_eq!(desk.left_over(), [""; 0], "temporary files stay");
    Ok(())
}

#[tokio::test]
async fn a_large_file_travels_whole() -> Result<(), FleetError> {
    let Some(desk) = Desk::start(Storage::Folder)? else { return Ok(()) };
    let noise: Vec<u8> = (0..700_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let before = desk.text(&noise);
    desk.device.write_authorized_keys(&before)?;
    let session = desk.log_in(Timeouts::default()).await;
    let files = Files::new(&session, &desk.reach);
    let read = files.read(FILE).await.unwrap();
    assert!(read.bytes == before, "bytes are lost while reading");
    let new = desk.text(&[noise.as_slice(), b"more"].concat());
    assert!(files.write(&read.resolved, &before, &new).await.unwrap().holds(&new));
    assert!(desk.device.authorized_keys()? == new, "bytes are lost while writing");
    // 16 MiB is more than any file of keys.
    fs::File::options().append(true).open(desk.device.authorized_keys_path()).unwrap().set_len(17 << 20).unwrap();
    let error = files.read(FILE).await.unwrap_err();
    assert!(matches!(error, FileError::Program { source: ProgramError::TooLarge { .. }, .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_link_stays_a_link_and_its_target_is_written_in_its_own_folder() -> Result<(), FleetError> {
    for linked in [".ssh", ".ssh/authorized_keys"] {
        let Some(desk) = Desk::start(Storage::Folder)? else { return Ok(()) };
        let home = desk.device.home();
        fs::create_dir(home.join("keys")).unwrap();
        let owner = fs::metadata(&home).unwrap().uid();
        chown(home.join("keys"), Some(owner), Some(owner)).unwrap();
        let (link, target, folder) = if linked == ".ssh" {
            (home.join(".ssh"), "/home/kwsftp/keys/ssh", "keys/ssh")
        } else {
            (home.join(".ssh/authorized_keys"), "../keys/../keys/mine", "keys")
        };
        let real = home.join(if linked == ".ssh" { "keys/ssh" } else { "keys/mine" });
        // As seen from outside, where the absolute link leads elsewhere.
        let file = home.join(if linked == ".ssh" { "keys/ssh/authorized_keys" } else { "keys/mine" });
        fs::rename(&link, &real).unwrap();
        symlink(target, &link).unwrap();

        let session = desk.log_in(Timeouts::default()).await;
        let files = Files::new(&session, &desk.reach);
        let probe = files.probe(&[]).await.unwrap();
        let resolved =
            if linked == ".ssh" { "/home/kwsftp/keys/ssh/authorized_keys" } else { "/home/kwsftp/keys/mine" };
        assert_eq!(probe.files[0].path, resolved, "{linked}: another file would be written");
        assert_eq!(probe.files[0].links_followed, u32::from(linked != ".ssh"));
        let read = files.read(FILE).await.unwrap();
        assert_eq!(read.resolved, resolved);
        let new = desk.text(b"# new\n");
        files.write(&read.resolved, &read.bytes, &new).await.unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "{linked}: the link was replaced");
        assert_eq!(fs::read(&file).unwrap(), new, "{linked}: sshd reads another file than was written");
        assert_eq!(names(&home.join(folder), if linked == ".ssh" { "authorized_keys" } else { "mine" }), [""; 0]);
        if linked != ".ssh" {
            let direct = files.write("/home/kwsftp/.ssh/authorized_keys", &new, &desk.text(b"")).await;
            assert_eq!(write_error(direct), WriteError::Moved, "a path through a link must not be written");
            assert_eq!(fs::read(&file).unwrap(), new);
            // A link that leads to itself ends the search.
            symlink("round", home.join(".ssh/round")).unwrap();
            let probe = files.probe(&["~/.ssh/round".to_owned()]).await.unwrap();
            assert_eq!(probe.files[0].kind, FileKind::UnfollowedLink);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_write_says_why_and_leaves_all_as_it_was() -> Result<(), FleetError> {
    let Some(desk) = Desk::start(Storage::Folder)? else { return Ok(()) };
    let file = desk.device.authorized_keys_path();
    let folder = file.parent().unwrap().to_owned();
    let path = "/home/kwsftp/.ssh/authorized_keys";
    let (before, new) = (desk.text(b""), desk.text(b"# new\n"));
    let session = desk.log_in(Timeouts::default()).await;
    let files = Files::new(&session, &desk.reach);
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();

    assert_eq!(write_error(files.write(path, b"other", &new).await), WriteError::ChangedBySomeoneElse);
    mode(&folder, 0o500);
    let refused = write_error(files.write(path, &before, &new).await);
    assert_eq!(refused, WriteError::DirectoryNotWritable);
    assert!(!files.probe(&[]).await.unwrap().files[0].directory_writable, "the check must predict this");
    mode(&folder, 0o700);
    mode(&file, 0o400);
    assert_eq!(write_error(files.write(path, &before, &new).await), WriteError::FileReadOnly);
    assert!(!files.probe(&[]).await.unwrap().files[0].writable, "the check must predict this");
    // A file of root in the account's folder, which the account may write: a rename would give it to the account.
    let owner = fs::metadata(&file).unwrap().uid();
    mode(&file, 0o666);
    chown(&file, Some(0), Some(0)).unwrap();
    let would_change = write_error(files.write(path, &before, &new).await);
    assert!(matches!(would_change, WriteError::MetadataWouldChange { .. }), "{would_change:?}");
    assert_eq!(fs::metadata(&file).unwrap().uid(), 0);
    chown(&file, Some(owner), Some(owner)).unwrap();
    mode(&file, 0o600);
    assert_eq!(write_error(files.write("/home/kwsftp/.ssh/none", &before, &new).await), WriteError::Missing);
    assert_eq!(write_error(files.write("/home/kwsftp/no/where", &before, &new).await), WriteError::Missing);
    assert_eq!(write_error(files.write("/home/kwsftp/.ssh", &before, &new).await), WriteError::NotRegular);
    assert_eq!(desk.device.authorized_keys()?, before, "a refused write changed the file");
    assert_eq!(desk.left_over(), [""; 0], "a refused write left something");
    let unread = files.read("/home/kwsftp/.ssh").await.unwrap_err();
    assert_eq!(unread.code(), "not-a-regular-file");
    assert_eq!(files.read("none").await.unwrap_err().code(), "file-missing");
    assert_eq!(files.read("/etc/shadow").await.unwrap_err().code(), "file-unreadable");
    Ok(())
}

#[tokio::test]
async fn a_full_and_a_read_only_disk_are_told_apart() -> Result<(), FleetError> {
    for (storage, expected) in
        [(Storage::Small(64 * 1024), WriteError::DiskFull), (Storage::ReadOnly, WriteError::DirectoryNotWritable)]
    {
        let Some(desk) = Desk::start(storage)? else { return Ok(()) };
        let before = desk.device.authorized_keys()?;
        let new = desk.text(&vec![b'#'; 100_000]);
        let session = desk.log_in(Timeouts::default()).await;
        let files = Files::new(&session, &desk.reach);
        let path = "/home/kwsftp/.ssh/authorized_keys";
        assert_eq!(write_error(files.write(path, &before, &new).await), expected);
        assert_eq!(desk.device.authorized_keys()?, before, "a failed write changed the file");
        assert_eq!(desk.left_over(), [""; 0], "a failed write left something");
        let state = &files.probe(&[]).await.unwrap().files[0];
        if expected == WriteError::DiskFull {
            assert!(state.free.is_some_and(|free| free < 64 * 1024), "the check must see the space: {state:?}");
        } else {
            assert!(!state.writable && !state.directory_writable, "the check must predict this: {state:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_a_busy_writer_is_lost_in_thirty_writes() -> Result<(), FleetError> {
    let Some(desk) = Desk::start(Storage::Folder)? else { return Ok(()) };
    let session = desk.log_in(Timeouts::default()).await;
    let files = Files::new(&session, &desk.reach);
    let path = "/home/kwsftp/.ssh/authorized_keys";
    let ended = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (file, ended) = (desk.device.authorized_keys_path(), Arc::clone(&ended));
        move || {
            let mut count = 0;
            while !ended.load(Ordering::Relaxed) {
                let mut file = fs::File::options().append(true).open(&file).unwrap();
                file.write_all(format!("# foreign {count}\n").as_bytes()).unwrap();
                // Mostly busier than a write is fast, with pauses in which one gets through on a slow machine too.
                std::thread::sleep(Duration::from_millis(10) * [1, 1, 2, 2, 4, 4, 8, 48][count % 8]);
                count += 1;
            }
            count
        }
    });
    let (mut done, mut carried, mut conflicts) = (0, 0, 0);
    while done < 30 {
        let read = match files.read(path).await {
            Ok(read) => read,
            Err(error) if error.is_conflict() => continue,
            Err(error) => panic!("{error:?}"),
        };
        let new = [read.bytes.as_slice(), format!("# ours {done}\n").as_bytes()].concat();
        match files.write(path, &read.bytes, &new).await {
            Ok(written) => {
                done += 1;
                carried += u32::from(written.carried_over);
            }
            Err(error) if error.is_conflict() && conflicts < 2_000 => conflicts += 1,
            Err(error) => panic!("after {done} writes and {conflicts} conflicts: {error:?}"),
        }
    }
    ended.store(true, Ordering::Relaxed);
    let foreign: usize = writer.join().unwrap();
    let text = String::from_utf8(desk.device.authorized_keys()?).unwrap();
    println!("30 writes, {carried} carried over, {conflicts} conflicts, {foreign} foreign lines");
    let count = |line: String| text.lines().filter(|is| **is == line).count();
    for number in 0..foreign {
        assert_eq!(count(format!("# foreign {number}")), 1, "a foreign line was lost or doubled");
    }
    for number in 0..30 {
        assert_eq!(count(format!("# ours {number}")), 1, "a write was reported that was not done");
    }
    assert_eq!(desk.left_over(), [""; 0], "temporary files stay");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_at_any_moment_leaves_the_old_file_or_the_new_one() -> Result<(), FleetError> {
    let Some(desk) = Desk::start(Storage::Folder)? else { return Ok(()) };
    let path = "/home/kwsftp/.ssh/authorized_keys";
    let timeouts = Timeouts { connect: Duration::from_secs(10), stage: Duration::from_secs(5) };
    let (mut cut, mut left) = (0, 0);
    for round in 0..12_u64 {
        let before = desk.device.authorized_keys()?;
        let new = desk.text(&vec![b'a' + round as u8; 600_000]);
        let session = desk.log_in(timeouts).await;
        let files = Files::new(&session, &desk.reach);
        let (written, ()) = tokio::join!(files.write(path, &before, &new), async {
            tokio::time::sleep(Duration::from_millis(8 * round)).await;
            tokio::task::block_in_place(|| desk.device.stop().unwrap());
        });
        let holds = desk.device.authorized_keys()?;
        match written {
            Ok(written) => assert!(written.holds(&holds) && holds == new, "a write was reported that was not done"),
            Err(error) => {
                assert!(error.is_unclean(), "nobody can know whether it was written: {error:?}");
                assert!(error.is_unanswered() || holds == before, "a write was done that was called too late");
                assert!(holds == before || holds == new, "round {round}: half a file was installed");
                cut += 1;
            }
        }
        left += desk.left_over().len();
        desk.device.start()?;
        let session = desk.log_in(timeouts).await;
        let files = Files::new(&session, &desk.reach);
        fs::write(desk.device.home().join(".ssh/.kw-other-1-0.new"), b"of another vault").unwrap();
        let probe = files.probe(&[]).await.unwrap();
        files.clean(&probe.files).await.unwrap();
        assert_eq!(desk.left_over(), [".kw-other-1-0.new"], "ours must go, and nobody else's");
        assert!(desk.device.authorized_keys()? == holds, "cleaning changed the file");
    }
    println!("{cut} of 12 writes were cut, and {left} temporary files were left");
    assert!(cut > 0 && left > 0, "no write was cut in the middle, so nothing was shown");
    Ok(())
}

#[tokio::test]
async fn installing_makes_only_what_is_missing() -> Result<(), FleetError> {
    let Some(desk) = Desk::start(Storage::Folder)? else { return Ok(()) };
    let session = desk.log_in(Timeouts::default()).await;
    let files = Files::new(&session, &desk.reach);
    let (home, text) = (desk.device.home(), desk.device.authorized_keys()?);
    let owner = fs::metadata(&home).unwrap().uid();

    let there = files.install(FILE).await.unwrap();
    assert_eq!((there.made_directory, there.made_file), (false, false));
    assert_eq!(desk.device.authorized_keys()?, text, "a file that stood there was emptied");
    let made = files.install("other/keys").await.unwrap();
    assert_eq!((made.made_directory, made.made_file, made.resolved.as_str()), (true, true, "/home/kwsftp/other/keys"));
    for (path, mode) in [("other", 0o700), ("other/keys", 0o600)] {
        let metadata = fs::metadata(home.join(path)).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (mode, owner), "sshd would refuse {path}");
    }
    files.write(&made.resolved, b"", &text).await.unwrap();
    assert_eq!(fs::read(home.join("other/keys")).unwrap(), text);
    let refused = files.install("no/such/keys").await.unwrap_err();
    assert_eq!(refused.code(), "file-not-created");
    assert!(!home.join("no").exists(), "more than the last folder was made");
    assert_eq!(files.install("/etc/kw-keys").await.unwrap_err().code(), "file-not-created");
    Ok(())
}

#[tokio::test]
async fn the_home_is_the_accounts_own_also_where_sftp_starts_elsewhere() -> Result<(), FleetError> {
    let Some(desk) = Desk::with_command("internal-sftp -d /tmp", Storage::Folder)? else { return Ok(()) };
    let session = desk.log_in(Timeouts::default()).await;
    let probe = Files::new(&session, &desk.reach).probe(&[]).await.unwrap();
    assert_eq!(probe.home, "/home/kwsftp", "another account's file, or none, would be found");
    assert_eq!(probe.files[0].kind, FileKind::Regular);
    Ok(())
}

#[tokio::test]
async fn an_account_without_sftp_is_told_at_once() -> Result<(), FleetError> {
    let Some(desk) = Desk::with_command("/bin/echo this account is closed", Storage::Folder)? else { return Ok(()) };
    let session = desk.log_in(Timeouts::default()).await;
    let error = Files::new(&session, &desk.reach).probe(&[]).await.unwrap_err();
    assert!(matches!(error, FileError::Remote(RemoteError::NoSftp { .. })), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn root_keeps_the_owner_of_the_file_it_writes() -> Result<(), FleetError> {
    let Some(desk) = Desk::start(Storage::Folder)? else { return Ok(()) };
    desk.device.write_authorized_keys_of("root", &desk.text(b""))?;
    let file = desk.device.authorized_keys_path();
    let owner = fs::metadata(&file).unwrap();
    let session = desk.log_in_as("root", Timeouts::default()).await;
    let files = Files::new(&session, &desk.reach);
    let new = desk.text(b"# by root\n");
    files.write("/home/kwsftp/.ssh/authorized_keys", &desk.text(b""), &new).await.unwrap();
    let after = fs::metadata(&file).unwrap();
    assert_eq!(
        (after.uid(), after.gid(), after.mode()),
        (owner.uid(), owner.gid(), owner.mode()),
        "the account lost its file"
    );
    assert_eq!(desk.device.authorized_keys()?, new);
    Ok(())
}

#[tokio::test]
async fn a_scan_shows_what_ssh_keyscan_shows() -> Result<(), FleetError> {
    let Some(desk) = Desk::start(Storage::Folder)? else { return Ok(()) };
    let mut route = desk.route();
    route.target.host_keys.clear();
    let connector = Connector::new(Timeouts::default());
    let keys = scan(&connector, &route).await.unwrap();
    let port = desk.device.port();
    let output = Command::new("ssh-keyscan").args(["-p", &port.to_string(), "127.0.0.1"]).output().unwrap();
    let mut theirs: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| PublicKey::from_openssh(line.split_once(' ').unwrap().1).unwrap().fingerprint().to_string())
        .collect();
    let mut ours: Vec<String> = keys.iter().map(|key| key.fingerprint().to_string()).collect();
    assert_eq!(ours.len(), 3, "the device has keys of three types");
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs, "other keys would be pinned than the device has");
    let log = desk.device.log()?;
    assert!(!log.contains("Accepted") && !log.contains("Failed"), "a scan must not authenticate: {log}");
    desk.device.stop()?;
    let error = scan(&connector, &route).await.unwrap_err();
    assert!(matches!(error, RemoteError::ConnectionRefused { .. }), "{error:?}");
    Ok(())
}

#[test]
fn known_hosts_are_read_as_ssh_keygen_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known_hosts");
    let key = PrivateKey::generate(Algorithm::Ed25519, "").unwrap().public_key().to_openssh();
    let other = PrivateKey::generate(Algorithm::Ed25519, "").unwrap().public_key().to_openssh();
    let key_of_this_host = PublicKey::from_openssh(&key).unwrap();
    let mut text = format!(
        "# a comment\n\nweb.example.org,10.0.0.7 {key} behind\r\n[web.example.org]:2222 {key}\n\
         *.lan,!router.lan {key}\ndb?.test {key}\n[::1]:2200 {key}\nMixed.Case {key}\nchanged.example.org {other}\n"
    );
    fs::write(&file, &text).unwrap();
    // The same hosts once more, hashed by ssh-keygen itself (patterns it leaves as they are).
    let hashed = Command::new("ssh-keygen").arg("-H").arg("-f").arg(&file).output().unwrap();
    assert!(hashed.status.success(), "{hashed:?}");
    let hashed = fs::read_to_string(&file).unwrap();
    assert!(hashed.contains("|1|"), "nothing was hashed: {hashed}");
    for round in [text.clone(), hashed] {
        text.clone_from(&round);
        fs::write(&file, &text).unwrap();
        for (host, port) in [
            ("web.example.org", 22),
            ("WEB.example.org", 22),
            ("web.example.org", 2222),
            ("web.example.org", 2223),
            ("10.0.0.7", 22),
            ("10.0.0.8", 22),
            ("a.lan", 22),
            ("router.lan", 22),
            ("lan", 22),
            ("db1.test", 22),
            ("db12.test", 22),
            ("::1", 2200),
            ("::1", 22),
            ("mixed.case", 22),
            ("changed.example.org", 22),
        ] {
            let name = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
            let name = name.to_lowercase();
            let found = Command::new("ssh-keygen").args(["-F", &name, "-f"]).arg(&file).output().unwrap();
            let found = found.status.success();
            let expected = match (found, host) {
                (false, _) => KnownHost::Absent,
                (true, "changed.example.org") => KnownHost::Differs,
                (true, _) => KnownHost::Matches,
            };
            let said = matches_known_hosts(text.as_bytes(), host, port, &key_of_this_host);
            assert_eq!(said, expected, "{name}: a wrong host would be trusted or a known one not:\n{text}");
        }
    }
}

#[tokio::test]
async fn cleaning_keeps_a_foreign_line_that_a_cut_kept_from_being_carried_over() -> Result<(), FleetError> {
    let Some(desk) = Desk::start(Storage::Folder)? else { return Ok(()) };
    let session = desk.log_in(Timeouts::default()).await;
    let files = Files::new(&session, &desk.reach);
    let folder = desk.device.home().join(".ssh");
    // SHA-256 of "old\n" begins so; the name says what the file held when it was replaced.
    let sum = Command::new("sh").args(["-c", "printf 'old\\n' | sha256sum"]).output().unwrap().stdout;
    let sum = String::from_utf8(sum[..16].to_vec()).unwrap();
    let name = |number: u8| format!(".kw-vault-7-00.4.{sum}-{number}-authorized_keys.old");
    fs::write(folder.join(name(1)), b"old\n").unwrap();
    fs::write(folder.join(name(2)), b"old\n# foreign\n").unwrap();
    fs::write(folder.join(".kw-vault-7-00.new"), b"half").unwrap();
    let probe = files.probe(&[]).await.unwrap();
    assert_eq!(files.clean(&probe.files).await.unwrap(), 2);
    assert_eq!(desk.left_over(), [name(2)], "the only copy of a foreign line was removed");
    desk.device.write_authorized_keys(&desk.text(b"# foreign\n"))?;
    assert_eq!(files.clean(&probe.files).await.unwrap(), 1, "what is needed no more must go");
    assert_eq!(desk.left_over(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_server_that_lacks_extensions_is_written_safely_or_not_at_all() -> Result<(), FleetError> {
    let path = "/home/kwsftp/.ssh/authorized_keys";
    for denied in ["posix-rename", "hardlink", "hardlink,fsync,statvfs,expand-path,readlink"] {
        let Some(desk) = Desk::with_command(&format!("internal-sftp -P {denied}"), Storage::Folder)? else {
            return Ok(());
        };
        let (before, new) = (desk.text(b""), desk.text(b"# new\n"));
        let session = desk.log_in(Timeouts::default()).await;
        let files = Files::new(&session, &desk.reach);
        assert_eq!(files.probe(&[]).await.unwrap().files[0].path, path, "{denied}");
        let written = files.write(path, &before, &new).await;
        if denied == "posix-rename" {
            let refused = write_error(written);
            assert!(refused.to_string().contains("posix-rename@openssh.com"), "the cause must be named: {refused}");
            assert_eq!(desk.device.authorized_keys()?, before, "the file was written in another way");
        } else {
            assert!(written.unwrap().plain_compare, "{denied}: the record must say that the file was only compared");
            assert_eq!(desk.device.authorized_keys()?, new);
        }
        assert_eq!(desk.left_over(), [""; 0], "{denied}: temporary files stay");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_on_an_account_with_sftp_alone() -> Result<(), Trouble> {
    let Some(sftp) = Desk::start(Storage::Folder)? else { return Ok(()) };
    let device = &sftp.device;
    let desk = keywheel_fleet::Desk::open()?;
    let key = desk.client.key("deploy", "ed25519")?;
    device.write_authorized_keys(&[key.public.as_bytes(), b"\n", ODD].concat())?;
    let id = desk.device("web-1", device).await?;
    desk.credential("deploy", device.account(), &key.file, &[id]).await?;
    let (watch, _watching) = watch();
    let change = Rotate { credential: "deploy".to_owned(), ..Rotate::default() };
    let finished = desk.keywheel.rotate(&change, watch).await?;
    assert_eq!(finished.outcome, Outcome::Changed, "{finished:?}");
    let new = desk.key_file("deploy", 2).await?;
    assert!(device.ssh_logs_in(&new, device.account())?, "the new key must log in: {}", device.log()?);
    assert!(!device.ssh_logs_in(&key.file, device.account())?, "the old key must be refused");
    let text = device.authorized_keys()?;
    assert!(text.ends_with(&[b"\n", ODD].concat()), "a foreign byte changed: {}", String::from_utf8_lossy(&text));
    assert_eq!(sftp.left_over(), [""; 0], "temporary files stay");
    Ok(())
}
