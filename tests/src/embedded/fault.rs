//! What an embedded device does wrong, and exactly when.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use russh::keys::PublicKey;

/// One thing that a device does wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It accepts connections and closes them at once.
    RefuseConnection,
    /// It accepts connections and never says a word.
    HangBeforeVersion,
    /// It never answers a question about a key or a login.
    HangBeforeLogin,
    /// It accepts logins and answers nothing that is asked after.
    HangAfterLogin,
    /// It closes the connection in the moment of a right login, in place of the answer.
    CutAtLogin,
    /// It refuses this key (a line as in authorized_keys), whatever the file says.
    RefuseKey(String),
    /// It refuses every key but this one.
    RefuseOthers(String),
    /// It refuses every key.
    RefuseEveryKey,
    /// It lies: to the question whether this key would do it says yes, and then refuses the login.
    QuestionOnly(String),
    /// It lies: it still accepts this key, which its file doesn't hold any more.
    AcceptKey(String),
    /// It waits so long before each answer.
    Slow(Duration),
    /// It has SFTP and refuses commands: the request itself fails, as with `ForceCommand internal-sftp`.
    SftpOnly,
    /// It has no SFTP subsystem.
    NoSftp,
    /// It refuses commands.
    RefuseExec,
    /// Something happens to a command.
    Exec(Which, Moment),
    /// Something happens to an SFTP request; its text is `rename OLD NEW`, `write PATH`,
    /// `posix-rename@openssh.com OLD NEW` and the like.
    Sftp(Which, Moment),
    /// Something happens to the next question about such a key, or to the login it leads to.
    Login(KeyIs, Moment),
}

/// Which keys are meant; each is a line as in authorized_keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyIs {
    /// This one.
    This(String),
    /// Every other one.
    Other(String),
}

/// Which commands or requests are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The n-th since the faults were set, beginning with 1.
    Number(u32),
    /// Those whose text contains this.
    Containing(String),
    /// The next whose text contains this; the fault is gone with it.
    Next(String),
    /// All of them.
    Every,
}

/// What happens to a command or request, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// The connection is cut and nothing is done.
    CutBefore,
    /// The connection is cut when so many bytes of its input have arrived: it sees the end of its input there, and runs
    /// on. An SFTP write writes so many of its bytes.
    CutAfterInput(u64),
    /// The connection is cut when so many bytes of its output are on their way; it runs on.
    CutAfterOutput(u64),
    /// The connection is cut so long after its beginning; it runs on to its end.
    CutDuring(Duration),
    /// The same, and it is killed in that moment with everything it has started: the device lost its power.
    PowerLost(Duration),
    /// It is done, and the connection is cut in place of the answer.
    CutUnanswered,
    /// It is done, and its channel is closed without output or exit status; the connection stays.
    AnswerLost,
    /// It is done and answered, and then the connection is cut.
    CutAfter,
    /// It isn't begun, and nothing is answered.
    Hang,
    /// A command waits until the device's faults are taken away and is done then, unless its connection is gone by that time.
    Held,
    /// It is done, and nothing is answered.
    HangAfter,
    /// It is refused.
    Refuse,
}

/// The faults of a device, and how often the things they count have happened.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    commands: u32,
    requests: u32,
}

/// What is said about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As the file says.
    Honest,
    /// Accepted.
    Accept,
    /// Refused.
    Refuse,
    /// Accepted in the question, refused in the login.
    QuestionOnly,
}

impl Faults {
    /// Sets the faults, and begins to count anew.
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { faults, ..State::default() };
    }

    /// Adds a fault, and counts on.
    pub(crate) fn add(&self, fault: Fault) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).faults.push(fault);
    }

    /// Whether the device has this fault.
    pub(crate) fn has(&self, fault: &Fault) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).faults.contains(fault)
    }

    /// How long it waits before each answer.
    pub(crate) fn delay(&self) -> Option<Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.faults.iter().find_map(|fault| match fault {
            Fault::Slow(delay) => Some(*delay),
            _ => None,
        })
    }

    /// Whether commands are held.
    pub(crate) fn holds(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.faults.iter().any(|fault| matches!(fault, Fault::Exec(_, Moment::Held)))
    }

    /// What is said about this key.
    pub(crate) fn verdict(&self, key: &PublicKey) -> Verdict {
        let is = |line: &str| same(line, key);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let found = state.faults.iter().find_map(|fault| match fault {
            Fault::RefuseEveryKey => Some(Verdict::Refuse),
            Fault::RefuseKey(line) if is(line) => Some(Verdict::Refuse),
            Fault::RefuseOthers(line) if !is(line) => Some(Verdict::Refuse),
            Fault::QuestionOnly(line) if is(line) => Some(Verdict::QuestionOnly),
            Fault::AcceptKey(line) if is(line) => Some(Verdict::Accept),
            _ => None,
        });
        found.unwrap_or(Verdict::Honest)
    }

    /// Counts a command, and gives its number and what happens to it.
    pub(crate) fn command(&self, text: &str) -> (u32, Option<Moment>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.commands += 1;
        let number = state.commands;
        let moment = state.meet(|fault| match fault {
            Fault::Exec(which, moment) if which.is(number, text) => Some((Some(which), moment.clone())),
            Fault::RefuseExec | Fault::SftpOnly => Some((None, Moment::Refuse)),
            _ => None,
        });
        (number, moment)
    }

    /// Counts an SFTP request, and gives what happens to it.
    pub(crate) fn request(&self, text: &str) -> Option<Moment> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests += 1;
        let number = state.requests;
        state.meet(|fault| match fault {
            Fault::Sftp(which, moment) if which.is(number, text) => Some((Some(which), moment.clone())),
            _ => None,
        })
    }

    /// Gives what happens to a question or login with this key, if it is one of these moments; it happens once.
    pub(crate) fn login(&self, key: &PublicKey, at: &[Moment]) -> Option<Moment> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let met = |fault: &Fault| matches!(fault, Fault::Login(is, moment) if is.is(key) && at.contains(moment));
        let index = state.faults.iter().position(met)?;
        match state.faults.remove(index) {
            Fault::Login(_, moment) => Some(moment),
            _ => None,
        }
    }
}

impl State {
    /// Finds what happens, and takes the fault away if it was meant for the next one only.
    fn meet(&mut self, moment_of: impl Fn(&Fault) -> Option<(Option<&Which>, Moment)>) -> Option<Moment> {
        let found = self.faults.iter().enumerate().find_map(|(index, fault)| {
            let (which, moment) = moment_of(fault)?;
            Some((index, matches!(which, Some(Which::Next(_))), moment))
        });
        let (index, once, moment) = found?;
        if once {
            self.faults.remove(index);
        }
        Some(moment)
    }
}

impl KeyIs {
    /// Whether this key is meant.
    pub(crate) fn is(&self, key: &PublicKey) -> bool {
        match self {
            Self::This(line) => same(line, key),
            Self::Other(line) => !same(line, key),
        }
    }
}

fn same(line: &str, key: &PublicKey) -> bool {
    PublicKey::from_openssh(line.trim()).is_ok_and(|parsed| parsed.key_data() == key.key_data())
}

impl Which {
    fn is(&self, number: u32, text: &str) -> bool {
        match self {
            Self::Number(wanted) => *wanted == number,
            Self::Containing(part) | Self::Next(part) => text.contains(part),
            Self::Every => true,
        }
    }
}
