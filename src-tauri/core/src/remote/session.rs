//! A logged-in connection: runs programs, opens SFTP, forwards to devices behind it.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use russh::{ChannelMsg, ChannelStream, client::Msg};
use secrecy::SecretString;
use tokio::time::{sleep, timeout};

use super::{
    Connection, During, RemoteError, Target, Timeouts,
    program::{Conversation, ElevationError, Program, Ready, Say, Stream},
};
use crate::key::PublicKey;

/// For how long an "open failed" is tried again: under `MaxSessions 1` it comes right after a close.
const SESSION_PATIENCE: Duration = Duration::from_secs(2);

/// For how long more output is waited for once the program has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// No answer of ours is larger: a file of 16 MiB and what is said about it.
const ANSWER_LIMIT: usize = 20 * 1024 * 1024;

/// A connection that is logged in.
pub struct Session {
    connection: Connection,
    username: String,
    logged_in: Instant,
    /// Whether a channel was opened on a server that allows one to a connection.
    spent: AtomicBool,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("device", &self.connection.target.name)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What a program came to.
#[derive(Debug)]
pub enum Ran {
    /// It ran; this is its standard output, for the program's own parser.
    Answered(Vec<u8>),
    /// `sudo` or `su` did not let it run.
    NotElevated(ElevationError),
}

impl Session {
    pub(super) fn new(connection: Connection, username: &str) -> Self {
        Self { connection, username: username.to_owned(), logged_in: Instant::now(), spent: AtomicBool::new(false) }
    }

    /// The account that is logged in.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// When the login was accepted.
    pub fn logged_in(&self) -> Instant {
        self.logged_in
    }

    /// When the connection's key exchange was through.
    pub fn opened(&self) -> Instant {
        self.connection.opened
    }

    /// The device.
    pub fn target(&self) -> &Target {
        &self.connection.target
    }

    /// How long to wait for the device.
    pub(super) fn timeouts(&self) -> Timeouts {
        self.connection.timeouts
    }

    /// The server's version line.
    pub fn server_version(&self) -> String {
        self.connection.server_version()
    }

    /// The host key that was shown.
    pub fn host_key(&self) -> Option<PublicKey> {
        self.connection.host_key()
    }

    /// Whether the connection still stands, as far as this side knows, and can open a channel.
    pub fn is_open(&self) -> bool {
        !self.connection.handle.is_closed() && !self.spent.load(Ordering::Relaxed)
    }

    /// Whether the server opens one channel to a connection and ends the connection at the second, as tinysshd does.
    pub fn has_one_channel(&self) -> bool {
        self.server_version().to_ascii_lowercase().contains("tinyssh")
    }

    /// Says goodbye, so that the server notes an orderly end.
    pub async fn close(self) {
        let goodbye = self.connection.handle.disconnect(russh::Disconnect::ByApplication, "", "");
        let _ = timeout(Duration::from_secs(1), goodbye).await;
    }

    /// Runs a program with its input and gives what it answered.
    ///
    /// # Errors
    ///
    /// The server opens no session or runs nothing; the connection is cut; the stage timeout passes. In the last two cases
    /// the program may have done its work, or may still do it.
    pub async fn run(&self, program: &Program, password: Option<SecretString>) -> Result<Ran, RemoteError> {
        let limit = self.connection.timeouts.stage;
        let ready = AtomicBool::new(program.ready() == Ready::NoInput);
        match timeout(limit, self.converse(program, password, &ready)).await {
            Ok(ran) => ran,
            Err(_) if !ready.load(Ordering::Relaxed) => {
                Err(RemoteError::NotReady { device: self.connection.target.name.clone(), after: limit })
            }
            Err(_) => Err(RemoteError::Timeout {
                device: self.connection.target.name.clone(),
                during: During::Program,
                after: limit,
            }),
        }
    }

