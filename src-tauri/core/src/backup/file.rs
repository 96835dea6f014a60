//! The file of a backup: sealed with age, written whole or not at all, read back.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::{ExposeSecret, SecretString};
use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{BackupError, LEAST_PASSPHRASE};
use crate::private_file::{self, PrivateFileError};

/// The logarithm of scrypt's steps for a new backup: 256 MiB and about a second, as `age` takes it on most machines. It is not
/// measured anew each time, because a busy machine would then make a weak backup.
const WORK: u8 = if cfg!(test) { 6 } else { 18 };
/// More than this is not computed, whatever a file asks for: 1 GiB.
const MOST_WORK: u8 = 20;
/// No header of ours is longer; one that is could fill the memory.
const LONGEST_HEADER: u64 = 64 * 1024;
const MAGIC: &[u8] = b"age-encryption.org/v1\n";

/// What a new backup is sealed with.
pub enum Lock {
    /// Whoever has the passphrase opens it.
    Passphrase(SecretString),
    /// Whoever has the identity of one of these opens it.
    Recipients(Recipients),
}

impl Lock {
    /// Says whether a backup may be sealed with it, before anything is begun.
    ///
    /// # Errors
    /// The passphrase is too short.
    pub fn check(&self) -> Result<(), BackupError> {
        match self {
            Self::Passphrase(passphrase) if passphrase.expose_secret().chars().count() < LEAST_PASSPHRASE => {
                Err(BackupError::ShortPassphrase { least: LEAST_PASSPHRASE })
            }
            _ => Ok(()),
        }
    }

    /// Who can open it, in words that hold no secret.
    pub(super) fn to(&self) -> String {
        match self {
            Self::Passphrase(_) => "passphrase".to_owned(),
            Self::Recipients(recipients) => recipients.to_string(),
        }
    }

    fn encryptor(&self) -> io::Result<Encryptor> {
        match self {
            Self::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(WORK);
                Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            }
            Self::Recipients(Recipients(all)) => {
                Encryptor::with_recipients(all.iter().map(|one| one as &dyn age::Recipient))
            }
        }
        .map_err(|error| io::Error::other(error.to_string()))
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lock").field(&self.to()).finish()
    }
}

/// Public halves of age keys (`age1…`), at least one.
#[derive(Clone)]
pub struct Recipients(Vec<x25519::Recipient>);

impl FromStr for Recipients {
    type Err = BackupError;

    /// Takes one or several, with spaces or commas between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty());
        let all: Vec<_> = words
            .map(|word| word.parse().map_err(|_| BackupError::NotARecipient { text: word.to_owned() }))
            .collect::<Result<_, _>>()?;
        if all.is_empty() { Err(BackupError::NotARecipient { text: text.to_owned() }) } else { Ok(Self(all)) }
    }
}

impl fmt::Display for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(" "))
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recipients").field(&self.to_string()).finish()
    }
}

/// What a backup is opened with.
pub enum Unlock {
    /// The passphrase it was made with.
    Passphrase(SecretString),
    /// The identities of some of its recipients.
    Identities(Identities),
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Unlock(passphrase)",
            Self::Identities(_) => "Unlock(identities)",
        })
    }
}

/// Private halves of age keys (`AGE-SECRET-KEY-1…`), at least one.
pub struct Identities(Vec<x25519::Identity>);

impl Identities {
    /// Reads the text of a file as `age-keygen` writes it: an identity per line, comments begin with `#`.
    ///
    /// # Errors
    /// A line is neither, or there is no identity.
    pub fn from_text(text: &str) -> Result<Self, BackupError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let all: Vec<_> =
            lines.map(|line| line.parse().map_err(|_| BackupError::NoIdentity)).collect::<Result<_, _>>()?;
        if all.is_empty() { Err(BackupError::NoIdentity) } else { Ok(Self(all)) }
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

/// What was written: the sums of the bytes before and after they were sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    plain: [u8; 32],
    sealed: [u8; 32],
    pub(super) bytes: u64,
}

/// Where `fill` writes what is to be sealed.
pub(super) type Sink<'a> = Summing<age::stream::StreamWriter<Summing<&'a File>>>;

