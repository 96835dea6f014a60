//! Which line of an authorized_keys file lets a key in, read as sshd(8) describes the format.
//!
//! Written apart from Keywheel's own reader on purpose: a device that shared its faults could not show them.

use russh::keys::PublicKey;

/// What a line allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Grant {
    /// The command that is run whatever was asked for.
    pub(crate) command: Option<String>,
}

/// Finds the first line that lets this key in from this address.
pub(crate) fn grant(file: &str, key: &PublicKey, from: &str) -> Option<Grant> {
    file.lines().find_map(|line| line_grant(line.trim(), key, from))
}

fn line_grant(line: &str, key: &PublicKey, from: &str) -> Option<Grant> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    if is_key(line, key) {
        return Some(Grant::default());
    }
    let (options, rest) = split_options(line)?;
    if !is_key(rest.trim_start(), key) {
        return None;
    }
    let mut grant = Grant::default();
    for (name, value) in options {
        match (name.to_ascii_lowercase().as_str(), value) {
            // The key of an authority that signs certificates lets nobody in by itself.
            ("cert-authority", _) => return None,
            ("from", Some(list)) if !address_matches(&list, from) => return None,
            ("command", Some(command)) => grant.command = Some(command),
            _ => {}
        }
    }
    Some(grant)
}

/// Whether the text begins with this key.
fn is_key(text: &str, key: &PublicKey) -> bool {
    let mut words = text.split_ascii_whitespace();
    let (Some(kind), Some(data)) = (words.next(), words.next()) else { return false };
    PublicKey::from_openssh(&format!("{kind} {data}")).is_ok_and(|parsed| parsed.key_data() == key.key_data())
}

/// Options with their values, without the quotes.
type Options = Vec<(String, Option<String>)>;

/// Reads the options up to the first blank outside quotes; gives them and the rest of the line.
fn split_options(line: &str) -> Option<(Options, &str)> {
    let mut options = Vec::new();
    let (mut name, mut value) = (String::new(), None::<String>);
    let mut quoted = false;
    let mut characters = line.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            // sshd(8) knows one escape in a value: a backslash before a quote.
            '\\' if quoted && characters.peek().is_some_and(|(_, next)| *next == '"') => {
                value.as_mut().unwrap_or(&mut name).push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            '=' if !quoted && value.is_none() => value = Some(String::new()),
            ',' if !quoted => options.push((std::mem::take(&mut name), value.take())),
            ' ' | '\t' if !quoted => {
                options.push((name, value));
                return line.get(at..).map(|rest| (options, rest));
            }
            other => value.as_mut().unwrap_or(&mut name).push(other),
        }
    }
    None
}

/// Whether an address is in a list of patterns, of which one after `!` excludes it (ssh_config(5), PATTERNS).
fn address_matches(list: &str, address: &str) -> bool {
    let mut matched = false;
    for pattern in list.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(excluded) if pattern_matches(excluded, address) => return false,
            Some(_) => {}
            None => matched |= pattern_matches(pattern, address),
        }
    }
    matched
}

/// Whether a text is of a pattern with `*` and `?`; a CIDR range matches by its network.
fn pattern_matches(pattern: &str, text: &str) -> bool {
    if let Some((network, bits)) = pattern.split_once('/') {
        let parse = |part: &str| part.parse::<std::net::Ipv4Addr>().ok().map(u32::from);
        return match (parse(network), parse(text), bits.parse::<u32>()) {
            (Some(network), Some(address), Ok(bits)) if bits <= 32 => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                network & mask == address & mask
            }
            _ => false,
        };
    }
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            let rest = pattern.get(1..).unwrap_or_default();
            text.char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .any(|at| text.get(at..).is_some_and(|tail| pattern_matches(rest, tail)))
        }
        (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
            let after = |whole: &str, first: char| whole.get(first.len_utf8()..).unwrap_or_default().to_owned();
            pattern_matches(&after(pattern, wanted), &after(text, found))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5Cw8CtKFxDPQBgY1o/hTtk65jsy5UTQ5dVdBdTzUeH";

    fn asked(line: &str) -> Option<Grant> {
        grant(line, &PublicKey::from_openssh(KEY).unwrap(), "127.0.0.1")
    }

    #[test]
    fn reads_lines_as_sshd_does() {
        let free = Some(Grant::default());
        let forced = |text: &str| Some(Grant { command: Some(text.to_owned()) });
        for (line, expected) in [
            (KEY.to_owned(), free.clone()),
            (format!("  {KEY} a comment # with a sign"), free.clone()),
            (format!("# {KEY}"), None),
            (String::new(), None),
            (KEY.replace("zUeH", "zUeI"), None),
            (format!("no-pty,no-port-forwarding {KEY}"), free.clone()),
            (format!("command=\"echo \\\"a, b\\\"\",no-pty {KEY}"), forced("echo \"a, b\"")),
            (format!("from=\"127.0.0.*\" {KEY}"), free.clone()),
            (format!("from=\"127.0.0.0/8,!127.0.0.2\" {KEY}"), free.clone()),
            (format!("from=\"!127.0.0.1,*\" {KEY}"), None),
            (format!("from=\"10.0.0.0/8\" {KEY}"), None),
            (format!("cert-authority {KEY}"), None),
        ] {
            assert_eq!(asked(&line), expected, "this line is read otherwise than sshd reads it: {line}");
        }
    }
}
