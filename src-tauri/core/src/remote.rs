//! SSH: connect, ask, run; the shell and the SFTP way to a file.

pub mod program;
