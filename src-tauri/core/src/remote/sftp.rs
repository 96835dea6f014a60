//! The SFTP way to a file.
use super::{RemoteError, Session, files::*, program::*};
fn no(s: &Session) -> FileError {
    FileError::Remote(RemoteError::NoSftp { device: s.target().name.clone(), username: s.username().to_owned() })
}
pub(super) async fn probe(s: &Session, _: &[String]) -> Result<Probe, FileError> {
    Err(no(s))
}
pub(super) async fn read(s: &Session, _: &str) -> Result<ReadFile, FileError> {
    Err(no(s))
}
pub(super) async fn write(s: &Session, _: &str, _: &[u8], _: &[u8], _: &str) -> Result<Written, FileError> {
    Err(no(s))
}
pub(super) async fn install(s: &Session, _: &str) -> Result<Installed, FileError> {
    Err(no(s))
}
pub(super) async fn clean(s: &Session, _: &[String], _: &str) -> Result<usize, FileError> {
    Err(no(s))
}