/// Seals what `fill` writes into a file.
pub(super) fn seal<'a>(
    file: &'a File,
    lock: &Lock,
    fill: impl FnOnce(Sink<'a>) -> io::Result<Sink<'a>>,
) -> io::Result<Written> {
    let sealing = lock.encryptor()?.wrap_output(Summing::new(file))?;
    let Summing { inner, sum: plain, .. } = fill(Summing::new(sealing))?;
    let Summing { sum: sealed, length, .. } = inner.finish()?;
    file.sync_all()?;
    Ok(Written { plain: plain.finalize().into(), sealed: sealed.finalize().into(), bytes: length })
}

/// What reading back has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, ts_rs::TS)]
#[serde(rename_all = "kebab-case")]
#[ts(rename = "BackupProof")]
pub enum Proof {
    /// It was opened with the passphrase, and everything in it is what was put in.
    Opened,
    /// The file's bytes are those that were written; only who has the identity can open it.
    Bytes,
}

/// Reads a sealed file back and compares it with what was written.
pub(super) fn read_back(path: &Path, lock: &Lock, written: &Written) -> Result<Proof, BackupError> {
    let differs = || BackupError::ReadBack { path: path.to_owned() };
    let sum = |from: &mut dyn Read| -> Result<[u8; 32], BackupError> {
        let mut sum = Sha256::new();
        // What is read may be secret.
        let mut chunk = Zeroizing::new(vec![0; 64 * 1024]);
        loop {
            let length = from.read(&mut chunk).map_err(|source| BackupError::unreadable(path, source))?;
            match chunk.get(..length) {
                Some(bytes) if !bytes.is_empty() => sum.update(bytes),
                _ => return Ok(sum.finalize().into()),
            }
        }
    };
    let mut file = File::open(path).map_err(|source| BackupError::unreadable(path, source))?;
    if sum(&mut file)? != written.sealed {
        return Err(differs());
    }
    match lock {
        Lock::Recipients(_) => Ok(Proof::Bytes),
        Lock::Passphrase(passphrase) => {
            let mut opened = open(path, &Unlock::Passphrase(passphrase.clone()))?;
            if sum(&mut opened)? == written.plain { Ok(Proof::Opened) } else { Err(differs()) }
        }
    }
}

/// Opens a sealed file; what is read of it is genuine, and an error if it was cut.
pub(super) fn open(path: &Path, unlock: &Unlock) -> Result<impl Read + use<>, BackupError> {
    let here = || path.to_owned();
    let unreadable = |source| BackupError::Unreadable { path: here(), source };
    if fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Err(BackupError::NotABackup { path: here() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut beginning = Vec::new();
    (&file).take(LONGEST_HEADER).read_to_end(&mut beginning).map_err(unreadable)?;
    if !beginning.starts_with(MAGIC) {
        return Err(BackupError::NotABackup { path: here() });
    }
    if !beginning.windows(5).any(|part| part == b"\n--- ") {
        return Err(BackupError::Damaged { path: here() });
    }
    let whole = io::Cursor::new(beginning).chain(file);
    let decryptor = Decryptor::new_buffered(BufReader::new(whole)).map_err(|error| refused(path, &error))?;
    match (decryptor.is_scrypt(), unlock) {
        (true, Unlock::Passphrase(passphrase)) => {
            let mut identity = scrypt::Identity::new(passphrase.clone());
            identity.set_max_work_factor(MOST_WORK);
            decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity))
        }
        (false, Unlock::Identities(Identities(all))) => {
            decryptor.decrypt(all.iter().map(|one| one as &dyn age::Identity))
        }
        (true, Unlock::Identities(_)) => return Err(BackupError::NeedsPassphrase { path: here() }),
        (false, Unlock::Passphrase(_)) => return Err(BackupError::NeedsIdentity { path: here() }),
    }
    .map_err(|error| refused(path, &error))
}

fn refused(path: &Path, error: &DecryptError) -> BackupError {
    let path = path.to_owned();
    match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => BackupError::WrongPassphrase { path },
        DecryptError::NoMatchingKeys => BackupError::OtherIdentity { path },
        DecryptError::ExcessiveWork { required, .. } => BackupError::TooMuchWork { path, work: *required },
        DecryptError::UnknownFormat => BackupError::NotABackup { path },
        _ => BackupError::Damaged { path },
    }
}

/// Sums and counts what passes through.
pub(super) struct Summing<W> {
    inner: W,
    sum: Sha256,
    length: u64,
}

impl<W> Summing<W> {
    fn new(inner: W) -> Self {
        Self { inner, sum: Sha256::new(), length: 0 }
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or_default());
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file that has no name of its own yet: whoever looks for a backup does not see it, and it is gone where it does not get one.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
}

