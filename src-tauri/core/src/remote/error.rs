//! Why a device could not be reached, entered or worked on.

use std::{io, time::Duration};

use crate::{
    error::{Class, Explain, sentence::phrases},
    key::PublicKey,
    remote::answer::Unknown,
};

phrases! {
    /// What was under way when no answer came any more.
    During {
        /// The device is dialled.
        Connecting = "connecting", "connecting";
        /// It is dialled through the device before it.
        Jumping = "jumping", "connecting through the jump device";
        /// The key exchange.
        SettingUp = "setting-up", "the connection was being set up";
        /// A session channel is asked for.
        OpeningSession = "opening-session", "a session was being opened";
        /// The SFTP subsystem is asked for.
        OpeningSftp = "opening-sftp", "SFTP was being opened";
        /// A file is read or written over SFTP.
        Sftp = "sftp", "a file was worked on over SFTP";
        /// A program runs on the device.
        Program = "program", "a program ran there";
        /// A program says more than any of ours does.
        Endless = "endless", "a program's answer did not end";
    }
}

/// Why a device could not be reached or entered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// No route, no such name, or the network is down.
    #[error("The device \"{device}\" can't be reached at {address}: {source}.")]
    Unreachable {
        /// The device's name.
        device: String,
        /// Host and port.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Nothing listens on the port.
    #[error("The device \"{device}\" refuses connections at {address}.")]
    ConnectionRefused {
        /// The device's name.
        device: String,
        /// Host and port.
        address: String,
    },
    /// No answer in time.
    #[error("The device \"{device}\" did not answer within {} s while {during}.", .after.as_secs_f32())]
    Timeout {
        /// The device's name.
        device: String,
        /// What was awaited.
        during: During,
        /// The timeout.
        after: Duration,
    },
    /// A program was started and did not come to the point where it takes its data, which was never sent.
    #[error("The program on the device \"{device}\" was not ready for its data within {} s.", .after.as_secs_f32())]
    NotReady {
        /// The device's name.
        device: String,
        /// The timeout.
        after: Duration,
    },
    /// The connection ended in the middle.
    #[error("The connection to the device \"{device}\" was cut while {during}.")]
    Cut {
        /// The device's name.
        device: String,
        /// What was under way.
        during: During,
    },
    /// The server closed the connection before it said its version.
    #[error("The device \"{device}\" closed the connection before it began.")]
    TurnedAway {
        /// The device's name.
        device: String,
    },
    /// The device has no pinned host key.
    #[error("The host key of the device \"{device}\" is not pinned.")]
    HostKeyUnknown {
        /// The device's name.
        device: String,
    },
    /// The device shows another host key than the pinned one.
    #[error("The device \"{device}\" shows a changed host key, {}.", offered.fingerprint())]
    HostKeyChanged {
        /// The device's name.
        device: String,
        /// What it shows.
        offered: Box<PublicKey>,
    },
    /// The server offers none of the pinned host key types or shares no cipher with us.
    #[error("The device \"{device}\" and Keywheel have no common {kind} algorithm.")]
    NoCommonAlgorithm {
        /// The device's name.
        device: String,
        /// Which algorithm (key exchange, host key, cipher…).
        kind: String,
    },
    /// What listens there does not speak SSH, or breaks its rules.
    #[error("What answers at the device \"{device}\" does not speak SSH correctly.")]
    Protocol {
        /// The device's name.
        device: String,
        /// What russh made of it.
        source: russh::Error,
    },
    /// The account could not be entered with what was offered.
    #[error("The device \"{device}\" refuses the login of \"{username}\".")]
    AuthenticationRefused {
        /// The device's name.
        device: String,
        /// The account.
        username: String,
    },
    /// The server wants something more after the key or password was accepted.
    #[error("The device \"{device}\" asks \"{username}\" for a second factor.")]
    SecondFactor {
        /// The device's name.
        device: String,
        /// The account.
        username: String,
    },
    /// The server lets the account in without any key, so that nothing could be proven.
    #[error("The device \"{device}\" lets \"{username}\" in without any key.")]
    NoKeyNeeded {
        /// The device's name.
        device: String,
        /// The account.
        username: String,
    },
    /// The server's answer to a login stayed unknown.
    #[error("The device \"{device}\" gave no clear answer to the login of \"{username}\": {cause}.")]
    Unclear {
        /// The device's name.
        device: String,
        /// The account.
        username: String,
        /// Why it is unclear.
        cause: Unknown,
    },
    /// The server would not open a session channel.
    #[error("The device \"{device}\" opens no session for \"{username}\".")]
    NoSession {
        /// The device's name.
        device: String,
        /// The account.
        username: String,
    },
    /// The account can't run programs.
    #[error("The device \"{device}\" runs no programs for \"{username}\".")]
    NoPrograms {
        /// The device's name.
        device: String,
        /// The account.
        username: String,
    },
    /// The account has no SFTP.
    #[error("The device \"{device}\" offers no SFTP to \"{username}\".")]
    NoSftp {
        /// The device's name.
        device: String,
        /// The account.
        username: String,
    },
}

