use std::fmt;

/// Who did it: the operating system's user name and the host's name (`ana@desk`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(String);

impl Actor {
    /// Names the user this process runs as, on this host.
    pub fn current() -> Self {
        let host = gethostname::gethostname();
        Self(format!("{}@{}", user(), host.to_string_lossy()))
    }

    /// Takes a name as it is, for tests and for what Keywheel does by itself.
    pub fn named(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The account's name from the account database; the environment could say anything.
#[cfg(unix)]
fn user() -> String {
    let id = nix::unistd::getuid();
    match nix::unistd::User::from_uid(id) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => format!("uid {id}"),
    }
}

/// The account's name, as the session names it.
#[cfg(not(unix))]
fn user() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "unknown".to_owned())
}
