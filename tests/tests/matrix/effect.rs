//! What a stage does on its device: where a fault is placed.

use std::sync::Arc;

use keywheel_fleet::{
    Embedded,
    embedded::{Edge, KeyIs, Point},
    matrix::{Stage, Variant},
};

/// What a stage does on the device.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    /// A command whose text contains this.
    Command(String),
    /// An SFTP request whose text contains this.
    Request(String),
    /// A login with such a key, or the question before it.
    Login(KeyIs),
}

impl Effect {
    /// What a stage does on its device, where this is the old key.
    pub(crate) fn of(stage: Stage, variant: Variant, old: &str) -> Self {
        match stage {
            Stage::Check if variant == Variant::Sftp => Self::Request(String::new()),
            Stage::Check => Self::Command(String::new()),
            Stage::Add | Stage::Remove | Stage::TakeBack => Self::write(variant),
            Stage::Prove => Self::Login(KeyIs::Other(old.to_owned())),
            Stage::Refuse => Self::Login(KeyIs::This(old.to_owned())),
        }
    }

    /// What a write ends with: its rename.
    fn write(variant: Variant) -> Self {
        match variant {
            Variant::Sftp => Self::Request("posix-rename@openssh.com".to_owned()),
            Variant::Shell | Variant::OneByOne => Self::Command("mv -f".to_owned()),
        }
    }

    pub(crate) fn point(&self) -> Point {
        match self.clone() {
            Self::Command(part) => Point::Command(part),
            Self::Request(part) => Point::Request(part),
            Self::Login(key) => Point::Key(key),
        }
    }
}

/// How many writes come before a stage.
pub(crate) fn writes_before(stage: Stage) -> u32 {
    match stage {
        Stage::Check | Stage::Add | Stage::Prove | Stage::TakeBack => 0,
        Stage::Remove => 1,
        Stage::Refuse => 2,
    }
}

/// Does something after so many writes, or at once.
pub(crate) fn after_writes(device: Arc<Embedded>, variant: Variant, count: u32, act: Box<dyn FnOnce() + Send>) {
    if count == 0 {
        return act();
    }
    let next = Arc::clone(&device);
    device.once(Edge::After, Effect::write(variant).point(), move || after_writes(next, variant, count - 1, act));
}
