//! What a test does at an exact moment of a device, which waits for it, so that nothing races.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use russh::keys::PublicKey;

use super::fault::KeyIs;

/// Something that happens on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// A command whose text contains this.
    Command(String),
    /// An SFTP request whose text contains this.
    Request(String),
    /// Somebody shows this key, in a question or a login.
    Key(KeyIs),
}

/// Which end of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Nothing of it is done.
    Before,
    /// It is done, and not answered yet.
    After,
}

/// What has come to pass.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Passing<'a> {
    Command(&'a str),
    Request(&'a str),
    Key(&'a PublicKey),
}

struct Hook {
    edge: Edge,
    point: Point,
    act: Box<dyn FnOnce() + Send>,
}

/// The hooks of a device; each is used once.
#[derive(Default)]
pub(crate) struct Hooks(Mutex<Vec<Hook>>);

impl Hooks {
    pub(crate) fn add(&self, edge: Edge, point: Point, act: Box<dyn FnOnce() + Send>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Hook { edge, point, act });
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Does what is to be done at this point. What a hook adds is for later points.
    pub(crate) fn reach(&self, edge: Edge, passing: Passing<'_>) {
        let due: Vec<Hook> = {
            let mut hooks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            hooks.extract_if(.., |hook| hook.edge == edge && hook.point.is(passing)).collect()
        };
        for hook in due {
            (hook.act)();
        }
    }
}

impl Point {
    fn is(&self, passing: Passing<'_>) -> bool {
        match (self, passing) {
            (Self::Command(part), Passing::Command(text)) | (Self::Request(part), Passing::Request(text)) => {
                text.contains(part.as_str())
            }
            (Self::Key(key), Passing::Key(shown)) => key.is(shown),
            _ => false,
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hooks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        formatter.debug_list().entries(hooks.iter().map(|hook| (hook.edge, &hook.point))).finish()
    }
}