impl Part {
    /// Begins a file in the folder of the one it shall become, and removes there what a killed process of this vault has left.
    /// Only one process at a time may do so.
    pub(super) fn begin(to: &Path, vault: &str) -> Result<(Self, File), BackupError> {
        if to.symlink_metadata().is_ok() {
            return Err(PrivateFileError::Exists { path: to.to_owned() }.into());
        }
        let folder = to.parent().ok_or_else(|| BackupError::NoFolder { path: to.to_owned() })?;
        let ours = format!(".keywheel-backup-{}-", vault.chars().take(8).collect::<String>());
        let left = fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.starts_with(&ours) && name.ends_with(".part"))
        });
        for entry in left {
            // What can't be removed takes room and does no other harm; the next backup tries again.
            let _ = fs::remove_file(entry.path());
        }
        let path = folder.join(format!("{ours}{}.part", hex::encode(rand::random::<[u8; 8]>())));
        let file = private_file::new(&path).map_err(|error| error.of(to))?;
        Ok((Self { path }, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, unless another has it.
    pub(super) fn publish(self, to: &Path) -> Result<(), BackupError> {
        let not_written = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => PrivateFileError::Exists { path: to.to_owned() },
            _ => PrivateFileError::NotWritten { path: to.to_owned(), source },
        };
        match fs::hard_link(&self.path, to) {
            // A file system of a USB stick has no second names.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && to.symlink_metadata().is_err() => {
                fs::rename(&self.path, to)
            }
            linked => linked,
        }
        .map_err(not_written)?;
        #[cfg(unix)]
        if let Some(folder) = to.parent() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(not_written)?;
        }
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After a rename it is gone already.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain as _;

    const PASSPHRASE: &str = "correct horse battery";

    fn passphrase() -> SecretString {
        SecretString::from(PASSPHRASE)
    }

    fn sealed(path: &Path, lock: &Lock, text: &[u8]) -> Written {
        let file = private_file::new(path).unwrap();
        seal(&file, lock, |mut sink| sink.write_all(text).map(|()| sink)).unwrap()
    }

    fn opened(path: &Path, unlock: &Unlock) -> Result<Vec<u8>, BackupError> {
        let mut bytes = Vec::new();
        open(path, unlock)?.read_to_end(&mut bytes).map_err(|source| BackupError::unreadable(path, source))?;
        Ok(bytes)
    }

    fn code(path: &Path, unlock: &Unlock) -> &'static str {
        opened(path, unlock).unwrap_err().code()
    }

    fn pair() -> (Lock, Unlock) {
        let identity = x25519::Identity::generate();
        let lock = Lock::Recipients(identity.to_public().to_string().parse().unwrap());
        (lock, Unlock::Identities(Identities(vec![identity])))
    }

    #[test]
    fn what_is_sealed_opens_with_its_passphrase_or_identity_and_with_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let text = vec![b'x'; 200_000];
        let lock = Lock::Passphrase(passphrase());
        let written = sealed(&one, &lock, &text);
        assert_eq!(read_back(&one, &lock, &written).unwrap(), Proof::Opened);
        assert_eq!(opened(&one, &Unlock::Passphrase(passphrase())).unwrap(), text);
        let (recipients, unlock) = pair();
        let written = sealed(&two, &recipients, &text);
        assert_eq!(read_back(&two, &recipients, &written).unwrap(), Proof::Bytes);
        assert_eq!(opened(&two, &unlock).unwrap(), text);

        assert_eq!(code(&one, &Unlock::Passphrase(SecretString::from("another horse"))), "wrong-passphrase");
        assert_eq!(code(&one, &unlock), "passphrase-needed");
        assert_eq!(code(&two, &Unlock::Passphrase(passphrase())), "identity-needed");
        assert_eq!(code(&two, &pair().1), "other-identity");
    }

    #[test]
    fn a_file_that_was_cut_or_changed_anywhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, bad) = (dir.path().join("backup"), dir.path().join("bad"));
        let (lock, unlock) = pair();
        let written = sealed(&path, &lock, &vec![b'x'; 150_000]);
        let whole = fs::read(&path).unwrap();
        for step in 0..50 {
            let place = whole.len() * step / 50;
            fs::write(&bad, &whole[..place]).unwrap();
            assert!(opened(&bad, &unlock).is_err(), "cut after {place} bytes");
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&bad, &changed).unwrap();
            assert!(opened(&bad, &unlock).is_err(), "byte {place} of {}", whole.len());
            assert!(read_back(&bad, &lock, &written).is_err(), "byte {place} would be told to be written");
        }
        fs::write(&bad, [&whole[..], b"x"].concat()).unwrap();
        assert!(opened(&bad, &unlock).is_err(), "more than was written");
    }

    #[test]
    fn what_is_no_backup_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let unlock = Unlock::Passphrase(passphrase());
        assert_eq!(code(&path, &unlock), "backup-unreadable", "it is not there");
        assert_eq!(code(dir.path(), &unlock), "not-a-backup");
        for foreign in [&b""[..], b"PK\x03\x04", b"-----BEGIN AGE ENCRYPTED FILE-----\n"] {
            fs::write(&path, foreign).unwrap();
            assert_eq!(code(&path, &unlock), "not-a-backup");
        }
        fs::write(&path, [MAGIC, &vec![b'a'; 300_000]].concat()).unwrap();
        assert_eq!(code(&path, &unlock), "backup-damaged", "a header without an end is not read into memory");
    }

    #[test]
    fn a_file_that_asks_for_too_much_work_is_refused_before_any_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        sealed(&path, &Lock::Passphrase(passphrase()), b"x");
        let bytes = fs::read(&path).unwrap();
        let at = bytes.windows(3).position(|part| part == b" 6\n").unwrap();
        for work in ["21", "63"] {
            let bomb = [&bytes[..=at], work.as_bytes(), &bytes[at + 2..]].concat();
            fs::write(&path, bomb).unwrap();
            assert_eq!(code(&path, &Unlock::Passphrase(passphrase())), "backup-too-much-work");
        }
    }

    #[test]
    fn a_short_passphrase_is_refused() {
        assert_eq!(Lock::Passphrase(SecretString::from("äöüäöüä")).check().unwrap_err().code(), "passphrase-short");
        Lock::Passphrase(SecretString::from("äöüäöüäö")).check().unwrap();
    }

    #[test]
    fn recipients_and_identities_are_read_as_age_writes_them() {
        let identity = x25519::Identity::generate();
        let secret = identity.to_string();
        let file = format!("# created: today\n# public key: x\n{}\n", secret.expose_secret());
        assert_eq!(Identities::from_text(&file).unwrap().0.len(), 1);
        for bad in ["", "# only\n", "AGE-SECRET-KEY-1XYZ", "ssh-ed25519 AAAA"] {
            assert_eq!(Identities::from_text(bad).unwrap_err().code(), "no-identity", "{bad:?}");
        }
        let public = identity.to_public().to_string();
        let two: Recipients = format!(" {public}, {public}\n").parse().unwrap();
        assert_eq!(two.to_string(), format!("{public} {public}"));
        for bad in ["", "  ", "age1xyz", secret.expose_secret(), "ssh-ed25519 AAAA"] {
            assert_eq!(bad.parse::<Recipients>().unwrap_err().code(), "bad-recipient", "{bad:?}");
        }
    }

    #[test]
    fn nothing_of_a_passphrase_or_identity_is_printed() {
        let (_, unlock) = pair();
        let told = format!("{:?}{:?}{unlock:?}", Lock::Passphrase(passphrase()), Unlock::Passphrase(passphrase()));
        assert!(!told.contains("horse") && !told.contains("SECRET"), "{told}");
    }

    #[test]
    fn a_part_takes_its_name_only_where_nobody_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("backup.age");
        let left = dir.path().join(".keywheel-backup-00000000-dead.part");
        let others = dir.path().join(".keywheel-backup-11111111-dead.part");
        fs::write(&left, b"x").unwrap();
        fs::write(&others, b"x").unwrap();
        let (part, _file) = Part::begin(&to, "0000000000").unwrap();
        assert!(!left.exists(), "what a killed process left stays for ever");
        assert!(others.exists(), "another vault may be writing it");
        fs::write(&to, b"mine").unwrap();
        let path = part.path().to_owned();
        assert_eq!(part.publish(&to).unwrap_err().code(), "file-exists");
        assert_eq!(fs::read(&to).unwrap(), b"mine", "the user's file is lost");
        assert!(!path.exists());
        assert_eq!(Part::begin(&to, "0000000000").unwrap_err().code(), "file-exists");
    }
}
