//! Memory that is not swapped out.

use region::LockGuard;
use zeroize::{Zeroize, Zeroizing};

/// Bytes on pages of their own that stay in memory where the system allows it, zeroized on drop.
///
/// A system may limit how much a user locks (`RLIMIT_MEMLOCK`, setrlimit(2)); what is over it is kept unlocked, since a
/// key that may be swapped out serves better than none.
pub(super) struct LockedBytes {
    // Dropped before the pages it is on.
    lock: Option<LockGuard>,
    pages: Zeroizing<Vec<u8>>,
    start: usize,
    len: usize,
}

impl LockedBytes {
    /// Copies the bytes onto pages that hold nothing else, so that unlocking them unlocks nothing else.
    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        let page = region::page::size();
        let size = bytes.len().max(1).next_multiple_of(page);
        // A whole page more than is needed always has that many whole pages in it.
        let mut pages = Zeroizing::new(vec![0; size + page]);
        let start = pages.as_ptr().align_offset(page);
        // Locked while it is empty, so that no copy was swapped out before.
        let lock = pages.get(start..).and_then(|whole| region::lock(whole.as_ptr(), size).ok());
        if lock.is_none() {
            tracing::debug!("the memory of a key could not be locked");
        }
        if let Some(place) = pages.get_mut(start..start + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        Self { lock, pages, start, len: bytes.len() }
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.pages.get(self.start..self.start + self.len).unwrap_or_default()
    }

    /// Whether the system keeps them in memory.
    #[cfg(test)]
    fn is_locked(&self) -> bool {
        self.lock.is_some()
    }
}

impl Drop for LockedBytes {
    fn drop(&mut self) {
        // While the pages are still locked.
        self.pages.zeroize();
        self.lock = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_whatever_its_length() {
        let page = region::page::size();
        for len in [0, 1, 32, page - 1, page, page + 1, 3 * page] {
            let bytes: Vec<u8> = (0..len).map(|index| (index % 251) as u8 + 1).collect();
            let locked = LockedBytes::copy_of(&bytes);
            assert_eq!(locked.bytes(), bytes, "{len} bytes");
            assert!(locked.bytes().as_ptr().align_offset(page) == 0, "another allocation could share its page");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_key_in_memory_is_locked() {
        let locked_now = || -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmLck:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let locked = LockedBytes::copy_of(b"secret");
        let held = locked_now();
        assert!(locked.is_locked() && held > 0, "the system refused, or nothing was asked for: {held} kB");
        drop(locked);
        assert!(locked_now() < held, "pages stay locked for ever");
    }
}