impl RemoteError {
    /// Whether another try may well end differently.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::ConnectionRefused { .. }
                | Self::Timeout { .. }
                | Self::NotReady { .. }
                | Self::Cut { .. }
                | Self::TurnedAway { .. }
                | Self::Unclear { .. }
        )
    }

    fn device(&self) -> &str {
        match self {
            Self::Unreachable { device, .. }
            | Self::ConnectionRefused { device, .. }
            | Self::Timeout { device, .. }
            | Self::NotReady { device, .. }
            | Self::Cut { device, .. }
            | Self::TurnedAway { device }
            | Self::HostKeyUnknown { device }
            | Self::HostKeyChanged { device, .. }
            | Self::NoCommonAlgorithm { device, .. }
            | Self::Protocol { device, .. }
            | Self::AuthenticationRefused { device, .. }
            | Self::SecondFactor { device, .. }
            | Self::NoKeyNeeded { device, .. }
            | Self::Unclear { device, .. }
            | Self::NoSession { device, .. }
            | Self::NoPrograms { device, .. }
            | Self::NoSftp { device, .. } => device,
        }
    }
}

impl Explain for RemoteError {
    crate::sentences! {
        Unreachable { device, address, source } => "unreachable",
        ConnectionRefused { device, address } => "connection-refused",
        Timeout { device, during = during.word(), after = after.as_secs_f32() } => "timeout",
        NotReady { device, after = after.as_secs_f32() } => "not-ready",
        Cut { device, during = during.word() } => "connection-cut",
        TurnedAway { device } => "turned-away",
        HostKeyUnknown { device } => "host-key-unknown",
        HostKeyChanged { device, offered = offered.fingerprint() } => "host-key-changed",
        NoCommonAlgorithm { device, kind } => "no-common-algorithm",
        Protocol { device } => "not-ssh",
        AuthenticationRefused { device, username } => "authentication-refused",
        SecondFactor { device, username } => "second-factor-needed",
        NoKeyNeeded { device, username } => "no-key-needed",
        Unclear { device, username, cause = cause.word() } => "answer-unknown",
        NoSession { device, username } => "no-session",
        NoPrograms { device, username } => "no-programs",
        NoSftp { device, username } => "no-sftp",
    }

    fn hint(&self) -> String {
        match self {
            Self::Unreachable { .. } => "Check the address, the network and the device's power, then try again.".into(),
            Self::ConnectionRefused { .. } => "Check the port and whether sshd runs there.".into(),
            Self::Timeout { .. } | Self::Cut { .. } | Self::Unclear { .. } => {
                "Check the network to the device, then try again.".into()
            }
            Self::NotReady { .. } => {
                "Check the network to the device, and whether the account's start-up files wait for input.".into()
            }
            Self::TurnedAway { .. } => {
                "The server may be shutting out this address for a while; wait a minute, then try again.".into()
            }
            Self::HostKeyUnknown { device } => {
                format!("Look at its host keys with `keywheel device scan {device}` and pin them with `device trust`.")
            }
            Self::HostKeyChanged { device, .. } => format!(
                "Find out why it changed; if it is right, pin it with `keywheel device trust {device} --fingerprint …`."
            ),
            Self::NoCommonAlgorithm { device, .. } => {
                format!("Scan the host keys of \"{device}\" again, or allow a current algorithm in its sshd_config.")
            }
            Self::Protocol { .. } => "Check that the address and port are those of an SSH server.".into(),
            Self::AuthenticationRefused { username, .. } => {
                format!("Check that \"{username}\" exists there and that its key or password is the current one.")
            }
            Self::SecondFactor { .. } => {
                "Keywheel can't answer a second factor; exempt this account in the device's sshd_config.".into()
            }
            Self::NoKeyNeeded { .. } => {
                "Give the account a password or lock it, since any key would seem to work there.".into()
            }
            Self::NoSession { .. } => "Check MaxSessions and the account's shell on the device.".into(),
            Self::NoPrograms { .. } | Self::NoSftp { .. } => {
                "Give the account a shell or SFTP on the device, or change the key through another credential.".into()
            }
        }
    }

    fn subject(&self) -> Option<String> {
        Some(self.device().to_owned())
    }

    fn class(&self) -> Class {
        Class::NotDone
    }
}
