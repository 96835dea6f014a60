//! One connection: who logs in, and what is asked for then.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use russh::keys::{HashAlg, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Error, MethodKind, MethodSet};
use tokio::net::TcpStream;

use super::authorized::{self, Grant};
use super::fault::{Fault, Moment, Verdict};
use super::hook::{Edge, Passing};
use super::record::{Event, With};
use super::{Allowed, Line, SecondFactor, Shared, exec, sftp};
use crate::files;

/// Whether a key is only asked about or logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Question,
    Login,
}

/// One connection to a device.
pub(crate) struct Visit {
    line: Line,
    from: String,
    grant: Grant,
    /// The right key was shown, and a second factor is still owed.
    key_shown: bool,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Visit {
    pub(crate) fn new(line: Line, from: String) -> Self {
        Self { line, from, grant: Grant::default(), key_shown: false, channels: HashMap::new() }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.line.shared
    }

    /// What comes before every answer to a question or login.
    async fn before_answer(&self) -> Result<(), Error> {
        self.shared().pause().await;
        if self.shared().faults.has(&Fault::HangBeforeLogin) {
            self.shared().hang().await;
            return Err(Error::Disconnect);
        }
        Ok(())
    }

    /// What comes in place of, or after, the last answer about a key.
    async fn answer(&self, key: &PublicKey) -> Result<(), Error> {
        self.shared().hooks.reach(Edge::After, Passing::Key(key));
        self.meet(key, &[Moment::CutUnanswered, Moment::HangAfter, Moment::CutAfter]).await
    }

    /// What happens to a question or login with this key, if it is one of these moments.
    async fn meet(&self, key: &PublicKey, at: &[Moment]) -> Result<(), Error> {
        match self.shared().faults.login(key, at) {
            None => Ok(()),
            Some(Moment::CutAfter) => {
                let line = self.line.clone();
                self.shared().spawn(async move {
                    tokio::time::sleep(exec::ON_THEIR_WAY).await;
                    line.cut();
                });
                Ok(())
            }
            Some(Moment::Hang | Moment::HangAfter) => {
                self.shared().hang().await;
                Err(Error::Disconnect)
            }
            Some(_) => {
                self.line.cut();
                Err(Error::Disconnect)
            }
        }
    }

    fn judge(&self, account: &str, key: &PublicKey, stage: Stage) -> Option<Grant> {
        let config = &self.shared().config;
        if account != config.account || config.key_login == Allowed::No {
            return None;
        }
        match (self.shared().faults.verdict(key), stage) {
            (Verdict::Accept, _) | (Verdict::QuestionOnly, Stage::Question) => Some(Grant::default()),
            (Verdict::Refuse, _) | (Verdict::QuestionOnly, Stage::Login) => None,
            (Verdict::Honest, _) => {
                let file = files::read_text(&self.shared().home.join(&config.authorized_keys)).unwrap_or_default();
                authorized::grant(&file, key, &self.from)
            }
        }
    }

    /// Answers a right login, and records it.
    fn accept(&self, account: &str, with: With) -> Result<Auth, Error> {
        if self.shared().faults.has(&Fault::CutAtLogin) {
            self.line.cut();
            return Err(Error::Disconnect);
        }
        self.shared().records.add(Event::LoggedIn { account: account.to_owned(), with });
        Ok(Auth::Accept)
    }

    fn refuse(&self, account: &str, with: With) -> Auth {
        self.shared().records.add(Event::Refused { account: account.to_owned(), with });
        Auth::reject()
    }

    /// What comes before every answer after the login.
    async fn after_login(&self) -> Result<(), Error> {
        self.shared().pause().await;
        if self.shared().faults.has(&Fault::HangAfterLogin) {
            self.shared().hang().await;
            return Err(Error::Disconnect);
        }
        Ok(())
    }

    /// Whether a password or prompt is a way in by itself at this point.
    fn other_way(&self, factor: SecondFactor) -> bool {
        match self.shared().config.second_factor {
            SecondFactor::None => true,
            needed => needed == factor && self.key_shown,
        }
    }

    fn run(&mut self, id: ChannelId, text: String, session: &mut Session) -> Result<(), Error> {
        self.shared().hooks.reach(Edge::Before, Passing::Command(&text));
        let (number, moment) = self.shared().faults.command(&text);
        self.shared().records.add(Event::Command { number, text: text.clone() });
        let channel = self.channels.remove(&id);
        match (moment, channel) {
            (Some(Moment::CutBefore), _) => {
                self.line.cut();
                Err(Error::Disconnect)
            }
            (Some(Moment::Refuse), channel) => {
                session.channel_failure(id)?;
                // The client may ask the same channel for something else.
                self.channels.extend(channel.map(|channel| (id, channel)));
                Ok(())
            }
            // A channel carries one command (RFC 4254 §6.5).
            (_, None) => session.channel_failure(id),
            (moment, Some(channel)) => {
                if moment != Some(Moment::Hang) {
                    session.channel_success(id)?;
                }
                let forced = self.grant.command.clone();
                let command = exec::Command { number, text, forced, moment };
                self.shared().spawn(exec::run(self.line.clone(), channel, session.handle(), command));
                Ok(())
            }
        }
    }
}

impl Handler for Visit {
    type Error = Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Error> {
        self.before_answer().await?;
        let config = &self.shared().config;
        if config.login_without_anything == Allowed::Yes && user == config.account {
            return self.accept(user, With::Nothing);
        }
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Error> {
        self.before_answer().await?;
        let config = &self.shared().config;
        let right = user == config.account && config.password.as_deref() == Some(password);
        if right && self.other_way(SecondFactor::Password) {
            return self.accept(user, With::Password);
        }
        Ok(self.refuse(user, With::Password))
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        self.before_answer().await?;
        let key = offer.public_key;
        self.shared().hooks.reach(Edge::Before, Passing::Key(key));
        self.meet(key, &[Moment::CutBefore, Moment::Hang]).await?;
        let accepted = self.judge(user, key, Stage::Question).is_some();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        self.shared().records.add(Event::Asked { account: user.to_owned(), fingerprint, accepted });
        if !accepted {
            self.answer(key).await?;
        }
        Ok(if accepted { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        let with = With::Key(key.public_key.fingerprint(HashAlg::Sha256).to_string());
        let grant = self.judge(user, key.public_key, Stage::Login);
        self.answer(key.public_key).await?;
        let Some(grant) = grant else {
            return Ok(self.refuse(user, with));
        };
        self.grant = grant;
        let next = match self.shared().config.second_factor {
            SecondFactor::None => return self.accept(user, with),
            SecondFactor::Prompts => MethodKind::KeyboardInteractive,
            SecondFactor::Password => MethodKind::Password,
        };
        self.key_shown = true;
        Ok(Auth::Reject { proceed_with_methods: Some(MethodSet::from([next].as_slice())), partial_success: true })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Error> {
        self.before_answer().await?;
        let config = &self.shared().config;
        let Some(response) = response else {
            let prompts: Vec<(Cow<'static, str>, bool)> =
                config.prompts.iter().map(|(question, _)| (question.clone().into(), false)).collect();
            return Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts: prompts.into() });
        };
        let answers: Vec<Vec<u8>> = response.map(|answer| answer.to_vec()).collect();
        let right =
            !answers.is_empty() && answers.iter().eq(config.prompts.iter().map(|(_, answer)| answer.as_bytes()));
        if right && user == config.account && self.other_way(SecondFactor::Prompts) {
            return self.accept(user, With::KeyboardInteractive);
        }
        Ok(self.refuse(user, With::KeyboardInteractive))
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, Error> {
        Ok(self.shared().config.banner.clone())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.after_login().await?;
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host_to_connect: &str,
        port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.after_login().await?;
        let address = match host_to_connect {
            "localhost" => Some(Ipv4Addr::LOCALHOST),
            other => other.parse::<Ipv4Addr>().ok(),
        };
        // The fleet never leaves this machine.
        let (Some(address), Ok(port)) = (address.filter(Ipv4Addr::is_loopback), u16::try_from(port_to_connect)) else {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        };
        match TcpStream::connect((IpAddr::from(address), port)).await {
            Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            Ok(mut stream) => {
                self.shared().records.add(Event::Forwarded { port });
                reply.accept().await;
                self.shared().spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut channel.into_stream()).await;
                });
            }
        }
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Error> {
        self.after_login().await?;
        self.run(id, String::from_utf8_lossy(data).into_owned(), session)
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> Result<(), Error> {
        self.after_login().await?;
        match self.grant.command.as_deref() {
            None | Some("internal-sftp") => {}
            // sshd runs the forced command in place of the subsystem, too.
            Some(_) => return self.run(id, name.to_owned(), session),
        }
        if name != "sftp" || self.shared().faults.has(&Fault::NoSftp) {
            return session.channel_failure(id);
        }
        let Some(channel) = self.channels.remove(&id) else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let handler = sftp::Sftp::new(self.line.clone(), session.handle(), id);
        russh_sftp::server::run(channel.into_stream(), handler).await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _term: &str,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        // There is no terminal here; real devices refuse one as well (`PermitTTY no`).
        session.channel_failure(id)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Error> {
        session.channel_failure(id)
    }

    async fn env_request(&mut self, id: ChannelId, _: &str, _: &str, session: &mut Session) -> Result<(), Error> {
        session.channel_failure(id)
    }
}
