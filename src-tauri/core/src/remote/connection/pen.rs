//! The signature of a login.

use std::sync::Arc;

use russh::keys::{HashAlg, agent::AgentIdentity};

use crate::key::PrivateKey;

/// Signs a login's request, or withholds the signature when the server was only asked.
pub(super) struct Pen {
    pub(super) private: Option<Arc<PrivateKey>>,
    pub(super) offered: bool,
}

/// Why no signature came.
#[derive(Debug)]
pub(super) enum PenError {
    /// The connection is gone.
    Send,
    /// The server was only asked.
    Withheld,
    /// The key does not sign.
    Sign,
}

impl From<russh::SendError> for PenError {
    fn from(_: russh::SendError) -> Self {
        Self::Send
    }
}

impl russh::Signer for Pen {
    type Error = PenError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        hash: Option<HashAlg>,
        mut request: Vec<u8>,
    ) -> Result<Vec<u8>, PenError> {
        use russh::keys::{signature::Signer, ssh_encoding::Encode, ssh_key::private::KeypairData};

        self.offered = true;
        let private = self.private.as_ref().ok_or(PenError::Withheld)?;
        let signature = private.with_signer(|signer| match signer.key_data() {
            KeypairData::Rsa(pair) => (pair, hash).try_sign(&request),
            pair => pair.try_sign(&request),
        });
        let signature = signature.map_err(|_| PenError::Sign)?;
        let mut encoded = Vec::new();
        signature.encode(&mut encoded).map_err(|_| PenError::Sign)?;
        encoded.encode(&mut request).map_err(|_| PenError::Sign)?;
        Ok(request)
    }
}
