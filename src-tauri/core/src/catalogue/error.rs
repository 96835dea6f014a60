use std::fmt;

use super::setting::{Allowed, UnfitProgram};
use crate::database::DatabaseError;
use crate::error::sentence::listed;
use crate::error::{Class, Explain};

/// The kinds of things in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// An entry of People.
    Person,
    /// A host.
    Device,
    /// A key or a password.
    Credential,
    /// When and how keys change by themselves.
    Policy,
}

impl Noun {
    /// The word for it, as the audit and messages use it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Device => "device",
            Self::Credential => "credential",
            Self::Policy => "policy",
        }
    }
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the catalogue refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// No thing of this kind has that name or number.
    #[error("There is no {noun} \"{given}\".")]
    Unknown {
        /// The kind.
        noun: Noun,
        /// What was given.
        given: String,
        /// The field of a form that named it.
        field: Option<&'static str>,
    },
    /// The name is empty.
    #[error("The name of the {noun} is empty.")]
    NameEmpty {
        /// The kind.
        noun: Noun,
    },
    /// The name is made of digits, so it could be taken for a number.
    #[error("The name \"{name}\" of the {noun} is made of digits only.")]
    NameDigits {
        /// The kind.
        noun: Noun,
        /// The name.
        name: String,
    },
    /// The name holds a line break or another control character.
    #[error("The name {name:?} of the {noun} holds a control character.")]
    NameControl {
        /// The kind.
        noun: Noun,
        /// The name.
        name: String,
    },
    /// The name is longer than 255 bytes.
    #[error("The name of the {noun} is longer than 255 bytes.")]
    NameLong {
        /// The kind.
        noun: Noun,
    },
    /// Another thing of this kind has the name.
    #[error("There is a {noun} \"{name}\" already.")]
    NameTaken {
        /// The kind.
        noun: Noun,
        /// The name.
        name: String,
    },
    /// The e-mail address can't be one.
    #[error("\"{email}\" is no e-mail address.")]
    Email {
        /// What was given.
        email: String,
    },
    /// The address is neither a host name nor an IP address.
    #[error("\"{address}\" is neither a host name nor an IP address.")]
    Address {
        /// What was given.
        address: String,
    },
    /// The port is not from 1 to 65535.
    #[error("{port} is no port.")]
    Port {
        /// What was given.
        port: i64,
    },
    /// The path can't be one.
    #[error("{path:?} can't be the path of an authorized_keys file.")]
    Path {
        /// What was given.
        path: String,
    },
    /// A tag is empty, or holds a separator or a control character.
    #[error("{tag:?} can't be a tag.")]
    Tag {
        /// What was given.
        tag: String,
    },
    /// The account name can't be one.
    #[error("{username:?} can't be an account name.")]
    Username {
        /// What was given.
        username: String,
    },
    /// The way over jump devices would lead back to the device itself.
    #[error("The jump devices of \"{device}\" would lead back to it ({}).", way.join(" → "))]
    JumpLoop {
        /// The device.
        device: String,
        /// The names on the way, from the device back to itself.
        way: Vec<String>,
    },
    /// A credential for the jump device without a jump device.
    #[error("\"{device}\" has a credential for a jump device, but no jump device.")]
    JumpMissing {
        /// The device.
        device: String,
    },
    /// A pinned host key would be replaced.
    #[error("\"{device}\" has another {key_type} host key pinned ({pinned}).")]
    HostKeyPinned {
        /// The device.
        device: String,
        /// The type of the key.
        key_type: String,
        /// The fingerprint of the pinned key.
        pinned: String,
    },
    /// The person owns credentials.
    #[error("\"{person}\" owns {}.", quoted(credentials))]
    PersonOwns {
        /// The person.
        person: String,
        /// The credentials.
        credentials: Vec<String>,
    },
    /// Credentials would be handed to the one who gives them away, or to somebody who is not active.
    #[error("Nothing can be handed over to \"{person}\".")]
    HandOver {
        /// The one who should get them.
        person: String,
    },
    /// Credentials are on the device.
    #[error("\"{device}\" is used by {}.", quoted(credentials))]
    DeviceUsed {
        /// The device.
        device: String,
        /// The credentials.
        credentials: Vec<String>,
    },
    /// Other devices are reached over the device.
    #[error("\"{device}\" is the jump device of {}.", quoted(devices))]
    DeviceIsJump {
        /// The device.
        device: String,
        /// The devices behind it.
        devices: Vec<String>,
    },
    /// Other things authenticate with the credential.
    #[error("\"{credential}\" is what {} authenticate with.", quoted(users))]
    CredentialUsed {
        /// The credential.
        credential: String,
        /// The credentials and devices.
        users: Vec<String>,
    },
    /// Automatic change without a way to connect. product.md gives the sentence.
    #[error("Choose a credential, or use the key itself.")]
    AuthenticationMissing,
    /// Both ways to connect at once.
    #[error("\"{credential}\" can use the key itself or another credential, not both.")]
    AuthenticationTwice {
        /// The credential.
        credential: String,
    },
    /// A way to connect by itself without automatic change.
    #[error("\"{credential}\" has a way to connect for automatic changes, but no automatic change.")]
    AuthenticationUnused {
        /// The credential.
        credential: String,
    },
    /// The credential would authenticate its own change as "another" one.
    #[error("\"{credential}\" can't be its own other credential.")]
    AuthenticationItself {
        /// The credential.
        credential: String,
    },
    /// Keywheel never changes a password.
    #[error("\"{credential}\" is a password, and Keywheel never changes a password.")]
    PasswordChange {
        /// The credential.
        credential: String,
    },
    /// The account name can't change any more.
    #[error("The username of \"{credential}\" can't be changed, because its key stands on {}.", quoted(devices))]
    UsernameFixed {
        /// The credential.
        credential: String,
        /// The devices.
        devices: Vec<String>,
    },
    /// The key still stands on devices that would be forgotten.
    #[error("The key of \"{credential}\" still stands on {}.", quoted(devices))]
    KeyStands {
        /// The credential.
        credential: String,
        /// The devices.
        devices: Vec<String>,
    },
    /// The credential has no current key or password.
    #[error("\"{credential}\" has no current {secret}.")]
    NoSecret {
        /// The credential.
        credential: String,
        /// `key` or `password`.
        secret: &'static str,
    },
    /// The credential was removed while its key or password was being stored.
    #[error("\"{credential}\" was removed while it was being added.")]
    Overtaken {
        /// The credential.
        credential: String,
    },
    /// The operation is for the other kind of credential.
    #[error("\"{credential}\" is {found}, not {needed}.")]
    WrongKind {
        /// The credential.
        credential: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        needed: &'static str,
    },
    /// A password is empty or holds a line break or NUL, so it could not be typed.
    #[error("The password of \"{credential}\" is empty or holds a line break.")]
    Password {
        /// The credential.
        credential: String,
    },
    /// No setting has that name.
    #[error("There is no setting \"{name}\".")]
    SettingUnknown {
        /// What was given.
        name: String,
    },
    /// The setting can't have that value.
    #[error("\"{value}\" can't be the value of {name}.")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it may be.
        allowed: Allowed,
    },
    /// The setting takes recipients of backups.
    #[error("\"{}\" is not a recipient of age.", value.escape_debug())]
    SettingRecipient {
        /// What was given.
        value: String,
    },
    /// The setting takes a folder.
    #[error("\"{}\" is not the whole path of a folder.", value.escape_debug())]
    SettingFolder {
        /// What was given.
        value: String,
    },
    /// The program can't be run after each change.
    #[error("The program \"{path}\" can't be run after each change: {reason}.")]
    Program {
        /// What was given.
        path: String,
        /// Why not.
        reason: UnfitProgram,
    },
}

