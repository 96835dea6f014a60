//! What is sent when: the talk with a program over its three streams.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{ElevationError, Program, Ready};

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// What to do on standard input, in the given order.
#[derive(Clone, PartialEq, Eq)]
pub enum Say {
    /// Send these bytes; they may be a password.
    Bytes(Zeroizing<Vec<u8>>),
    /// Close standard input.
    End,
}

impl fmt::Debug for Say {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::End => f.write_str("End"),
        }
    }
}

/// How much of standard error is kept to find sudo's cause in.
const HEARD: usize = 16 * 1024;

/// The state of the talk with one program; does no I/O itself.
///
/// The password is sent only when the mark appears on standard error: where sudo does not ask, it would be taken as data.
/// The data is sent only after the framed "ready", and standard input is closed behind it.
pub struct Conversation {
    ready_line: Vec<u8>,
    mark: Option<String>,
    password: Option<SecretString>,
    input: Option<Zeroizing<Vec<u8>>>,
    is_ready: bool,
    /// Whether the data need not wait for the program's "ready".
    at_once: bool,
    ended: bool,
    asked: u32,
    out: Vec<u8>,
    error: Vec<u8>,
    /// Where on standard error the next mark may begin.
    error_from: usize,
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("is_ready", &self.is_ready)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Conversation {
    /// Begins the talk with a program whose data is known; the second part is what to do at once.
    pub fn begin(program: &Program, password: Option<SecretString>) -> (Self, Vec<Say>) {
        let mut conversation = Self::wait(program, password);
        let say = conversation.give(program.input().to_vec());
        (conversation, say)
    }

    /// Begins the talk with a program that is started ahead; its data is given later with [`Self::give`].
    pub fn wait(program: &Program, password: Option<SecretString>) -> Self {
        Self {
            ready_line: format!("KW-{} ready\n", program.id()).into_bytes(),
            mark: program.mark().map(str::to_owned),
            password,
            input: None,
            is_ready: false,
            at_once: program.ready() == Ready::NoInput && program.mark().is_none(),
            ended: false,
            asked: 0,
            out: Vec::new(),
            error: Vec::new(),
            error_from: 0,
        }
    }

    /// Gives the data: it is sent now if the program is ready, else as soon as it is.
    pub fn give(&mut self, input: Vec<u8>) -> Vec<Say> {
        self.input = Some(Zeroizing::new(input));
        self.pour()
    }

    /// Whether the program has said that it is ready for its data.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Takes bytes that came and answers what to do.
    pub fn hear(&mut self, stream: Stream, bytes: &[u8]) -> Vec<Say> {
        match stream {
            Stream::Out => {
                self.out.extend_from_slice(bytes);
                if !self.is_ready && self.stands_in_out() {
                    self.is_ready = true;
                    // From here on the input is data: a password must no longer be sent.
                    self.password = None;
                    return self.pour();
                }
                Vec::new()
            }
            Stream::Error => self.hear_error(bytes),
        }
    }

    /// What came on standard output, for the program's own `parse_…`.
    ///
    /// # Errors
    /// The program never was ready, and sudo or su said why.
    pub fn finish(self) -> Result<Vec<u8>, ElevationError> {
        if self.is_ready {
            return Ok(self.out);
        }
        if self.asked > 1 {
            return Err(ElevationError::WrongPassword);
        }
        match ElevationError::of(&String::from_utf8_lossy(&self.error)) {
            Some(cause) => Err(cause),
            None => Ok(self.out),
        }
    }

    fn stands_in_out(&self) -> bool {
        self.out.windows(self.ready_line.len()).enumerate().any(|(position, window)| {
            window == self.ready_line && (position == 0 || self.out.get(position - 1) == Some(&b'\n'))
        })
    }

    fn hear_error(&mut self, bytes: &[u8]) -> Vec<Say> {
        let room = HEARD.saturating_sub(self.error.len());
        self.error.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let Some(mark) = self.mark.as_deref().filter(|_| !self.is_ready) else { return Vec::new() };
        let mut say = Vec::new();
        while let Some(position) = self
            .error
            .get(self.error_from..)
            .and_then(|rest| rest.windows(mark.len()).position(|window| window == mark.as_bytes()))
        {
            self.error_from += position + mark.len();
            self.asked += 1;
            match self.password.take() {
                Some(password) if !self.ended => {
                    say.push(Say::Bytes(Zeroizing::new(format!("{}\n", password.expose_secret()).into_bytes())));
                }
                _ if !self.ended => {
                    self.ended = true;
                    self.input = None;
                    say.push(Say::End);
                }
                _ => {}
            }
        }
        say
    }

    fn pour(&mut self) -> Vec<Say> {
        if !(self.is_ready || self.at_once) || self.ended {
            return Vec::new();
        }
        match self.input.take() {
            Some(input) => {
                self.ended = true;
                if input.is_empty() { vec![Say::End] } else { vec![Say::Bytes(input), Say::End] }
            }
            None => Vec::new(),
        }
    }
}
