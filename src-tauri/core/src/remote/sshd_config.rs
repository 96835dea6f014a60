//! What a server's sshd_config(5) says about key logins of one account.
//!
//! Pure: the files' bytes come from a function, and any bytes are taken. sshd's own parsing is followed: the first value
//! of a keyword wins, a value from a `Match` block that applies wins over the general part, and `Include` files stand
//! where they are included. What can't be known from outside is told as undecided instead of guessed.

mod pattern;
mod words;

use std::net::IpAddr;

use words::Directive;

/// Where sshd looks for its configuration.
pub const PATH: &str = "/etc/ssh/sshd_config";

/// Included files with a relative name are looked for here.
const DIRECTORY: &str = "/etc/ssh";

/// sshd gives up at this depth of includes (`SERVCONF_MAX_DEPTH`).
const MAXIMUM_DEPTH: usize = 16;

/// More files than this are not read, each time one is included counted. Files that include each other twice double at each
/// depth, and sshd itself would not come up with what takes longer than this.
const MAXIMUM_INCLUDED: usize = 1024;

/// What sshd reads where the configuration names no file.
const DEFAULT_FILES: [&str; 2] = [".ssh/authorized_keys", ".ssh/authorized_keys2"];

/// Answers an absolute path, or a pattern of glob(7), with each file's path and bytes in the order of their names, and with
/// nothing for what isn't there or can't be read.
pub type Read<'a> = dyn Fn(&str) -> Vec<(String, Vec<u8>)> + 'a;

/// Whether `from=` of a key's line (sshd(8)) with this list of addresses and names surely keeps out who connects from an address.
pub(crate) fn leaves_out(list: &str, address: IpAddr) -> bool {
    pattern::leaves_out(list, address)
}

/// The login that is asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// The account's name.
    pub user: String,
    /// The names of all groups the account is in; `None` if they are not known.
    pub groups: Option<Vec<String>>,
    /// The account's home directory.
    pub home: String,
    /// The account's number.
    pub uid: u32,
    /// The address we connect from, as the server sees it.
    pub client_address: Option<IpAddr>,
    /// The server's address of the connection, as the server sees it.
    pub local_address: Option<IpAddr>,
    /// The server's port of the connection, as the server sees it.
    pub local_port: Option<u16>,
}

/// The configuration in effect for one login; `None` where nothing is said and sshd's default holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The files with keys, as absolute paths, in the order sshd reads them; empty under `AuthorizedKeysFile none`.
    pub authorized_keys_files: Vec<String>,
    /// The program that is asked for keys too.
    pub authorized_keys_command: Option<String>,
    /// Whether key login is switched on.
    pub pubkey_authentication: Option<bool>,
    /// The combinations of methods that are asked for, separated by blanks.
    pub authentication_methods: Option<String>,
    /// Whether owner and modes of the files are checked.
    pub strict_modes: Option<bool>,
    /// How root may log in.
    pub permit_root_login: Option<RootLogin>,
    /// The signature algorithms taken from clients, as written (with `+`, `-` or `^` at the start: relative to sshd's own list).
    pub pubkey_accepted_algorithms: Option<String>,
    /// Whether something was said that can't be judged here, so that the server may do otherwise.
    pub undecided: bool,
}

/// How root may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootLogin {
    /// By any method.
    Yes,
    /// By anything but a password.
    ProhibitPassword,
    /// By a key with a forced command.
    ForcedCommandsOnly,
    /// Not at all.
    No,
}

/// Finds out what sshd's configuration says for a login.
///
/// If the main file can't be read, sshd's defaults come back, undecided.
pub fn authorized_keys_files(read: &Read<'_>, connection: &Connection) -> Effective {
    let mut reading = Reading {
        read,
        connection,
        general: Values::default(),
        matched: Values::default(),
        undecided: false,
        included: 0,
    };
    let main = read(PATH);
    reading.undecided = main.is_empty();
    for (_, text) in main {
        reading.file(&text, Section::General, 0);
    }
    reading.finish()
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    /// Before any `Match`.
    General,
    /// In a `Match` block.
    Match(Applies),
}

/// Whether a `Match` block applies to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Applies {
    Yes,
    No,
    Unknown,
}