impl From<rusqlite::Error> for CatalogueError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

impl CatalogueError {
    /// The error for a name or number that nothing has.
    pub(crate) fn unknown(noun: Noun, given: impl fmt::Display) -> Self {
        Self::Unknown { noun, given: given.to_string(), field: None }
    }

    /// The same error with the field of a form that named what is unknown.
    pub(crate) fn at(self, field: &'static str) -> Self {
        match self {
            Self::Unknown { noun, given, .. } => Self::Unknown { noun, given, field: Some(field) },
            other => other,
        }
    }
}

impl Explain for CatalogueError {
    crate::sentences! {
        Unknown { noun, given } => "unknown-name",
        NameEmpty { noun } => "name-empty",
        NameDigits { noun, name } => "name-digits",
        NameControl { noun, name = format!("{name:?}") } => "name-control",
        NameLong { noun } => "name-long",
        NameTaken { noun, name } => "name-taken",
        Email { email } => "bad-email",
        Address { address } => "bad-address",
        Port { port } => "bad-port",
        Path { path = format!("{path:?}") } => "bad-path",
        Tag { tag = format!("{tag:?}") } => "bad-tag",
        Username { username = format!("{username:?}") } => "bad-username",
        JumpLoop { device, way = way.join(" → ") } => "jump-loop",
        JumpMissing { device } => "jump-missing",
        HostKeyPinned { device, key_type, pinned } => "host-key-pinned",
        PersonOwns { person, credentials = listed(credentials) } => "person-owns",
        HandOver { person } => "bad-hand-over",
        DeviceUsed { device, credentials = listed(credentials) } => "device-used",
        DeviceIsJump { device, devices = listed(devices) } => "device-is-jump",
        CredentialUsed { credential, users = listed(users) } => "credential-used",
        AuthenticationMissing => "authentication-missing",
        AuthenticationTwice { credential } => "authentication-twice",
        AuthenticationUnused { credential } => "authentication-unused",
        AuthenticationItself { credential } => "authentication-itself",
        PasswordChange { credential } => "password-never-changed",
        UsernameFixed { credential, devices = listed(devices) } => "username-fixed",
        KeyStands { credential, devices = listed(devices) } => "key-stands",
        NoSecret { credential, secret } => "no-current-secret",
        Overtaken { credential } => "overtaken",
        WrongKind { credential, found } => "wrong-kind",
        Password { credential } => "bad-password",
        SettingUnknown { name } => "unknown-setting",
        SettingRecipient { value = value.escape_debug() } => "bad-setting" as "bad-setting-recipient",
        SettingFolder { value = value.escape_debug() } => "bad-setting" as "bad-setting-folder",
        Setting { name, value, allowed } with from = allowed.bounds().0, to = allowed.bounds().1 => "bad-setting",
        Program { path, reason = reason.word() } => "bad-program";
        through Database(DatabaseError)
    }

