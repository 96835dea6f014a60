//! What was chosen in a form and is not saved yet: it stays in this process's memory, under a number.

use std::path::PathBuf;
use std::sync::Arc;

use keywheel_core::backup::Opened;
use keywheel_core::device::Preview;
use keywheel_core::key::PrivateKey;
use zeroize::Zeroizing;

use crate::error::DeskError;

/// How many are kept; a window that forgets to drop them must not collect private keys.
const AT_MOST: usize = 8;

/// A key pair or a file that was chosen.
pub(crate) enum Draft {
    /// A key pair that was made here.
    Generated(Arc<PrivateKey>),
    /// A key pair from a file or the clipboard.
    Imported {
        /// The pair.
        key: Arc<PrivateKey>,
        /// The file.
        from: Option<PathBuf>,
    },
    /// A private key that waits for its passphrase.
    Encrypted {
        /// What was read.
        bytes: Arc<Zeroizing<Vec<u8>>>,
        /// The file.
        from: Option<PathBuf>,
    },
    /// A CSV file with devices.
    Csv {
        /// What was read.
        bytes: Vec<u8>,
        /// What its import was said to do.
        shown: Preview,
    },
    /// A backup that is not opened yet.
    Backup(PathBuf),
    /// A backup that was opened, with its secrets.
    Opened(Box<Opened>),
}

/// The drafts, by number.
#[derive(Default)]
pub(crate) struct Drafts {
    last: u32,
    kept: Vec<(u32, Draft)>,
}

impl Drafts {
    /// Keeps a draft; answers its number. The oldest goes where there are too many.
    pub(crate) fn keep(&mut self, draft: Draft) -> u32 {
        self.last += 1;
        if self.kept.len() == AT_MOST {
            self.kept.remove(0);
        }
        self.kept.push((self.last, draft));
        self.last
    }

    /// Looks a draft up.
    pub(crate) fn find(&self, number: u32) -> Result<&Draft, DeskError> {
        let found = self.kept.iter().find(|(known, _)| *known == number);
        found.map(|(_, draft)| draft).ok_or(DeskError::DraftGone)
    }

    /// The key pair of a draft.
    pub(crate) fn key(&self, number: u32) -> Result<Arc<PrivateKey>, DeskError> {
        match self.find(number)? {
            Draft::Generated(key) | Draft::Imported { key, .. } => Ok(Arc::clone(key)),
            _ => Err(DeskError::DraftUnfit),
        }
    }

    /// Hands a draft over; it is kept no longer.
    pub(crate) fn take(&mut self, number: u32) -> Result<Draft, DeskError> {
        let place = self.kept.iter().position(|(known, _)| *known == number).ok_or(DeskError::DraftGone)?;
        Ok(self.kept.remove(place).1)
    }

    /// Puts another draft in the place of one, under the same number.
    pub(crate) fn replace(&mut self, number: u32, draft: Draft) -> Result<(), DeskError> {
        let place = self.kept.iter_mut().find(|(known, _)| *known == number).ok_or(DeskError::DraftGone)?;
        place.1 = draft;
        Ok(())
    }

    /// Forgets a draft; one that is gone is fine.
    pub(crate) fn forget(&mut self, number: u32) {
        self.kept.retain(|(known, _)| *known != number);
    }

    /// Forgets all drafts; their numbers are not given again.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Draft {
        Draft::Csv { bytes: text.as_bytes().to_vec(), shown: Preview::default() }
    }

    #[test]
    fn a_number_is_never_given_twice_and_only_a_few_are_kept() {
        let mut drafts = Drafts::default();
        let first = drafts.keep(csv("1"));
        drafts.forget(first);
        let second = drafts.keep(csv("2"));
        assert_ne!(first, second, "a page that kept the old number would save another key");
        for _ in 0..AT_MOST {
            drafts.keep(csv("more"));
        }
        assert!(matches!(drafts.find(second), Err(DeskError::DraftGone)), "a window could collect private keys");
        assert_eq!(drafts.kept.len(), AT_MOST);
        let last = drafts.last;
        drafts.clear();
        assert!(drafts.find(last).is_err());
        assert_eq!(drafts.keep(csv("3")), last + 1, "a page that was loaded before would find another's key");
    }

    #[test]
    fn a_csv_file_is_not_taken_for_a_key() {
        let mut drafts = Drafts::default();
        let number = drafts.keep(csv("name,address"));
        assert!(matches!(drafts.key(number), Err(DeskError::DraftUnfit)));
    }
}
