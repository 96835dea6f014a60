use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;

mod keeping;
mod looking;
mod refusing;
mod support;
mod talking;
mod writing;
