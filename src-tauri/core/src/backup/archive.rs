//! What is inside of a backup: a tar archive (POSIX.1-1988 "ustar"), so that a person with `age` and `tar` gets a key out
//! without Keywheel.
//!
//! Only what is needed of the format is written, and nothing else is read: plain files with short names.

use std::io::{self, Read, Write};

const BLOCK: usize = 512;
/// The longest name that fits the header.
pub(super) const LONGEST_NAME: usize = 100;

/// Writes plain files, one after the other, with mode 0600.
pub(super) struct Writer<W> {
    to: W,
    seconds: u64,
}

impl<W: Write> Writer<W> {
    /// Begins an archive whose files are of this time, in seconds since 1970.
    pub(super) fn new(to: W, seconds: u64) -> Self {
        Self { to, seconds }
    }

    /// Writes a file whose bytes are at hand.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.begin(name, bytes.len() as u64)?;
        self.to.write_all(bytes)?;
        self.fill(bytes.len() as u64)
    }

    /// Writes a file of a known length as it is read.
    pub(super) fn copy(&mut self, name: &str, from: impl Read, length: u64) -> io::Result<()> {
        self.begin(name, length)?;
        if io::copy(&mut from.take(length), &mut self.to)? != length {
            return Err(io::Error::other("the file has become shorter while it was read"));
        }
        self.fill(length)
    }

    /// Ends the archive; answers what it was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        Ok(self.to)
    }

    fn begin(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.to.write_all(&header(name, length, self.seconds)?)
    }

    fn fill(&mut self, length: u64) -> io::Result<()> {
        self.to.write_all([0; BLOCK].get(..filler(length)).unwrap_or_default())
    }
}

/// How many bytes are left of the block in which a file of this length ends.
fn filler(length: u64) -> usize {
    let over = usize::try_from(length % BLOCK as u64).unwrap_or_default();
    if over == 0 { 0 } else { BLOCK - over }
}

/// The fields of a header: where each begins and how long it is.
mod field {
    pub(super) const NAME: (usize, usize) = (0, 100);
    pub(super) const MODE: (usize, usize) = (100, 8);
    pub(super) const OWNER: (usize, usize) = (108, 8);
    pub(super) const GROUP: (usize, usize) = (116, 8);
    pub(super) const LENGTH: (usize, usize) = (124, 12);
    pub(super) const TIME: (usize, usize) = (136, 12);
    pub(super) const SUM: (usize, usize) = (148, 8);
    pub(super) const KIND: (usize, usize) = (156, 1);
    pub(super) const MAGIC: (usize, usize) = (257, 8);
}

fn put(header: &mut [u8; BLOCK], (from, length): (usize, usize), bytes: &[u8]) {
    for (place, byte) in header.iter_mut().skip(from).take(length).zip(bytes) {
        *place = *byte;
    }
}

fn taken(header: &[u8; BLOCK], (from, length): (usize, usize)) -> &[u8] {
    header.get(from..from + length).unwrap_or_default()
}

fn header(name: &str, length: u64, seconds: u64) -> io::Result<[u8; BLOCK]> {
    if name.len() > LONGEST_NAME || length >= 1 << 33 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not fit into an archive"));
    }
    let mut header = [0; BLOCK];
    put(&mut header, field::NAME, name.as_bytes());
    put(&mut header, field::MODE, b"0000600\0");
    put(&mut header, field::OWNER, b"0000000\0");
    put(&mut header, field::GROUP, b"0000000\0");
    put(&mut header, field::LENGTH, format!("{length:011o}\0").as_bytes());
    put(&mut header, field::TIME, format!("{seconds:011o}\0").as_bytes());
    put(&mut header, field::KIND, b"0");
    put(&mut header, field::MAGIC, b"ustar\x0000");
    let sum = sum(&header);
    put(&mut header, field::SUM, format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

/// The sum of a header's bytes, its own field taken as spaces.
fn sum(header: &[u8; BLOCK]) -> u32 {
    let (from, length) = field::SUM;
    let of = |(place, byte): (usize, &u8)| if (from..from + length).contains(&place) { 32 } else { u32::from(*byte) };
    header.iter().enumerate().map(of).sum()
}

/// Reads plain files, one after the other.
pub(super) struct Reader<R> {
    from: R,
    /// What is left of the file that was begun, and of its last block.
    left: u64,
    fill: usize,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, left: 0, fill: 0 }
    }

    /// Goes to the next file and answers its name and length; none at the end, when nothing but the end is there.
    pub(super) fn next(&mut self) -> io::Result<Option<(String, u64)>> {
        io::copy(&mut (&mut self.from).take(self.left), &mut io::sink())?;
        let mut fill = [0; BLOCK];
        self.from.read_exact(fill.get_mut(..self.fill).unwrap_or_default())?;
        let mut header = [0; BLOCK];
        self.from.read_exact(&mut header)?;
        if header == [0; BLOCK] {
            self.from.read_exact(&mut header)?;
            let more = self.from.read(&mut [0; 1])?;
            return if header == [0; BLOCK] && more == 0 { Ok(None) } else { Err(unlike()) };
        }
        let (name, length) = parsed(&header).ok_or_else(unlike)?;
        (self.left, self.fill) = (length, filler(length));
        Ok(Some((name, length)))
    }

    /// The bytes of the file that [`Reader::next`] went to.
    pub(super) fn bytes(&mut self) -> impl Read + '_ {
        Rest { from: &mut self.from, left: &mut self.left }
    }
}

