//! What a connection has shown of the devices on its way.

use crate::catalogue::{CatalogueError, DeviceId, device};
use crate::key::PublicKey;
use crate::keywheel::Keywheel;
use crate::remote::RemoteError;

/// What a connection has shown of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contact {
    /// A host key that is pinned.
    Seen(DeviceId),
    /// Another one than the pinned one.
    Changed(DeviceId, Box<PublicKey>),
}

impl Contact {
    /// What the end of a connection tells of the devices on its way, the one it leads to among them.
    ///
    /// Who got through has passed all of them; a changed key is that of the device which the error names.
    pub(crate) fn of(way: &[(DeviceId, &str)], error: Option<&RemoteError>) -> Vec<Self> {
        match error {
            None => way.iter().map(|(id, _)| Self::Seen(*id)).collect(),
            Some(RemoteError::HostKeyChanged { device, offered }) => way
                .iter()
                .filter(|(_, name)| name == device)
                .map(|(id, _)| Self::Changed(*id, offered.clone()))
                .collect(),
            Some(_) => Vec::new(),
        }
    }
}

impl Keywheel {
    /// Notes what connections have shown. It is no part of what they were made for, so a failure only stands in the log.
    pub(crate) async fn note_contacts(&self, contacts: Vec<Contact>) {
        if contacts.is_empty() {
            return;
        }
        let now = self.now();
        let noted = self.database().run_write(move |tx| -> Result<(), CatalogueError> {
            for contact in &contacts {
                match contact {
                    Contact::Seen(id) => device::note_seen(tx, *id, now)?,
                    Contact::Changed(id, key) => device::note_changed_host_key(tx, *id, key, now)?,
                }
            }
            Ok(())
        });
        if let Err(error) = noted.await {
            tracing::warn!(%error, "what was seen of a device could not be noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Algorithm, PrivateKey};

    #[test]
    fn a_changed_key_is_that_of_the_device_which_the_error_names() {
        let way = [(DeviceId(7), "web-1"), (DeviceId(3), "hop")];
        let key = PrivateKey::generate(Algorithm::Ed25519, "host").unwrap().public_key().clone();
        let key = Box::new(key);
        let changed = RemoteError::HostKeyChanged { device: "hop".to_owned(), offered: key.clone() };
        assert_eq!(
            Contact::of(&way, Some(&changed)),
            [Contact::Changed(DeviceId(3), key)],
            "web-1 has changed nothing"
        );
        assert_eq!(Contact::of(&way, None), [Contact::Seen(DeviceId(7)), Contact::Seen(DeviceId(3))]);
        let away = RemoteError::TurnedAway { device: "web-1".to_owned() };
        assert_eq!(Contact::of(&way, Some(&away)), [], "who said nothing was not seen");
    }
}
