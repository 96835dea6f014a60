//! What a person may type into a field: pure, each answers the text as it is stored.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{CatalogueError, Noun};

/// Trims and checks a name: not empty, not digits only (that would be an ID), on one line.
///
/// # Errors
/// The rule that it breaks.
pub fn name(noun: Noun, given: &str) -> Result<String, CatalogueError> {
    let name = given.trim();
    if name.is_empty() {
        return Err(CatalogueError::NameEmpty { noun });
    }
    if name.chars().any(is_invisible) {
        return Err(CatalogueError::NameControl { noun, name: name.to_owned() });
    }
    if name.chars().all(char::is_numeric) {
        return Err(CatalogueError::NameDigits { noun, name: name.to_owned() });
    }
    if name.len() > 255 {
        return Err(CatalogueError::NameLong { noun });
    }
    Ok(name.to_owned())
}

/// Control characters, and the marks that turn the direction of text or have no width: a name with them is not what it
/// looks like.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Checks an e-mail address loosely: only the mail server knows. An empty one is none.
///
/// # Errors
/// It has no `@` between two parts, or holds white space.
pub fn email(given: &str) -> Result<Option<String>, CatalogueError> {
    let email = given.trim();
    if email.is_empty() {
        return Ok(None);
    }
    let sound = !email.contains(|c: char| c.is_whitespace() || is_invisible(c))
        && email.rsplit_once('@').is_some_and(|(who, place)| !who.is_empty() && !place.is_empty());
    if sound { Ok(Some(email.to_owned())) } else { Err(CatalogueError::Email { email: email.to_owned() }) }
}

/// Checks an address: a host name (RFC 1123 §2.1), an IPv4 or an IPv6 address (with a zone where it is link-local).
///
/// # Errors
/// It is none of them.
pub fn address(given: &str) -> Result<String, CatalogueError> {
    let address = given.trim();
    if address.parse::<Ipv4Addr>().is_ok() || is_ipv6(address) || is_host_name(address) {
        Ok(address.to_owned())
    } else {
        Err(CatalogueError::Address { address: address.to_owned() })
    }
}

fn is_ipv6(text: &str) -> bool {
    match text.split_once('%') {
        None => text.parse::<Ipv6Addr>().is_ok(),
        // RFC 4007 §11: the zone says over which interface a link-local address is meant.
        Some((address, zone)) => {
            address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_unicast_link_local())
                && !zone.is_empty()
                && zone.len() <= 32
                && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
    }
}

fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits only would make it a mistyped IPv4 address, which some resolvers read in their own way.
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Checks a port.
///
/// # Errors
/// It is not from 1 to 65535.
pub fn port(given: i64) -> Result<u16, CatalogueError> {
    u16::try_from(given).ok().filter(|port| *port > 0).ok_or(CatalogueError::Port { port: given })
}

/// Checks the path of an `authorized_keys` file: absolute, or from the account's home. An empty one is none.
///
/// # Errors
/// It holds a control character, or ends with a slash.
pub fn authorized_keys_path(given: &str) -> Result<Option<String>, CatalogueError> {
    let path = given.trim();
    if path.is_empty() {
        return Ok(None);
    }
    if path.chars().any(char::is_control) || path.ends_with('/') || path == "~" {
        return Err(CatalogueError::Path { path: path.to_owned() });
    }
    Ok(Some(path.to_owned()))
}

/// Checks tags, and puts them in order without doubles.
///
/// # Errors
/// One is empty, or holds a comma, a semicolon (they separate tags in lists) or a control character.
pub fn tags(given: &[String]) -> Result<Vec<String>, CatalogueError> {
    let mut tags = BTreeSet::new();
    for tag in given {
        let tag = tag.trim();
        if tag.is_empty() || tag.len() > 255 || tag.chars().any(|c| is_invisible(c) || c == ',' || c == ';') {
            return Err(CatalogueError::Tag { tag: tag.to_owned() });
        }
        tags.insert(tag.to_owned());
    }
    Ok(tags.into_iter().collect())
}

