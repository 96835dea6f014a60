//! Keys that are made, chosen or pasted for a credential and are not saved yet. The private halves stay here.

use std::path::PathBuf;
use std::sync::Arc;

use keywheel_core::key::{Algorithm, KeyError, PrivateKey};
use secrecy::SecretString;
use serde::Serialize;
use tauri::{Runtime, State, WebviewWindow};
use ts_rs::TS;
use zeroize::Zeroizing;

use super::off_thread;
use crate::clipboard;
use crate::desk::{Desk, Draft};
use crate::error::{Answer, DeskError, report};
use crate::files;
use crate::secret::Secret;

/// No key file is larger; a file given by mistake is not read whole.
const LARGEST_KEY: u64 = 1024 * 1024;

/// The public half of a key that is not saved yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
pub(crate) struct DraftKey {
    /// Its number.
    pub(crate) draft: u32,
    /// The algorithm.
    pub(crate) algorithm: Algorithm,
    /// The comment.
    pub(crate) comment: String,
    /// The public key.
    pub(crate) public_key: String,
    /// The fingerprint.
    pub(crate) fingerprint: String,
    /// The picture of the fingerprint.
    pub(crate) randomart: String,
    /// The file it is from.
    pub(crate) file: Option<String>,
    /// The credentials that have this key already.
    pub(crate) others: Vec<String>,
}

/// What was found in a file or in the clipboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(tag = "choice", rename_all = "kebab-case")]
pub(crate) enum KeyChoice {
    /// A private key.
    Key(DraftKey),
    /// A private key that needs its passphrase.
    Encrypted {
        /// Its number.
        draft: u32,
        /// The file it is from.
        file: Option<String>,
    },
}

/// Makes a key pair.
#[tauri::command]
pub(crate) async fn generate_key(
    desk: State<'_, Arc<Desk>>,
    algorithm: Algorithm,
    comment: String,
) -> Answer<DraftKey> {
    let made = off_thread(move || PrivateKey::generate(algorithm, comment.trim())).await.map_err(report)?;
    let key = Arc::new(made);
    let draft = desk.drafts().keep(Draft::Generated(Arc::clone(&key)));
    shown(&desk, draft, &key, None).await
}

/// Lets the person choose a private key file.
#[tauri::command]
pub(crate) async fn choose_key_file<R: Runtime>(
    window: WebviewWindow<R>,
    desk: State<'_, Arc<Desk>>,
) -> Answer<Option<KeyChoice>> {
    match files::to_read(&window).await {
        Some(path) => import_file(&desk, path).await.map(Some),
        None => Ok(None),
    }
}

pub(super) async fn import_file(desk: &Desk, path: PathBuf) -> Answer<KeyChoice> {
    let file = path.clone();
    let bytes = off_thread(move || files::read(&file, LARGEST_KEY)).await.map_err(report)?;
    import(desk, bytes, Some(path)).await
}

/// Reads a private key from the clipboard.
#[tauri::command]
pub(crate) async fn paste_key(desk: State<'_, Arc<Desk>>) -> Answer<KeyChoice> {
    let bytes = off_thread(clipboard::paste).await.map_err(report)?;
    import(&desk, bytes, None).await
}

pub(super) async fn import(desk: &Desk, bytes: Zeroizing<Vec<u8>>, from: Option<PathBuf>) -> Answer<KeyChoice> {
    let bytes = Arc::new(bytes);
    match read(Arc::clone(&bytes), None).await {
        Ok(key) => {
            let key = Arc::new(key);
            let draft = desk.drafts().keep(Draft::Imported { key: Arc::clone(&key), from: from.clone() });
            Ok(KeyChoice::Key(shown(desk, draft, &key, from).await?))
        }
        Err(KeyError::PassphraseNeeded) => {
            let file = from.as_ref().map(|path| path.display().to_string());
            let draft = desk.drafts().keep(Draft::Encrypted { bytes, from });
            Ok(KeyChoice::Encrypted { draft, file })
        }
        Err(source) => Err(unusable(from, source)),
    }
}

/// Decrypts a key that was chosen; with a wrong passphrase it stays, to be tried again.
#[tauri::command]
pub(crate) async fn unlock_key(desk: State<'_, Arc<Desk>>, draft: u32, passphrase: Secret) -> Answer<DraftKey> {
    let (bytes, from) = match desk.drafts().find(draft).map_err(report)? {
        Draft::Encrypted { bytes, from } => (Arc::clone(bytes), from.clone()),
        _ => return Err(report(DeskError::DraftUnfit)),
    };
    let key = read(bytes, Some(passphrase.into_inner())).await.map_err(|source| unusable(from.clone(), source))?;
    let key = Arc::new(key);
    let unlocked = Draft::Imported { key: Arc::clone(&key), from: from.clone() };
    desk.drafts().replace(draft, unlocked).map_err(report)?;
    shown(&desk, draft, &key, from).await
}

/// Forgets a key or a CSV file that was chosen.
#[tauri::command]
pub(crate) async fn drop_draft(desk: State<'_, Arc<Desk>>, draft: u32) -> Answer<()> {
    desk.drafts().forget(draft);
    Ok(())
}

/// The key derivation of an encrypted file is a tenth of a second of pure computing, or more.
async fn read(bytes: Arc<Zeroizing<Vec<u8>>>, passphrase: Option<SecretString>) -> Result<PrivateKey, KeyError> {
    off_thread(move || PrivateKey::import(&bytes, passphrase.as_ref())).await
}

fn unusable(from: Option<PathBuf>, source: KeyError) -> keywheel_core::error::Report {
    report(match from {
        Some(path) => DeskError::KeyFile { path, source },
        None => DeskError::Pasted { source },
    })
}

async fn shown(desk: &Desk, draft: u32, key: &PrivateKey, from: Option<PathBuf>) -> Answer<DraftKey> {
    let public = key.public_key();
    let others = desk.keywheel()?.others_with_key(public.fingerprint(), None).await.map_err(report)?;
    Ok(DraftKey {
        draft,
        algorithm: public.algorithm(),
        comment: public.comment().to_owned(),
        public_key: public.to_openssh(),
        fingerprint: public.fingerprint().to_string(),
        randomart: public.randomart(),
        file: from.map(|path| path.display().to_string()),
        others,
    })
}
