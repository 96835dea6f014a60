//! Pattern lists of ssh_config(5), PATTERNS: parts separated by commas, of which a negated one that fits decides.

use std::net::IpAddr;

/// Whether a list fits a name: one part fits, and no negated one does.
pub(super) fn matches(list: &str, name: &str) -> bool {
    judge(list, |pattern| wildcard(pattern, name)) == Some(true)
}

/// Whether a list fits one of several names, and a negated part fits none.
pub(super) fn matches_any(list: &str, names: &[String]) -> bool {
    let judged: Vec<_> = names.iter().map(|name| judge(list, |pattern| wildcard(pattern, name))).collect();
    judged.contains(&Some(true)) && !judged.contains(&Some(false))
}

/// Whether a list of addresses, networks (`10.0.0.0/8`) and wildcards fits an address; `None` if sshd could not read it.
pub(super) fn matches_address(list: &str, address: IpAddr) -> Option<bool> {
    let address = address.to_canonical();
    let text = address.to_string();
    let mut readable = true;
    let holds = judge(list, |pattern| match pattern.split_once('/') {
        Some((network, bits)) => match (network.parse::<IpAddr>(), bits.parse::<u32>()) {
            (Ok(network), Ok(bits)) => within(address, network, bits).unwrap_or_else(|| {
                readable = false;
                false
            }),
            _ => {
                readable = false;
                false
            }
        },
        None => match pattern.parse::<IpAddr>() {
            Ok(other) => other == address,
            Err(_) => wildcard(pattern, &text),
        },
    });
    readable.then_some(holds == Some(true))
}

/// Whether a list of addresses and names surely leaves an address out: a negated part fits it, or no part fits, and none of them
/// may be a name, since nobody here knows by which name a server calls the address.
pub(super) fn leaves_out(list: &str, address: IpAddr) -> bool {
    let is_address = |part: &str| {
        let part = part.strip_prefix('!').unwrap_or(part);
        part.contains(['/', ':']) || part.chars().all(|sign| sign.is_ascii_digit() || ".*?".contains(sign))
    };
    match matches_address(list, address) {
        None | Some(true) => false,
        Some(false) => {
            let negated = list.split(',').filter_map(|part| part.strip_prefix('!'));
            negated.into_iter().any(|part| matches_address(part, address) == Some(true))
                || list.split(',').all(is_address)
        }
    }
}

/// `Some(false)`: a negated part fits; `Some(true)`: a part fits, and no negated one; `None`: no part fits.
fn judge(list: &str, mut fits: impl FnMut(&str) -> bool) -> Option<bool> {
    let mut found = None;
    for part in list.split(',') {
        match part.strip_prefix('!') {
            Some(negated) if fits(negated) => return Some(false),
            None if fits(part) => found = Some(true),
            _ => {}
        }
    }
    found
}

/// Whether an address lies in a network; `None` if the network is longer than an address, or has bits behind its length.
fn within(address: IpAddr, network: IpAddr, bits: u32) -> Option<bool> {
    let (width, network_bits) = wide(network);
    let host_bits = width.checked_sub(bits)?;
    let host = |address: u128| address & !u128::MAX.checked_shl(host_bits).unwrap_or(0);
    if host(network_bits) != 0 {
        return None;
    }
    let (address_width, address_bits) = wide(address);
    Some(width == address_width && address_bits - host(address_bits) == network_bits)
}

/// An address as a number, with its width in bits.
fn wide(address: IpAddr) -> (u32, u128) {
    match address {
        IpAddr::V4(address) => (32, u128::from(address.to_bits())),
        IpAddr::V6(address) => (128, address.to_bits()),
    }
}

/// Whether a name fits a pattern with `*` and `?`, in time proportional to the product of their lengths.
fn wildcard(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // fits[i]: whether the pattern up to here fits the first i characters of the name.
    let mut fits = vec![false; name.len() + 1];
    if let Some(empty) = fits.first_mut() {
        *empty = true;
    }
    for sign in pattern {
        let mut next = Vec::with_capacity(fits.len());
        let mut before: Option<(bool, char)> = None;
        for (index, fit) in fits.iter().copied().enumerate() {
            let here = match (sign, before) {
                ('*', _) => fit || next.last().copied().unwrap_or(false),
                (_, Some((fit, character))) => fit && (sign == '?' || sign == character),
                (_, None) => false,
            };
            next.push(here);
            before = name.get(index).map(|character| (fit, *character));
        }
        fits = next;
    }
    fits.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_wildcards_and_negation() {
        for (list, name, fits) in [
            ("deploy", "deploy", true),
            ("deploy", "Deploy", false),
            ("dep*", "deploy", true),
            ("d?ploy,root", "deploy", true),
            ("*", "", true),
            ("?", "", false),
            ("*o*o*", "foo", true),
            ("*o*o*o", "foo", false),
            ("*,!root", "root", false),
            ("!root,*", "root", false),
            ("!root", "deploy", false),
            ("", "deploy", false),
            ("", "", true),
        ] {
            assert_eq!(matches(list, name), fits, "{list} on {name:?}");
        }
    }

    #[test]
    fn takes_groups_together() {
        let groups = ["users".to_owned(), "wheel".to_owned()];
        assert!(matches_any("wheel", &groups));
        assert!(!matches_any("wheel,!users", &groups), "one group that is negated decides");
        assert!(!matches_any("adm", &groups));
    }

    #[test]
    fn a_list_leaves_an_address_out_only_where_no_name_may_let_it_in() {
        for (list, out) in [
            ("10.0.0.0/8", true),
            ("192.0.2.0/24", false),
            ("192.0.2.?", false),
            ("192.0.3.?,::1", true),
            ("gate.example.com,10.0.0.1", false),
            ("gate.example.com,!192.0.2.7", true),
            ("*,!192.0.2.0/24", true),
            ("!10.0.0.1", true),
            ("10.0.0.0/x", false),
        ] {
            assert_eq!(leaves_out(list, "192.0.2.7".parse().unwrap()), out, "{list}");
        }
    }

    #[test]
    fn compares_addresses() {
        for (list, address, fits) in [
            ("10.0.0.0/8", "10.1.2.3", Some(true)),
            ("10.0.0.0/8,!10.1.2.3", "10.1.2.3", Some(false)),
            ("10.0.0.0/8", "11.1.2.3", Some(false)),
            ("0.0.0.0/0", "11.1.2.3", Some(true)),
            ("192.0.2.1", "192.0.2.1", Some(true)),
            ("192.0.2.*", "192.0.2.1", Some(true)),
            ("2001:db8::/32", "2001:db8::1", Some(true)),
            ("::/0", "2001:db8::1", Some(true)),
            ("::/0", "192.0.2.1", Some(false)),
            ("2001:db8::1", "2001:db8::1", Some(true)),
            ("10.0.0.0/8", "::ffff:10.0.0.1", Some(true)),
            ("10.0.0.1/8", "10.0.0.1", None),
            ("10.0.0.0/33", "10.0.0.1", None),
            ("10.0.0.0/x", "10.0.0.1", None),
        ] {
            assert_eq!(matches_address(list, address.parse().unwrap()), fits, "{list} on {address}");
        }
    }
}