/// The values seen so far in one kind of section, of which the first of each keyword counts.
#[derive(Debug, Default)]
struct Values {
    files: Option<Vec<String>>,
    command: Option<String>,
    pubkey_authentication: Option<bool>,
    methods: Option<String>,
    strict_modes: Option<bool>,
    root_login: Option<RootLogin>,
    algorithms: Option<String>,
}

struct Reading<'a> {
    read: &'a Read<'a>,
    connection: &'a Connection,
    general: Values,
    matched: Values,
    undecided: bool,
    included: usize,
}

impl Reading<'_> {
    fn file(&mut self, text: &[u8], outer: Section, depth: usize) {
        let mut section = outer;
        for line in text.split(|byte| *byte == b'\n') {
            let Some(directive) = Directive::parse(line) else { continue };
            match directive.keyword.as_str() {
                "match" => {
                    let applies = self.applies(&directive);
                    // Inside of an include, a block can't apply more than the block that includes it.
                    section = Section::Match(match outer {
                        Section::General | Section::Match(Applies::Yes) => applies,
                        Section::Match(outer) => both(outer, applies),
                    });
                }
                "include" => self.include(&directive, section, depth),
                _ => self.value(&directive, section),
            }
        }
    }

    fn include(&mut self, directive: &Directive, section: Section, depth: usize) {
        if section == Section::Match(Applies::No) {
            return;
        }
        let Some(words) = directive.words().filter(|_| depth < MAXIMUM_DEPTH) else {
            self.undecided = true;
            return;
        };
        for name in words {
            // `~` is the home of the account that started sshd.
            self.undecided |= name.starts_with('~');
            let path = if name.starts_with('/') { name } else { format!("{DIRECTORY}/{name}") };
            if self.included >= MAXIMUM_INCLUDED {
                self.undecided = true;
                return;
            }
            for (_, text) in (self.read)(&path) {
                self.included += 1;
                self.file(&text, section, depth + 1);
            }
        }
    }

    fn value(&mut self, directive: &Directive, section: Section) {
        let mut scratch = Values::default();
        let values = match section {
            Section::General => &mut self.general,
            Section::Match(Applies::Yes) => &mut self.matched,
            Section::Match(Applies::No) => return,
            Section::Match(Applies::Unknown) => &mut scratch,
        };
        let taken = values.take(directive);
        // sshd doesn't run with a value it can't read: what runs was started with another text. And what a block says of
        // which it isn't known whether it applies may hold or not.
        self.undecided |= match taken {
            Taken::Other => false,
            Taken::Unreadable => true,
            Taken::Read => section == Section::Match(Applies::Unknown),
        };
    }

    /// Judges the criteria of a `Match` line, all of which must hold.
    fn applies(&mut self, directive: &Directive) -> Applies {
        let Some(criteria) = directive.criteria() else {
            self.undecided = true;
            return Applies::Unknown;
        };
        if criteria.is_empty() {
            self.undecided = true;
        }
        criteria.iter().fold(Applies::Yes, |applies, (name, patterns)| both(applies, self.criterion(name, patterns)))
    }

    fn criterion(&self, name: &str, patterns: &str) -> Applies {
        let connection = self.connection;
        match name {
            "all" => Applies::Yes,
            "user" => known(pattern::matches(patterns, &connection.user)),
            "group" => match &connection.groups {
                Some(groups) => known(pattern::matches_any(patterns, groups)),
                None => Applies::Unknown,
            },
            "address" => by_address(patterns, connection.client_address),
            "localaddress" => by_address(patterns, connection.local_address),
            "localport" => match (patterns.parse::<u16>(), connection.local_port) {
                (Ok(wanted), Some(port)) => known(wanted == port),
                _ => Applies::Unknown,
            },
            // The account exists, or there would be nothing to ask.
            "invalid-user" => Applies::No,
            // `Host` needs the server's own view of our name; others are of later versions.
            _ => Applies::Unknown,
        }
    }

    fn finish(self) -> Effective {
        let Self { connection, general, matched, mut undecided, .. } = self;
        let files = matched.files.or(general.files).unwrap_or_else(|| DEFAULT_FILES.map(str::to_owned).to_vec());
        let mut paths = Vec::new();
        for file in files.iter().filter(|file| !file.eq_ignore_ascii_case("none")) {
            match expand(file, connection) {
                Some(path) if !paths.contains(&path) => paths.push(path),
                Some(_) => {}
                None => undecided = true,
            }
        }
        let command = matched.command.or(general.command);
        Effective {
            authorized_keys_files: paths,
            authorized_keys_command: command.filter(|command| !command.eq_ignore_ascii_case("none")),
            pubkey_authentication: matched.pubkey_authentication.or(general.pubkey_authentication),
            authentication_methods: matched.methods.or(general.methods),
            // Not allowed in a `Match` block.
            strict_modes: general.strict_modes,
            permit_root_login: matched.root_login.or(general.root_login),
            pubkey_accepted_algorithms: matched.algorithms.or(general.algorithms),
            undecided,
        }
    }
}