    fn hint(&self) -> String {
        match self {
            Self::Database(error) => error.hint(),
            Self::Unknown { noun, .. } => format!("List what there is with: keywheel {noun} list."),
            Self::NameEmpty { .. } => "Give it a name.".to_owned(),
            Self::NameDigits { .. } => "Choose a name with a letter in it, because digits alone mean an ID.".to_owned(),
            Self::NameControl { .. } => "Choose a name on one line, without control characters.".to_owned(),
            Self::NameLong { .. } => "Choose a shorter name.".to_owned(),
            Self::NameTaken { .. } => "Choose another name.".to_owned(),
            Self::Email { .. } => "Give an address like ana@example.org, or none.".to_owned(),
            Self::Address { .. } => {
                "Give a host name (letters, digits, hyphens, dots), an IPv4 or an IPv6 address, without a port."
                    .to_owned()
            }
            Self::Port { .. } => "Give a port from 1 to 65535.".to_owned(),
            Self::Path { .. } => {
                "Give a path from / or from the account's home, on one line, or leave it empty.".to_owned()
            }
            Self::Tag { .. } => "Give tags without commas, semicolons and line breaks.".to_owned(),
            Self::Username { .. } => {
                "Give the account's name as it stands on the devices: no spaces, no \"/\" or \":\", no hyphen first."
                    .to_owned()
            }
            Self::JumpLoop { .. } => "Choose a jump device that is reached without this one.".to_owned(),
            Self::JumpMissing { .. } => "Choose a jump device, or leave out its credential.".to_owned(),
            Self::HostKeyPinned { device, .. } => format!(
                "Find out why the key differs, then accept it with: keywheel device trust {device} --fingerprint \
                 SHA256:…."
            ),
            Self::PersonOwns { .. } => {
                "Hand the credentials over to another person, or deactivate this one.".to_owned()
            }
            Self::HandOver { .. } => "Choose another person who is active.".to_owned(),
            Self::DeviceUsed { .. } => "Take the device off these credentials first, or disable it.".to_owned(),
            Self::DeviceIsJump { .. } => "Give these devices another jump device first.".to_owned(),
            Self::CredentialUsed { .. } => "Let them authenticate with another credential first.".to_owned(),
            Self::AuthenticationMissing => {
                "Give --use-itself, or --auth-with with the name of another credential.".to_owned()
            }
            Self::AuthenticationTwice { .. } => "Leave one of them out.".to_owned(),
            Self::AuthenticationUnused { .. } => {
                "Switch on automatic change, or leave the way to connect out.".to_owned()
            }
            Self::AuthenticationItself { .. } => "Use the key itself, or choose another credential.".to_owned(),
            Self::PasswordChange { .. } => "Leave out automatic change.".to_owned(),
            Self::UsernameFixed { .. } => "Make a new credential for the other account.".to_owned(),
            Self::KeyStands { .. } => "Take it off these devices first, or say that it may be left there.".to_owned(),
            Self::NoSecret { .. } => "Remove the credential and add it again.".to_owned(),
            Self::Overtaken { .. } => "Add it again.".to_owned(),
            Self::WrongKind { .. } => "Choose a credential of the other kind.".to_owned(),
            Self::Password { .. } => "Give the password on one line.".to_owned(),
            Self::SettingUnknown { .. } => "List the settings with: keywheel settings list.".to_owned(),
            Self::Setting { allowed, .. } => format!("Give {allowed}."),
            Self::SettingRecipient { .. } => format!("Give {}.", Allowed::Recipients),
            Self::SettingFolder { .. } => format!("Give {}.", Allowed::Folder),
            Self::Program { .. } => "Give the absolute path of a program, or nothing to run none.".to_owned(),
        }
    }

