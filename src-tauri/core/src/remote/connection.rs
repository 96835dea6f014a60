//! A connection up to the login: key exchange, pinned host key, jump devices, questions.

mod dial;
mod observer;
mod password;
mod pen;

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Instant,
};

use russh::{
    MethodKind, Preferred,
    client::{self, Handle},
    keys::{Algorithm, EcdsaCurve, HashAlg},
};
use secrecy::ExposeSecret;
use tokio::time::timeout;

pub(super) use self::observer::{HostKeys, Observer, Seen};
use self::{
    dial::{Listening, dial, handshake_error},
    pen::{Pen, PenError},
};
use super::{
    Answer, During, Jump, RemoteError, Route, Secret, Session, Target, Timeouts, Unknown,
    answer::{Ending, Progress, interpret},
};
use crate::key::{PrivateKey, PublicKey};

/// Opens connections, and keeps the ones to jump devices so that what goes through a jump device shares one.
#[derive(Debug)]
pub struct Connector {
    timeouts: Timeouts,
    jumps: tokio::sync::Mutex<HashMap<JumpName, Arc<Session>>>,
}

/// What tells one jump connection from another: address, port and account.
type JumpName = (String, u16, String);

impl Connector {
    /// Makes a connector with these timeouts.
    pub fn new(timeouts: Timeouts) -> Self {
        Self { timeouts, jumps: tokio::sync::Mutex::default() }
    }

    /// The timeouts in force.
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Connects to a device and goes through the key exchange; no authentication is tried.
    ///
    /// # Errors
    ///
    /// A device without a pinned host key is not contacted at all; a changed host key ends the connection before any
    /// authentication. Otherwise whatever keeps the key exchange from its end, also at the jump device.
    pub async fn connect(&self, route: &Route) -> Result<Connection, RemoteError> {
        let pinned = &route.target.host_keys;
        if pinned.is_empty() {
            return Err(RemoteError::HostKeyUnknown { device: route.target.name.clone() });
        }
        let algorithms = host_key_algorithms(pinned.iter().map(PublicKey::key_type));
        self.open(route, algorithms, HostKeys::Pinned(pinned.clone())).await
    }

    /// Connects with the given host key algorithms only.
    pub(super) async fn open(
        &self,
        route: &Route,
        algorithms: Vec<Algorithm>,
        allowed: HostKeys,
    ) -> Result<Connection, RemoteError> {
        let target = &route.target;
        let seen = Arc::new(Mutex::new(Seen { allowed, ..Seen::default() }));
        let config = Arc::new(client::Config {
            preferred: Preferred { key: algorithms.into(), ..Preferred::default() },
            nodelay: true,
            ..client::Config::default()
        });
        let observer = Observer { seen: Arc::clone(&seen) };
        let limit = self.timeouts.connect;
        let version_seen = Arc::new(AtomicBool::new(false));
        let mut local_address = None;
        let (handle, jump) = match &route.jump {
            None => {
                let stream = dial(target, limit).await?;
                local_address = stream.local_addr().ok().map(|address| address.ip().to_canonical());
                let stream = Listening { stream, version_seen: Arc::clone(&version_seen) };
                (timeout(limit, client::connect_stream(config, stream, observer)).await, None)
            }
            Some(jump) => {
                let session = self.jump_session(jump).await?;
                let stream = match session.direct_tcpip(target, limit).await {
                    Ok(stream) => stream,
                    Err(error @ (RemoteError::Timeout { .. } | RemoteError::Cut { .. })) => {
                        // It may be dead without having said so; the next try gets a connection of its own.
                        self.forget_jump(jump, &session).await;
                        return Err(error);
                    }
                    Err(error) => return Err(error),
                };
                let stream = Listening { stream, version_seen: Arc::clone(&version_seen) };
                (timeout(limit, client::connect_stream(config, stream, observer)).await, Some(session))
            }
        };
        let handle = match handle {
            Err(_) => {
                let during = During::SettingUp;
                return Err(RemoteError::Timeout { device: target.name.clone(), during, after: limit });
            }
            Ok(Err(error)) => return Err(handshake_error(target, error, &seen, &version_seen)),
            Ok(Ok(handle)) => handle,
        };
        Ok(Connection {
            handle,
            seen,
            target: target.clone(),
            timeouts: self.timeouts,
            opened: Instant::now(),
            local_address,
            _jump: jump,
            methods: None,
        })
    }

    /// Lets go of a jump device's connection, unless another one has taken its place.
    async fn forget_jump(&self, jump: &Jump, session: &Arc<Session>) {
        let mut jumps = self.jumps.lock().await;
        jumps.retain(|name, known| !(*name == jump_name(jump) && Arc::ptr_eq(known, session)));
    }

