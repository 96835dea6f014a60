//! Accounts of a device, which exist in that device's namespace only.

/// What an account may do with `sudo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sudo {
    /// It isn't in sudoers.
    #[default]
    None,
    /// It may do everything, and isn't asked for a password.
    NoPassword,
    /// It may do everything after it has given its password.
    WithPassword,
}

/// Where an account's home lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// In an ordinary folder.
    #[default]
    Folder,
    /// In a file system of its own that holds so many bytes.
    Small(u64),
    /// In a folder mounted read-only.
    ReadOnly,
}

/// An account of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name; `root` changes the device's root account.
    pub name: String,
    /// Its login shell.
    pub shell: String,
    /// Its password; without one no password is right.
    pub password: Option<String>,
    /// What it may do with sudo.
    pub sudo: Sudo,
    /// Where its home lies.
    pub storage: Storage,
}

impl Account {
    /// An account with `/bin/sh`, without password and sudo.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            shell: "/bin/sh".to_owned(),
            password: None,
            sudo: Sudo::None,
            storage: Storage::Folder,
        }
    }

    /// Gives it another login shell.
    pub fn shell(mut self, shell: &str) -> Self {
        self.shell = shell.to_owned();
        self
    }

    /// Gives it a password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Lets it use sudo.
    pub fn sudo(mut self, sudo: Sudo) -> Self {
        self.sudo = sudo;
        self
    }

    /// Puts its home elsewhere.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }
}
