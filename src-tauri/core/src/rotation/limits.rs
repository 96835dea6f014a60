//! Why a key that stands in a file is refused all the same: its line is over, or is for other machines.
//!
//! Only what is plain is told (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"): neither the device's time zone is known, nor under which
//! address or name it sees whoever connects.

use std::net::IpAddr;

use jiff::{SignedDuration, civil::Time, fmt::strtime, tz::TimeZone};

use crate::{authorized_keys, clock::Timestamp, key::PublicKey, remote::sshd_config, rotation::Problem};

use super::finding::key;

/// Who asks to be let in, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) now: Timestamp,
    /// The address that this machine connects from; none where that is not what the device sees.
    pub(super) address: Option<IpAddr>,
}

/// What keeps the key of a line out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Limit {
    /// Its time is over, as `expiry-time=` has it.
    Expired(String),
    /// It is let in from other addresses, by the patterns of `from=`.
    From(String, IpAddr),
}

/// Why these keys are refused, where every line of theirs in these files (paths and texts) plainly keeps them out.
pub(super) fn refusal(device: &str, files: &[(&str, &[u8])], keys: &[&PublicKey], caller: Caller) -> Option<Problem> {
    let mut found = None;
    for (path, text) in files {
        for line in keys.iter().flat_map(|known| authorized_keys::lines(text, key(known))) {
            let limit = limit(&String::from_utf8_lossy(&line.options), caller)?;
            found.get_or_insert((path, limit));
        }
    }
    let (path, limit) = found?;
    let (device, path) = (device.to_owned(), (*path).to_owned());
    Some(match limit {
        Limit::Expired(time) => Problem::KeyExpired { device, path, time },
        Limit::From(patterns, address) => Problem::FromRefused { device, path, patterns, address },
    })
}

fn limit(options: &str, caller: Caller) -> Option<Limit> {
    if let Some(time) = values(options, "expiry-time").find(|time| is_over(time, caller.now)) {
        return Some(Limit::Expired(time));
    }
    let address = caller.address?;
    let patterns = values(options, "from").find(|patterns| sshd_config::leaves_out(patterns, address))?;
    Some(Limit::From(patterns, address))
}

/// The values of an option, without their quotes.
fn values(options: &str, name: &str) -> impl Iterator<Item = String> {
    authorized_keys::options(options).filter_map(move |option| {
        let (written, value) = option.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        written.eq_ignore_ascii_case(name).then(|| value.replace("\\\"", "\""))
    })
}

/// How far behind UTC the last time zone is: a time that names no zone is over everywhere once it is over there.
const LAST_ZONE: SignedDuration = SignedDuration::from_hours(12);

/// Whether a time (`YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with a `Z` in UTC) is over, in whatever zone the device is.
fn is_over(time: &str, now: Timestamp) -> bool {
    let (digits, behind) = match time.strip_suffix(['Z', 'z']) {
        Some(digits) => (digits, SignedDuration::ZERO),
        None => (time, LAST_ZONE),
    };
    let moment = match digits.len() {
        8 => strtime::parse("%Y%m%d", digits)
            .and_then(|read| read.to_date())
            .map(|day| day.to_datetime(Time::midnight())),
        12 => strtime::parse("%Y%m%d%H%M", digits).and_then(|read| read.to_datetime()),
        14 => strtime::parse("%Y%m%d%H%M%S", digits).and_then(|read| read.to_datetime()),
        _ => return false,
    };
    let moment = moment.and_then(|moment| TimeZone::UTC.to_timestamp(moment)?.checked_add(behind));
    moment.is_ok_and(|moment| now > moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Algorithm, PrivateKey};

    fn caller(address: Option<&str>) -> Caller {
        Caller {
            now: "2026-03-10T12:00:00Z".parse().unwrap(),
            address: address.map(|address| address.parse().unwrap()),
        }
    }

    #[test]
    fn a_time_is_over_when_it_is_over_in_every_zone() {
        for (time, over) in [
            ("20260310115959Z", true),
            ("202603101200Z", false),
            ("20260310Z", true),
            ("20260311Z", false),
            ("20260309", true),
            ("202603100000", false),
            ("202603092359", true),
            ("20260310", false),
            ("20200230", false),
            ("2020", false),
            ("always", false),
            ("", false),
        ] {
            assert_eq!(is_over(time, caller(None).now), over, "{time}");
        }
    }

    #[test]
    fn the_options_of_a_line_keep_its_key_out_only_where_that_is_plain() {
        let from = |patterns: &str| Some(Limit::From(patterns.to_owned(), "192.0.2.7".parse().unwrap()));
        for (options, limited) in [
            ("", None),
            ("no-pty,expiry-time=\"20260101\"", Some(Limit::Expired("20260101".to_owned()))),
            ("Expiry-Time=\"20260101Z\",from=\"10.0.0.1\"", Some(Limit::Expired("20260101Z".to_owned()))),
            ("expiry-time=\"20270101\"", None),
            ("command=\"echo expiry-time=\\\"20260101\\\"\"", None),
            ("from=\"10.0.0.0/8,2001:db8::/32\"", from("10.0.0.0/8,2001:db8::/32")),
            ("from=\"10.0.0.0/8,192.0.2.*\"", None),
            ("from=\"*,!192.0.2.7\"", from("*,!192.0.2.7")),
            ("from=\"*.example.com\"", None),
        ] {
            assert_eq!(limit(options, caller(Some("192.0.2.7"))), limited, "{options}");
        }
        assert_eq!(limit("from=\"10.0.0.1\"", caller(None)), None, "behind a jump device nobody knows the address");
    }

    #[test]
    fn a_key_is_kept_out_only_where_each_of_its_lines_keeps_it_out() {
        let public = |name| PrivateKey::generate(Algorithm::Ed25519, name).unwrap().public_key().clone();
        let (ours, other) = (public("ours"), public("other"));
        let over = format!("expiry-time=\"20200101\" {}\n", ours.to_openssh());
        let open = format!("{}\n", ours.to_openssh());
        let others = format!("{}\n", other.to_openssh());
        let why = |texts: &[String]| {
            let files: Vec<_> = ["/1", "/2"].into_iter().zip(texts.iter().map(String::as_bytes)).collect();
            refusal("web-1", &files, &[&ours], caller(None))
        };
        let expired = Problem::KeyExpired { device: "web-1".into(), path: "/2".into(), time: "20200101".into() };
        assert_eq!(why(&[others.clone(), over.clone() + &others]), Some(expired));
        assert_eq!(why(&[over.clone(), open]), None, "the other line lets it in, so that something else refuses it");
        assert_eq!(why(&[others]), None, "it stands nowhere");
    }
}