    async fn converse(
        &self,
        program: &Program,
        password: Option<SecretString>,
        ready: &AtomicBool,
    ) -> Result<Ran, RemoteError> {
        let (device, username) = (self.connection.target.name.clone(), self.username.clone());
        let cut = |_| RemoteError::Cut { device: device.clone(), during: During::Program };
        let mut channel = self.open_channel().await?;
        channel.exec(true, program.command()).await.map_err(cut)?;
        let (mut conversation, first) = Conversation::begin(program, password);
        let mut say = first;
        let mut heard = 0_usize;
        let mut refused = false;
        let mut ended = false;
        loop {
            for word in say.drain(..) {
                // The program may have ended without reading all; its answer, or the lack of one, tells.
                let sent = match word {
                    Say::Bytes(bytes) => channel.data_bytes(bytes.to_vec()).await,
                    Say::End => channel.eof().await,
                };
                if sent.is_err() {
                    break;
                }
            }
            // What an rc file left behind may hold the channel open for ever; what the program said is on its way by then.
            let word = match ended {
                false => channel.wait().await,
                true => timeout(LAST_WORDS, channel.wait()).await.unwrap_or(None),
            };
            match word {
                Some(ChannelMsg::Data { data }) => {
                    heard = heard.saturating_add(data.len());
                    if heard > ANSWER_LIMIT {
                        return Err(RemoteError::Cut { device, during: During::Endless });
                    }
                    say = conversation.hear(Stream::Out, &data);
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => say = conversation.hear(Stream::Error, &data),
                Some(ChannelMsg::Failure) => refused = true,
                Some(ChannelMsg::Close | ChannelMsg::ExitStatus { .. } | ChannelMsg::ExitSignal { .. }) => ended = true,
                Some(_) => {}
                None => break,
            }
            if conversation.is_ready() {
                ready.store(true, Ordering::Relaxed);
            }
            if refused {
                return Err(RemoteError::NoPrograms { device, username });
            }
        }
        if !ended {
            return Err(RemoteError::Cut { device, during: During::Program });
        }
        Ok(match conversation.finish() {
            Ok(output) => Ran::Answered(output),
            Err(cause) => Ran::NotElevated(cause),
        })
    }

    async fn open_channel(&self) -> Result<russh::Channel<Msg>, RemoteError> {
        let device = &self.connection.target.name;
        let started = Instant::now();
        loop {
            match self.connection.handle.channel_open_session().await {
                Ok(channel) => {
                    self.spent.store(self.has_one_channel(), Ordering::Relaxed);
                    return Ok(channel);
                }
                Err(russh::Error::ChannelOpenFailure(_)) if started.elapsed() < SESSION_PATIENCE => {
                    sleep(Duration::from_millis(100)).await;
                }
                Err(russh::Error::ChannelOpenFailure(_)) => {
                    return Err(RemoteError::NoSession { device: device.clone(), username: self.username.clone() });
                }
                Err(_) => {
                    return Err(RemoteError::Cut { device: device.clone(), during: During::OpeningSession });
                }
            }
        }
    }

    /// Opens the SFTP subsystem.
    pub(super) async fn sftp_stream(&self) -> Result<ChannelStream<Msg>, RemoteError> {
        let (device, username) = (self.connection.target.name.clone(), self.username.clone());
        let limit = self.connection.timeouts.stage;
        let open = async {
            let mut channel = self.open_channel().await?;
            let cut = |_| RemoteError::Cut { device: device.clone(), during: During::OpeningSftp };
            channel.request_subsystem(true, "sftp").await.map_err(cut)?;
            loop {
                match channel.wait().await {
                    Some(ChannelMsg::Success) => return Ok(channel.into_stream()),
                    Some(ChannelMsg::Failure | ChannelMsg::Close | ChannelMsg::Eof) => {
                        return Err(RemoteError::NoSftp { device: device.clone(), username: username.clone() });
                    }
                    Some(_) => {}
                    None => {
                        return Err(RemoteError::Cut { device: device.clone(), during: During::OpeningSftp });
                    }
                }
            }
        };
        match timeout(limit, open).await {
            Ok(opened) => opened,
            Err(_) => Err(RemoteError::Timeout { device: device.clone(), during: During::OpeningSftp, after: limit }),
        }
    }

    /// Opens a stream from this device to another one (RFC 4254, section 7.2).
    pub(super) async fn direct_tcpip(
        &self,
        target: &Target,
        limit: Duration,
    ) -> Result<ChannelStream<Msg>, RemoteError> {
        let address = format!("{}:{}", target.address, target.port);
        let open = self.connection.handle.channel_open_direct_tcpip(
            target.address.as_str(),
            u32::from(target.port),
            "127.0.0.1",
            0,
        );
        match timeout(limit, open).await {
            Err(_) => {
                let during = During::Jumping;
                Err(RemoteError::Timeout { device: target.name.clone(), during, after: limit })
            }
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                let source = std::io::Error::other(format!(
                    "the jump device \"{}\" could not connect ({reason:?})",
                    self.connection.target.name
                ));
                Err(RemoteError::Unreachable { device: target.name.clone(), address, source })
            }
            Ok(Err(_)) => {
                Err(RemoteError::Cut { device: self.connection.target.name.clone(), during: During::Jumping })
            }
            Ok(Ok(channel)) => Ok(channel.into_stream()),
        }
    }
}
