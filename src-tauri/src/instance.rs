//! One window per data directory.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The program's name on the session bus, and for its mutex or socket on other systems: one for each data directory, so that
/// a second start with the same one finds the first window and one with another opens its own.
pub(crate) fn name(data_dir: Option<&Path>) -> String {
    const IDENTIFIER: &str = "dev.keywheel.desktop";
    match data_dir {
        None => IDENTIFIER.to_owned(),
        // A part of a bus name may not begin with a digit.
        Some(dir) => format!("{IDENTIFIER}.d{}", short_hash(dir)),
    }
}

/// A few digits that stand for a data directory.
pub(crate) fn short_hash(data_dir: &Path) -> String {
    let digest = Sha256::digest(resolved(data_dir).as_os_str().as_encoded_bytes());
    hex::encode(digest).chars().take(16).collect()
}

/// The directory without links and dots. It may not exist yet; then the part of its path that does is resolved.
fn resolved(dir: &Path) -> PathBuf {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let known = dir.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    match known {
        Some((ancestor, known)) => match dir.strip_prefix(ancestor) {
            Ok(rest) if rest.as_os_str().is_empty() => known,
            Ok(rest) => known.join(rest),
            Err(_) => dir,
        },
        None => dir,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_data_directory_has_its_own_name() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_ne!(name(Some(one.path())), name(Some(other.path())), "the second window would not open");
    }

    #[test]
    fn a_directory_has_one_name_before_and_after_it_is_made_and_by_every_path() {
        let above = tempfile::tempdir().unwrap();
        let dir = above.path().join("data");
        let before = name(Some(&dir));
        std::fs::create_dir(&dir).unwrap();
        assert_eq!(name(Some(&dir)), before, "the first start ever would not be found by the second");
        assert_eq!(name(Some(&above.path().join("./data"))), before);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&dir, above.path().join("link")).unwrap();
            assert_eq!(name(Some(&above.path().join("link"))), before, "a link would open a second window");
        }
    }

    #[test]
    fn the_name_is_one_that_a_bus_takes() {
        let name = name(Some(Path::new("/data")));
        assert!(
            name.len() < 200 && name.split('.').all(|part| part.starts_with(|c: char| c.is_ascii_alphabetic())),
            "{name}"
        );
    }
}
