//! What a shell says of a change to begin.

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{DeviceId, OnFailure, Strategy},
    key::Algorithm,
};

/// What the devices are connected to with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectWith {
    /// As the credential says.
    #[default]
    AsStored,
    /// With the key itself.
    Itself,
    /// With another credential, by name or number.
    Credential(String),
}

/// A key change to begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotate {
    /// The credential's name.
    pub credential: String,
    /// What to connect with.
    pub connect_with: ConnectWith,
    /// The new key's algorithm; none: as the current key's.
    pub algorithm: Option<Algorithm>,
    /// The strategy; none: two-phase.
    pub strategy: Option<Strategy>,
    /// What a failing device leads to; none: roll back.
    pub on_failure: Option<OnFailure>,
    /// How many devices' files may be written at once; none: one.
    pub at_once: Option<usize>,
    /// Devices that are not connected to and stay on the old key until the change is retried.
    pub leave_out: Vec<DeviceId>,
}

/// An installation to begin.
#[derive(Debug, Clone, Default)]
pub struct Install {
    /// The credential's name.
    pub credential: String,
    /// The credential to authenticate with.
    pub auth_with: String,
    /// Options for the line, byte for byte.
    pub options: Option<String>,
}

/// A removal of a credential's key from devices.
#[derive(Debug, Clone, Default)]
pub struct Uninstall {
    /// The credential's name.
    pub credential: String,
    /// The devices, by name or number; none: all.
    pub devices: Vec<String>,
}
