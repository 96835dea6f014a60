//! What this process must not leak.

/// Switches core dumps off, since a dump would hold private keys, and keeps what is written from everybody else.
#[cfg(unix)]
pub fn harden() {
    use nix::sys::resource::{Resource, setrlimit};
    use nix::sys::stat::{Mode, umask};

    // Only a limit that is lower already can refuse this, and that one serves as well.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
}

/// Does nothing: Windows writes no dumps of a program unless its administrator asks for them, and has no umask.
#[cfg(not(unix))]
pub fn harden() {}

#[cfg(all(test, unix))]
mod tests {
    use nix::sys::resource::{Resource, getrlimit};
    use nix::sys::stat::{Mode, umask};

    #[test]
    fn no_core_is_dumped_and_no_file_is_open_to_others() {
        super::harden();
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0), "a core dump would hold private keys");
        assert_eq!(umask(Mode::from_bits_truncate(0o077)).bits() & 0o777, 0o077, "others could read what is written");
    }
}