/// What became of a directive.
enum Taken {
    /// It says nothing about key logins.
    Other,
    /// It was read, though an earlier one may win.
    Read,
    /// Its value can't be read.
    Unreadable,
}

impl Values {
    fn take(&mut self, directive: &Directive) -> Taken {
        let done = match directive.keyword.as_str() {
            "authorizedkeysfile" => first(&mut self.files, directive.words()),
            // The rest of the line is the command with its arguments.
            "authorizedkeyscommand" => first(&mut self.command, Some(directive.rest.clone())),
            "pubkeyauthentication" => {
                first(&mut self.pubkey_authentication, directive.word().as_deref().and_then(flag))
            }
            "authenticationmethods" => first(&mut self.methods, directive.words().map(|words| words.join(" "))),
            "strictmodes" => first(&mut self.strict_modes, directive.word().as_deref().and_then(flag)),
            "permitrootlogin" => first(&mut self.root_login, directive.word().as_deref().and_then(root_login)),
            "pubkeyacceptedalgorithms" | "pubkeyacceptedkeytypes" => first(&mut self.algorithms, directive.word()),
            _ => return Taken::Other,
        };
        match done {
            Some(()) => Taken::Read,
            None => Taken::Unreadable,
        }
    }
}

/// Keeps the first value of a keyword.
fn first<T>(kept: &mut Option<T>, value: Option<T>) -> Option<()> {
    let value = value?;
    kept.get_or_insert(value);
    Some(())
}

fn flag(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn root_login(word: &str) -> Option<RootLogin> {
    match word.to_ascii_lowercase().as_str() {
        "yes" => Some(RootLogin::Yes),
        "prohibit-password" | "without-password" => Some(RootLogin::ProhibitPassword),
        "forced-commands-only" => Some(RootLogin::ForcedCommandsOnly),
        "no" => Some(RootLogin::No),
        _ => None,
    }
}

fn known(holds: bool) -> Applies {
    if holds { Applies::Yes } else { Applies::No }
}

fn both(one: Applies, other: Applies) -> Applies {
    match (one, other) {
        (Applies::No, _) | (_, Applies::No) => Applies::No,
        (Applies::Yes, Applies::Yes) => Applies::Yes,
        _ => Applies::Unknown,
    }
}

fn by_address(patterns: &str, address: Option<IpAddr>) -> Applies {
    match address.map(|address| pattern::matches_address(patterns, address)) {
        Some(Some(holds)) => known(holds),
        Some(None) | None => Applies::Unknown,
    }
}

/// Expands the tokens of `AuthorizedKeysFile`, or tells that one is not known here.
fn expand(file: &str, connection: &Connection) -> Option<String> {
    // sshd puts the home of the account it runs as for `~`, which isn't known here.
    if file.starts_with('~') {
        return None;
    }
    let mut path = String::new();
    let mut characters = file.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            path.push(character);
            continue;
        }
        match characters.next()? {
            '%' => path.push('%'),
            'h' => path.push_str(&connection.home),
            'u' => path.push_str(&connection.user),
            'U' => path.push_str(&connection.uid.to_string()),
            _ => return None,
        }
    }
    if path.starts_with('/') { Some(path) } else { Some(format!("{}/{path}", connection.home)) }
}

#[cfg(test)]
mod tests;
