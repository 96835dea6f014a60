//! The report on all credentials for spreadsheets.

use super::Fleet;
use super::fleet::{FleetRow, KeyLeft};

const HEADER: [&str; 27] = [
    "id",
    "name",
    "kind",
    "username",
    "owner",
    "status",
    "state",
    "original_device",
    "devices",
    "algorithm",
    "fingerprint",
    "key_version",
    "key_created",
    "key_age_days",
    "policy",
    "maximum_age_days",
    "overdue",
    "automatic_change",
    "next_change",
    "last_change",
    "last_change_kind",
    "last_change_outcome",
    "last_change_began",
    "last_change_ended",
    "failures",
    "keys_left",
    "never_proven",
];

/// RFC 4180, with a header; a list is one field, its items parted by a semicolon.
pub(super) fn fleet(fleet: &Fleet) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Memory takes every write, and each row has as many fields as the header.
    let _ = writer.write_record(HEADER);
    for row in &fleet.credentials {
        let _ = writer.write_record(fields(row).map(guarded));
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

fn fields(row: &FleetRow) -> [String; HEADER.len()] {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    let last = row.last_change.as_ref();
    let of_last = |field: fn(&super::fleet::LastChange) -> String| last.map(field).unwrap_or_default();
    [
        row.id.to_string(),
        row.name.clone(),
        row.kind.clone(),
        row.username.clone(),
        text(&row.owner),
        row.status.clone(),
        row.state.clone(),
        row.original_device.clone(),
        row.devices.join("; "),
        text(&row.algorithm),
        text(&row.fingerprint),
        number(row.key_version.map(i64::from)),
        text(&row.key_created),
        number(row.key_age_days),
        row.policy.clone(),
        number(row.maximum_age_days.map(i64::from)),
        row.overdue.map(yes_or_no).unwrap_or_default(),
        yes_or_no(row.automatic_change),
        text(&row.next_change),
        of_last(|last| last.id.to_string()),
        of_last(|last| last.kind.clone()),
        of_last(|last| last.outcome.clone()),
        of_last(|last| last.began.clone()),
        of_last(|last| last.ended.clone().unwrap_or_default()),
        listed(last.map_or(&[][..], |last| &last.failures), |failure| match &failure.code {
            Some(code) => format!("{}: {} ({code})", failure.device, failure.state),
            None => format!("{}: {}", failure.device, failure.state),
        }),
        listed(&row.keys_left, KeyLeft::to_string),
        row.never_proven.join("; "),
    ]
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn listed<T>(items: &[T], item: impl Fn(&T) -> String) -> String {
    items.iter().map(item).collect::<Vec<_>>().join("; ")
}

/// A spreadsheet takes a field that begins so for a formula, which may run programs; the quote makes it text.
pub(super) fn guarded(field: String) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field }
}
