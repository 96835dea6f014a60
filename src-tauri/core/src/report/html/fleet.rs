//! The page of the report on all credentials.

use maud::{Markup, html};

use super::{Paper, code, count, facts, head, page, readable, text, written};
use crate::report::Fleet;
use crate::report::fleet::{FleetRow, LastChange};

/// So many devices are named in a cell; the others are counted.
const NAMED: usize = 12;

/// The report as a page.
pub(in crate::report) fn fleet(fleet: &Fleet) -> String {
    let totals = &fleet.totals;
    let number = |value: usize| text(value.to_string());
    let body = html! {
        h1 { "Keys of the fleet" }
        p class="lead" {
            (count(totals.keys, "key", "keys")) " on " (count(totals.devices, "device", "devices")) "; "
            (totals.overdue) " overdue."
        }
        (written(&fleet.written))
        (facts(&[
            ("Credentials", number(totals.credentials)),
            ("Keys older than allowed", number(totals.overdue)),
            ("Last change failed or incomplete", number(totals.failed)),
            ("With older keys left behind", number(totals.with_keys_left)),
            ("With devices never proven", number(totals.with_never_proven)),
        ]))
        h2 { "Credentials" }
        table {
            (head(&["Credential", "Owner", "Devices", "Key", "Age", "Next change", "State", "Last change", "To be looked at"]))
            tbody { @for row in &fleet.credentials { (credential(row)) } }
        }
        p class="soft" { "The vault's audit begins with " (code(&fleet.vault)) "." }
    };
    page("Keys of the fleet", Paper::Wide, &body)
}

fn credential(row: &FleetRow) -> Markup {
    html! {
        tr {
            td { bdi { (row.name) } br; span class="soft" { "as " bdi { (row.username) } } }
            td { @if let Some(owner) = &row.owner { bdi { (owner) } } }
            td { (named(&row.devices)) }
            td {
                (row.algorithm.as_ref().unwrap_or(&row.kind))
                @if let Some(fingerprint) = &row.fingerprint { br; (code(fingerprint)) }
            }
            td { (age(row)) }
            td { @if let Some(at) = &row.next_change { (readable(at)) } @else { "on request" } }
            td { (row.state) @if row.status == "disabled" && row.state != "disabled" { ", disabled" } }
            td { @if let Some(last) = &row.last_change { (change(last)) } }
            td { (attention(row)) }
        }
    }
}

fn age(row: &FleetRow) -> Markup {
    html! {
        @if let Some(days) = row.key_age_days {
            (days) @if let Some(most) = row.maximum_age_days { " of " (most) }
            " days"
        }
        @if row.overdue == Some(true) { br; span class="bad" { "overdue" } }
    }
}

fn change(last: &LastChange) -> Markup {
    html! {
        (last.id) ": " (last.outcome) br;
        span class="soft" { (readable(last.ended.as_ref().unwrap_or(&last.began))) }
    }
}

fn attention(row: &FleetRow) -> Markup {
    let failures = row.last_change.as_ref().map_or(&[][..], |last| &last.failures);
    html! {
        @if !failures.is_empty() {
            p {
                "Not changed: "
                (named(failures.iter().map(|failure| match &failure.code {
                    Some(code) => format!("{} ({code})", failure.device),
                    None => format!("{} ({})", failure.device, failure.state),
                })))
            }
        }
        @if !row.keys_left.is_empty() { p { "Older keys: " (named(row.keys_left.iter().map(ToString::to_string))) } }
        @if !row.never_proven.is_empty() { p { "Never proven: " (named(&row.never_proven)) } }
    }
}

/// Names the first ones and counts the others; CSV and JSON have them all.
fn named<I: IntoIterator<Item: AsRef<str>>>(items: I) -> Markup {
    let mut items = items.into_iter();
    let first: Vec<_> = items.by_ref().take(NAMED).collect();
    let others = items.count();
    html! {
        @for (place, item) in first.iter().enumerate() {
            @if place > 0 { ", " }
            bdi { (item.as_ref()) }
        }
        @if others > 0 { " and " (others) " more" }
    }
}
