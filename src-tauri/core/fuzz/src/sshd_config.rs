//! Reading a server's configuration from any bytes.

use keywheel_core::remote::sshd_config::{Connection, PATH, authorized_keys_files};

/// Takes any bytes for a server's configuration; what stands behind a NUL byte is a file that can be included.
///
/// # Panics
///
/// A path of the result is not absolute, or two readings differ.
pub fn sshd_config(bytes: &[u8]) {
    let mut files = bytes.splitn(3, |byte| *byte == 0);
    let main = files.next().unwrap_or_default();
    let included: Vec<&[u8]> = files.collect();
    let read = |path: &str| {
        if path == PATH {
            return vec![(path.to_owned(), main.to_vec())];
        }
        let named = |(index, text): (usize, &&[u8])| (format!("/etc/ssh/{index}.conf"), text.to_vec());
        included.iter().enumerate().map(named).collect()
    };
    let connection = Connection {
        user: "deploy".to_owned(),
        groups: Some(vec!["deploy".to_owned(), "ssh".to_owned()]),
        home: "/home/deploy".to_owned(),
        uid: 1000,
        client_address: Some([10, 0, 0, 9].into()),
        local_address: Some([10, 0, 0, 5].into()),
        local_port: Some(22),
    };
    let effective = authorized_keys_files(&read, &connection);
    for path in &effective.authorized_keys_files {
        assert!(path.starts_with('/'), "{path} is not absolute");
    }
    assert_eq!(authorized_keys_files(&read, &connection), effective, "the same files are read in two ways");
}