    /// A logged-in connection to a jump device: the one that stands, or a new one.
    async fn jump_session(&self, jump: &Jump) -> Result<Arc<Session>, RemoteError> {
        let name = jump_name(jump);
        let mut jumps = self.jumps.lock().await;
        if let Some(session) = jumps.get(&name)
            && session.is_open()
        {
            return Ok(Arc::clone(session));
        }
        let mut secrets = jump.secrets.as_slice();
        let session = loop {
            let connection = Box::pin(self.connect(&jump.route)).await?;
            match connection.enter(&jump.username, secrets).await? {
                Entry::Entered(session, _) => break Arc::<Session>::from(session),
                Entry::HungUp(next) => secrets = secrets.get(next..).unwrap_or_default(),
            }
        };
        jumps.insert(name, Arc::clone(&session));
        Ok(session)
    }
}

fn jump_name(jump: &Jump) -> JumpName {
    let target = &jump.route.target;
    (target.address.clone(), target.port, jump.username.clone())
}

/// The host key algorithms to offer for keys of these types (RFC 8332 for RSA: never with SHA-1).
pub(super) fn host_key_algorithms<'a>(key_types: impl IntoIterator<Item = &'a str>) -> Vec<Algorithm> {
    let mut algorithms = Vec::new();
    for key_type in key_types {
        let of_type: &[Algorithm] = match key_type {
            "ssh-ed25519" => &[Algorithm::Ed25519],
            "ecdsa-sha2-nistp256" => &[Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }],
            "ecdsa-sha2-nistp384" => &[Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 }],
            "ecdsa-sha2-nistp521" => &[Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 }],
            "ssh-rsa" => {
                &[Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, Algorithm::Rsa { hash: Some(HashAlg::Sha256) }]
            }
            _ => &[],
        };
        for algorithm in of_type {
            if !algorithms.contains(algorithm) {
                algorithms.push(algorithm.clone());
            }
        }
    }
    algorithms
}

/// A connection after the key exchange and before the login.
pub struct Connection {
    pub(super) handle: Handle<Observer>,
    pub(super) seen: Arc<Mutex<Seen>>,
    pub(super) target: Target,
    pub(super) timeouts: Timeouts,
    pub(super) opened: Instant,
    local_address: Option<IpAddr>,
    /// Held so that the jump device's connection stands as long as this one.
    _jump: Option<Arc<Session>>,
    methods: Option<Vec<MethodKind>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("device", &self.target.name).finish_non_exhaustive()
    }
}

/// How a login ended.
#[derive(Debug)]
pub enum LogIn {
    /// The account is entered.
    Accepted(Box<Session>),
    /// The server's answer was something else; the connection is given back where it can be used further.
    Not(Answer, Option<Box<Connection>>),
}

/// How an entry with several secrets went.
#[derive(Debug)]
pub enum Entry {
    /// The account is entered, with the secret of this index.
    Entered(Box<Session>, usize),
    /// The server hung up after the refusal of the secrets before this index, as `MaxAuthTries 1` does; the others are for
    /// a connection of their own.
    HungUp(usize),
}