struct Rest<'a, R> {
    from: &'a mut R,
    left: &'a mut u64,
}

impl<R: Read> Read for Rest<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = (&mut *self.from).take(*self.left).read(into)?;
        *self.left -= read as u64;
        if read == 0 && *self.left > 0 && !into.is_empty() {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(read)
        }
    }
}

fn unlike() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is not an archive as Keywheel writes it")
}

fn parsed(header: &[u8; BLOCK]) -> Option<(String, u64)> {
    let text = |place| std::str::from_utf8(taken(header, place)).ok();
    let octal = |place| u64::from_str_radix(text(place)?.trim_end_matches(['\0', ' ']), 8).ok();
    let plain = taken(header, field::KIND) == b"0" && taken(header, field::MAGIC) == b"ustar\x0000";
    if !plain || octal(field::SUM)? != u64::from(sum(header)) {
        return None;
    }
    Some((text(field::NAME)?.trim_end_matches('\0').to_owned(), octal(field::LENGTH)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), 1_700_000_000);
        writer.file("a/empty", b"").unwrap();
        writer.file("a/key", &[7; 513]).unwrap();
        writer.copy("a/base", &[8; 1024][..], 1024).unwrap();
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut reader = Reader::new(bytes);
        let mut files = Vec::new();
        while let Some((name, _)) = reader.next()? {
            let mut bytes = Vec::new();
            reader.bytes().read_to_end(&mut bytes)?;
            files.push((name, bytes));
        }
        Ok(files)
    }

    #[test]
    fn what_is_written_is_read() {
        let files = read(&written()).unwrap();
        let expected =
            [("a/empty".to_owned(), vec![]), ("a/key".to_owned(), vec![7; 513]), ("a/base".to_owned(), vec![8; 1024])];
        assert_eq!(files, expected);
        let mut skipping = Reader::new(&written()[..]).names().unwrap();
        assert_eq!(skipping.pop().as_deref(), Some("a/base"), "a file that is not read must be passed over");
    }

    impl<R: Read> Reader<R> {
        fn names(mut self) -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            while let Some((name, _)) = self.next()? {
                names.push(name);
            }
            Ok(names)
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_systems_tar_unpacks_it_with_mode_0600() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("it.tar");
        std::fs::write(&file, written()).unwrap();
        let done = std::process::Command::new("tar").arg("xf").arg(&file).arg("-C").arg(dir.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(std::fs::read(dir.path().join("a/key")).unwrap(), [7; 513]);
        let mode = std::fs::metadata(dir.path().join("a/key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "ssh would refuse such a key");
    }

    #[test]
    fn an_archive_that_was_cut_or_changed_is_refused() {
        let whole = written();
        for length in 0..whole.len() {
            assert!(read(whole.get(..length).unwrap()).is_err(), "{length} of {} bytes", whole.len());
        }
        let longer = [&whole[..], b"x"].concat();
        assert!(read(&longer).is_err(), "what stands behind the end is of nobody");
        for place in [0, 100, 124, 148, 156, 257] {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert!(read(&changed).is_err(), "byte {place} of a header");
        }
    }

    #[test]
    fn a_name_that_does_not_fit_is_not_cut() {
        let mut writer = Writer::new(Vec::new(), 0);
        assert!(writer.file(&"n".repeat(LONGEST_NAME + 1), b"").is_err());
        assert!(writer.copy("short", &b"abc"[..], 4).is_err(), "the archive would be shifted");
    }
}
