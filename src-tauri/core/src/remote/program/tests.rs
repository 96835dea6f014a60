use std::io::{Read, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use secrecy::SecretString;

use super::*;

mod keeping;
mod looking;
mod refusing;
mod support;
mod talking;
mod writing;