impl Connection {
    /// The server's version line, such as `SSH-2.0-OpenSSH_9.2p1`.
    pub fn server_version(&self) -> String {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).version.clone()
    }

    /// When the key exchange was through.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// This machine's address of the connection; none through a jump device, whose address the device sees.
    pub fn local_address(&self) -> Option<IpAddr> {
        self.local_address
    }

    /// The host key that was shown, which is one of the pinned ones.
    pub fn host_key(&self) -> Option<PublicKey> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).host_key.clone()
    }

    /// Asks for nothing (`none`, RFC 4252, section 5.2), to learn which methods the account has.
    ///
    /// # Errors
    ///
    /// [`RemoteError::NoKeyNeeded`] where nothing is enough; [`RemoteError::Unclear`] without an answer.
    pub async fn methods(&mut self, username: &str) -> Result<Vec<MethodKind>, RemoteError> {
        let result = timeout(self.timeouts.stage, self.handle.authenticate_none(username)).await.ok();
        let (answer, methods) = interpret(result, Progress::Asked, self.ending());
        let (device, username) = (self.target.name.clone(), username.to_owned());
        match answer {
            Answer::Accepted => Err(RemoteError::NoKeyNeeded { device, username }),
            Answer::Refused | Answer::Partial => {
                self.methods = Some(methods.clone());
                Ok(methods)
            }
            Answer::Unknown(cause) => Err(RemoteError::Unclear { device, username, cause }),
        }
    }

    /// Asks whether a public key would be accepted (RFC 4252, section 7); no private key is needed, and none used.
    ///
    /// After an unknown answer the connection must not be asked again: the next question would get this one's answer.
    /// So it is closed then.
    pub async fn ask(mut self, username: &str, key: &PublicKey) -> (Answer, Option<Self>) {
        let (answer, _) = self.offer(username, key, None).await;
        match answer {
            Answer::Unknown(_) => (answer, None),
            _ => {
                let open = self.ending() == Ending::Open && !self.handle.is_closed();
                (answer, open.then_some(self))
            }
        }
    }

    /// Logs in with one key or password.
    pub async fn log_in(mut self, username: &str, secret: &Secret) -> LogIn {
        let (answer, methods) = match secret {
            Secret::Key(key) => self.offer(username, key.public_key(), Some(Arc::clone(key))).await,
            Secret::Password(password) => self.offer_password(username, password.expose_secret()).await,
        };
        match answer {
            Answer::Accepted => LogIn::Accepted(Box::new(Session::new(self, username))),
            Answer::Unknown(_) => LogIn::Not(answer, None),
            Answer::Refused | Answer::Partial => {
                if !methods.is_empty() {
                    self.methods = Some(methods);
                }
                let open = self.ending() == Ending::Open && !self.handle.is_closed();
                LogIn::Not(answer, open.then(|| Box::new(self)))
            }
        }
    }

    /// Logs in with the first of these secrets that is accepted, and tells which one it was.
    ///
    /// All are tried on this one connection as long as it stands, so that refused ones cost the account and our address
    /// nothing when the last one is accepted.
    ///
    /// # Errors
    ///
    /// [`RemoteError::AuthenticationRefused`] when all are refused; [`RemoteError::SecondFactor`];
    /// [`RemoteError::Unclear`].
    pub async fn enter(self, username: &str, secrets: &[Secret]) -> Result<Entry, RemoteError> {
        let device = self.target.name.clone();
        let mut connection = Some(self);
        for (index, secret) in secrets.iter().enumerate() {
            let Some(current) = connection.take() else {
                return Ok(Entry::HungUp(index));
            };
            match current.log_in(username, secret).await {
                LogIn::Accepted(session) => return Ok(Entry::Entered(session, index)),
                LogIn::Not(Answer::Refused | Answer::Accepted, rest) => connection = rest.map(|rest| *rest),
                LogIn::Not(Answer::Partial, _) => {
                    return Err(RemoteError::SecondFactor { device, username: username.to_owned() });
                }
                LogIn::Not(Answer::Unknown(cause), _) => {
                    return Err(RemoteError::Unclear { device, username: username.to_owned(), cause });
                }
            }
        }
        Err(RemoteError::AuthenticationRefused { device, username: username.to_owned() })
    }

    fn ending(&self) -> Ending {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (seen.disconnect, seen.ended) {
            (true, _) => Ending::Disconnect,
            (false, true) => Ending::Bare,
            (false, false) => Ending::Open,
        }
    }

    async fn offer(
        &mut self,
        username: &str,
        key: &PublicKey,
        private: Option<Arc<PrivateKey>>,
    ) -> (Answer, Vec<MethodKind>) {
        let asking = private.is_none();
        let mut pen = Pen { private, offered: false };
        let limit = self.timeouts.stage;
        let hash = match self.rsa_hash(key).await {
            Ok(hash) => hash,
            Err(answer) => return (answer, Vec::new()),
        };
        let request = self.handle.authenticate_publickey_with(username, key.as_ssh_key().clone(), hash, &mut pen);
        let result = timeout(limit, request).await;
        let progress = if pen.offered { Progress::Offered } else { Progress::Asked };
        match result {
            Err(_) => (Answer::Unknown(Unknown::Timeout), Vec::new()),
            Ok(Ok(result)) => interpret(Some(Ok(result)), progress, self.ending()),
            // The question was answered with "this key would do"; the signature was withheld on purpose.
            Ok(Err(PenError::Withheld)) if asking => (Answer::Accepted, Vec::new()),
            Ok(Err(PenError::Withheld | PenError::Send)) => {
                interpret(Some(Err(russh::Error::SendError)), progress, self.ending())
            }
            Ok(Err(PenError::Sign)) => (Answer::Unknown(Unknown::NotAsked), Vec::new()),
        }
    }

    /// The hash to sign with: the best the server names (RFC 8308), else SHA-256, never SHA-1.
    ///
    /// A question for an RSA key without a hash is refused though the key stands in the file.
    async fn rsa_hash(&self, key: &PublicKey) -> Result<Option<HashAlg>, Answer> {
        if key.key_type() != "ssh-rsa" {
            return Ok(None);
        }
        match timeout(self.timeouts.stage, self.handle.best_supported_rsa_hash()).await {
            Err(_) => Err(Answer::Unknown(Unknown::Timeout)),
            Ok(Ok(Some(Some(hash)))) => Ok(Some(hash)),
            Ok(_) => Ok(Some(HashAlg::Sha256)),
        }
    }
}
