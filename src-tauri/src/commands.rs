//! What the window can ask for: one file per screen.
//!
//! Each command decodes its arguments, makes one call of the core and encodes the answer. A new command needs its name in
//! `build.rs` and its permission in `capabilities/main.json`; without them the window's call is refused.

pub(crate) mod about;