/// Checks an account name as passwd(5) and useradd(8) allow it, and as a directory service may write it (`DOMAIN\name`).
///
/// # Errors
/// It is empty, begins with a hyphen, or holds white space, a control character, `/` or `:`.
pub fn username(given: &str) -> Result<String, CatalogueError> {
    let username = given.trim();
    let sound = !username.is_empty()
        && username.len() <= 255
        && !username.starts_with('-')
        && !username.contains(|c: char| c.is_whitespace() || is_invisible(c) || matches!(c, '/' | ':'));
    if sound { Ok(username.to_owned()) } else { Err(CatalogueError::Username { username: username.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;

    #[test]
    fn a_name_is_trimmed_and_kept() {
        for (given, stored) in [("web-1", "web-1"), ("  web 1\t", "web 1"), ("1a", "1a"), ("Ána", "Ána")] {
            assert_eq!(name(Noun::Device, given).unwrap(), stored);
        }
    }

    #[test]
    fn refuses_names_that_are_empty_or_look_like_an_id_or_like_another() {
        for (given, code) in [
            ("", "name-empty"),
            (" \t", "name-empty"),
            ("12", "name-digits"),
            (" 007 ", "name-digits"),
            ("١٢", "name-digits"),
            ("web\n1", "name-control"),
            ("web\u{1b}[31m", "name-control"),
            ("web\u{202e}1", "name-control"),
            ("web\u{200b}1", "name-control"),
            (&"a".repeat(256), "name-long"),
        ] {
            assert_eq!(name(Noun::Device, given).unwrap_err().code(), code, "{given:?}");
        }
    }

    #[test]
    fn takes_host_names_and_ip_addresses() {
        let long = format!("{}.example", "a".repeat(63));
        for given in [
            "web-1",
            "web-1.example.org",
            "example.org.",
            "3com.com",
            "xn--bcher-kva.example",
            "10.0.0.5",
            "::1",
            "2001:db8::7",
            "::ffff:10.0.0.5",
            "fe80::1%eth0",
            "a",
            &long,
        ] {
            assert_eq!(address(given).unwrap(), given);
        }
        assert_eq!(address(" 10.0.0.5 ").unwrap(), "10.0.0.5");
    }

    #[test]
    fn refuses_what_is_neither_host_name_nor_ip_address() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(63)].join(".");
        for given in [
            "",
            " ",
            ".",
            "web 1",
            "web_1",
            "-web",
            "web-",
            "web..org",
            "10.0.0.256",
            "10.0.0",
            "1234",
            "10.0.0.5:22",
            "[::1]",
            "::1::",
            "fe80::1%",
            "2001:db8::7%eth0",
            "fe80::1%eth0;x",
            "http://web",
            "ana@web",
            "web\n1",
            "bücher.example",
            "-oProxyCommand=x",
            &long_label,
            &long,
        ] {
            assert_eq!(address(given).map_err(|e| e.code()), Err("bad-address"), "{given:?}");
        }
    }

    #[test]
    fn ports_go_from_1_to_65535() {
        assert_eq!(port(1).unwrap(), 1);
        assert_eq!(port(65_535).unwrap(), 65_535);
        for given in [0, -1, 65_536, i64::MAX, i64::MIN] {
            assert_eq!(port(given).unwrap_err().code(), "bad-port", "{given}");
        }
    }

    #[test]
    fn an_e_mail_address_is_checked_loosely() {
        assert_eq!(email(" ana@example.org ").unwrap().as_deref(), Some("ana@example.org"));
        assert_eq!(email(" ").unwrap(), None);
        for given in ["ana", "@example.org", "ana@", "ana b@example.org", "ana@example.org\nBcc: x"] {
            assert_eq!(email(given).unwrap_err().code(), "bad-email", "{given:?}");
        }
    }

    #[test]
    fn a_path_is_one_line_and_names_a_file() {
        for given in ["/etc/ssh/keys/%u", ".ssh/authorized_keys", "~/.ssh/authorized_keys", "/a b/it's"] {
            assert_eq!(authorized_keys_path(given).unwrap().as_deref(), Some(given));
        }
        assert_eq!(authorized_keys_path("").unwrap(), None);
        for given in ["/etc/ssh/", "~", "/a\n/b", "/a\0b"] {
            assert_eq!(authorized_keys_path(given).unwrap_err().code(), "bad-path", "{given:?}");
        }
    }

    #[test]
    fn tags_are_sorted_without_doubles() {
        let given = ["web".to_owned(), " db ".to_owned(), "web".to_owned()];
        assert_eq!(tags(&given).unwrap(), ["db", "web"]);
        for bad in ["", "a;b", "a,b", "a\nb"] {
            assert_eq!(tags(&[bad.to_owned()]).unwrap_err().code(), "bad-tag", "{bad:?}");
        }
    }

    #[test]
    fn an_account_name_can_not_be_an_option_or_a_path() {
        for given in ["deploy", "_www", "EXAMPLE\\ana", "ana@example.org", "a.b-c$"] {
            assert_eq!(username(given).unwrap(), given);
        }
        for given in ["", "-oProxyCommand=x", "a b", "a:b", "../root", "a\nb", "a\0"] {
            assert_eq!(username(given).unwrap_err().code(), "bad-username", "{given:?}");
        }
    }
}