    fn subject(&self) -> Option<String> {
        match self {
            Self::Database(error) => error.subject(),
            Self::Unknown { given, .. } => Some(given.clone()),
            Self::NameDigits { name, .. } | Self::NameControl { name, .. } | Self::NameTaken { name, .. } => {
                Some(name.clone())
            }
            Self::JumpLoop { device, .. }
            | Self::JumpMissing { device }
            | Self::HostKeyPinned { device, .. }
            | Self::DeviceUsed { device, .. }
            | Self::DeviceIsJump { device, .. } => Some(device.clone()),
            Self::PersonOwns { person, .. } | Self::HandOver { person } => Some(person.clone()),
            Self::CredentialUsed { credential, .. }
            | Self::AuthenticationTwice { credential }
            | Self::AuthenticationUnused { credential }
            | Self::AuthenticationItself { credential }
            | Self::PasswordChange { credential }
            | Self::UsernameFixed { credential, .. }
            | Self::KeyStands { credential, .. }
            | Self::NoSecret { credential, .. }
            | Self::Overtaken { credential }
            | Self::WrongKind { credential, .. }
            | Self::Password { credential } => Some(credential.clone()),
            Self::SettingUnknown { name } => Some(name.clone()),
            Self::Setting { name, .. } => Some((*name).to_owned()),
            Self::SettingRecipient { .. } => Some("backup-recipient".to_owned()),
            Self::SettingFolder { .. } => Some("backup-folder".to_owned()),
            Self::Program { path, .. } => Some(path.clone()),
            Self::NameEmpty { .. }
            | Self::NameLong { .. }
            | Self::Email { .. }
            | Self::Address { .. }
            | Self::Port { .. }
            | Self::Path { .. }
            | Self::Tag { .. }
            | Self::Username { .. }
            | Self::AuthenticationMissing => None,
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Database(error) => error.class(),
            Self::NoSecret { .. } | Self::Overtaken { .. } => Class::NotDone,
            _ => Class::BadInput,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { field, .. } => *field,
            Self::NameEmpty { .. }
            | Self::NameDigits { .. }
            | Self::NameControl { .. }
            | Self::NameLong { .. }
            | Self::NameTaken { .. } => Some("name"),
            Self::Email { .. } => Some("email"),
            Self::Address { .. } => Some("address"),
            Self::Port { .. } => Some("port"),
            Self::Path { .. } => Some("authorized_keys_path"),
            Self::Tag { .. } => Some("tags"),
            Self::Username { .. } | Self::UsernameFixed { .. } => Some("username"),
            Self::JumpLoop { .. } | Self::JumpMissing { .. } => Some("jump"),
            Self::HandOver { .. } => Some("owner"),
            Self::AuthenticationMissing
            | Self::AuthenticationTwice { .. }
            | Self::AuthenticationUnused { .. }
            | Self::AuthenticationItself { .. } => Some("auth_with"),
            Self::PasswordChange { .. } => Some("automatic"),
            Self::KeyStands { .. } => Some("devices"),
            Self::Password { .. } => Some("password"),
            Self::Setting { .. }
            | Self::SettingRecipient { .. }
            | Self::SettingFolder { .. }
            | Self::Program { .. } => Some("value"),
            Self::Database(_)
            | Self::HostKeyPinned { .. }
            | Self::PersonOwns { .. }
            | Self::DeviceUsed { .. }
            | Self::DeviceIsJump { .. }
            | Self::CredentialUsed { .. }
            | Self::NoSecret { .. }
            | Self::Overtaken { .. }
            | Self::WrongKind { .. }
            | Self::SettingUnknown { .. } => None,
        }
    }
}

/// Joins names for a sentence: at most three, then how many more.
fn quoted(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| format!("\"{name}\"")).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
