//! The page of a proof.

use maud::{Markup, html};

use super::{Paper, code, count, facts, facts_in_page, head, page, readable, text, time, written};
use crate::report::Proof;
use crate::report::proof::{AuditFacts, Cause, ChangeFacts, DeviceFacts, KeyFacts, LoginFacts, WriteFacts};

/// The proof as a page, with its facts in it.
pub(in crate::report) fn proof(proof: &Proof) -> String {
    let change = &proof.change;
    let title = format!("Proof of change {}: {}", change.id, change.credential);
    let body = html! {
        h1 { "Proof of change " (change.id) ": " bdi { (change.credential) } }
        p class="lead" { (sentence(proof)) }
        (written(&proof.written))
        h2 { "The change" }
        (change_table(change))
        h2 { "Devices, in the order of change" }
        (overview(&proof.devices))
        @for device in &proof.devices { (device_section(device, change)) }
        h2 { "Audit" }
        (audit(&proof.audit))
        h2 { "How to verify this proof" }
        p {
            "The vault that wrote it says whether anything in it was altered: " code { "keywheel report verify FILE" }
            ", or \"Verify a proof…\" on its page Audit. Its audit begins with " (code(&proof.vault))
            "; the SHA-256 of the facts below is " (code(proof.sha256())) "."
        }
        details {
            summary { "The facts, for programs" }
            pre id="facts" { (facts_in_page(&proof.to_json())) }
        }
    };
    page(&title, Paper::Upright, &body)
}

fn sentence(proof: &Proof) -> String {
    let of = |state: &str| proof.devices.iter().filter(|device| device.state == state).count();
    let all = count(proof.devices.len(), "device", "devices");
    match (proof.change.outcome.as_str(), proof.change.kind.as_str()) {
        ("changed" | "partly-changed" | "interrupted", kind) => {
            let done = match kind {
                "install" => "accept the key",
                "uninstall" => "refuse the key",
                _ => "accept the new key and refuse the old",
            };
            format!("{}: {} of {all} {done}.", proof.change.outcome, of("changed"))
        }
        ("rolled-back", _) => format!("rolled-back: {} of {all} were put back.", of("rolled-back")),
        (other, _) => format!("{other}: no device was changed."),
    }
}

fn change_table(change: &ChangeFacts) -> Markup {
    let with = match &change.authenticated_with {
        Some(other) => html! { "the credential " bdi { (other.name) } " (" (other.id) ")" },
        None => html! { "the key itself" },
    };
    let at = |value: &Option<String>| value.as_deref().map(|value| html! { (readable(value)) });
    facts(&[
        ("Kind", text(&change.kind)),
        ("Credential", text(&change.credential)),
        ("Username", text(&change.username)),
        ("Asked for by", text(&change.requested_by)),
        ("Connected with", Some(with)),
        ("Strategy", text(&change.strategy)),
        ("If a device fails", text(&change.on_failure)),
        ("Devices at once", text(change.at_once.to_string())),
        ("Attempts", text(change.attempts.to_string())),
        ("Began", text(readable(&change.began))),
        ("New key stored and read back", at(&change.key_stored)),
        ("New key became the current one", at(&change.point_of_no_return)),
        ("Ended", at(&change.ended)),
        ("Outcome", text(&change.outcome)),
        ("Cause", change.cause.as_ref().map(cause)),
        ("Old key", change.old_key.as_ref().map(key)),
        ("New key", change.new_key.as_ref().map(key)),
    ])
}

fn key(key: &KeyFacts) -> Markup {
    html! {
        (code(&key.fingerprint)) ", " (key.algorithm) ", version " (key.version) ", made on " (readable(&key.made))
    }
}

fn cause(cause: &Cause) -> Markup {
    html! { bdi { (cause.message) } " (" (code(&cause.code)) ")" }
}

fn overview(devices: &[DeviceFacts]) -> Markup {
    html! {
        table {
            (head(&["No.", "Device", "Address", "Outcome", "First effect", "Last result", "Cause"]))
            tbody {
                @for device in devices {
                    tr {
                        td class="number" { (device.position) }
                        td { bdi { (device.name) } }
                        td { bdi { (device.address) } ":" (device.port) }
                        td { (state(device)) }
                        td { @if let Some(first) = device.stages.first() { (readable(&first.began)) } }
                        td { @if let Some(last) = device.stages.last() { (time(last.ended.as_ref())) } }
                        td { @if let Some(why) = &device.cause { (cause(why)) } }
                    }
                }
            }
        }
    }
}

fn state(device: &DeviceFacts) -> Markup {
    html! {
        @if device.left_out { "left out" } @else { (device.state) }
        @if let Some(stage) = &device.stage { " (at " (stage) ")" }
    }
}

fn device_section(device: &DeviceFacts, change: &ChangeFacts) -> Markup {
    html! {
        h3 { (device.position) ". " bdi { (device.name) } ": " (state(device)) }
        p class="soft" {
            "Device " (device.id) " at " bdi { (device.address) } ":" (device.port)
            @if !device.jumps.is_empty() { ", through " (device.jumps.join(", ")) }
            ". Written down on " (readable(&device.recorded)) "."
        }
        @if !device.host_keys.is_empty() {
            p { "Host key: " @for key in &device.host_keys { (code(key)) " " } }
        }
        @if !device.servers.is_empty() {
            p { "Server: " @for server in &device.servers { (code(server)) " " } }
        }
        p {
            "Last seen to accept: "
            @if device.accepts.is_empty() { "none of the keys" }
            @for key in &device.accepts { (code(key)) " (" (which(key, change)) ") " }
        }
        @if !device.stages.is_empty() {
            h4 { "Stages" }
            table {
                (head(&["Stage", "Began", "Ended"]))
                tbody {
                    @for stage in &device.stages {
                        tr { td { (stage.stage) } td { (readable(&stage.began)) } td { (time(stage.ended.as_ref())) } }
                    }
                }
            }
        }
        @if !device.writes.is_empty() { h4 { "Files" } (writes(&device.writes)) }
        @if !device.logins.is_empty() { h4 { "Logins and questions" } (logins(&device.logins, change)) }
    }
}

fn which(fingerprint: &str, change: &ChangeFacts) -> &'static str {
    let is = |key: &Option<KeyFacts>| key.as_ref().is_some_and(|key| key.fingerprint == fingerprint);
    if is(&change.new_key) {
        "new key"
    } else if is(&change.old_key) {
        "old key"
    } else {
        "other key of the credential"
    }
}

fn writes(writes: &[WriteFacts]) -> Markup {
    html! {
        table {
            (head(&["Stage", "File", "What", "Time", "SHA-256 before and after"]))
            tbody {
                @for write in writes {
                    tr {
                        td { (write.stage) }
                        td {
                            bdi { (write.file) }
                            @if write.resolved != write.file { br; "is " bdi { (write.resolved) } }
                        }
                        td {
                            (write.write) ", " (write.result)
                            @if let Some(method) = &write.method { ", by " (method) }
                            br;
                            (count(write.lines_added, "line", "lines")) " added, " (write.lines_removed) " taken out"
                            @if write.stood_before > 0 { br; (write.stood_before) " stood there before" }
                            @if write.carried_over { br; "lines written meanwhile were kept" }
                            @if let Some(why) = &write.cause { br; (cause(why)) }
                        }
                        td { (readable(&write.began)) br; (time(write.ended.as_ref())) }
                        td {
                            (code(&write.before)) br;
                            @if let Some(after) = &write.after {
                                (code(after))
                            } @else {
                                "not read back; planned: " (code(&write.planned))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn logins(logins: &[LoginFacts], change: &ChangeFacts) -> Markup {
    html! {
        table {
            (head(&["Stage", "Time", "Key", "By", "Answer"]))
            tbody {
                @for login in logins {
                    tr {
                        td { (login.stage) }
                        td { (readable(&login.at)) }
                        td { (code(&login.fingerprint)) br; (which(&login.fingerprint, change)) ", version " (login.version) }
                        td { @if login.by == "login" { "real login" } @else { (login.by) } }
                        td { (login.answer) @if let Some(why) = &login.cause { " (" (why) ")" } }
                    }
                }
            }
        }
    }
}

fn audit(audit: &AuditFacts) -> Markup {
    html! {
        p {
            "The newest row was " (audit.head.row) " with the chain's hash " (code(&audit.head.hash)) "."
            @if let Some(hash) = &audit.chain_hash { " At the end of the change it was " (code(hash)) "." }
        }
        table {
            (head(&["Row", "Time", "Actor", "Action", "Subject", "Result", "Hash"]))
            tbody {
                @for row in &audit.rows {
                    tr {
                        td class="number" { (row.id) }
                        td { (readable(&row.at)) }
                        td { bdi { (row.actor) } }
                        td { (row.action) }
                        td { @if let Some(subject) = &row.subject { bdi { (subject) } } }
                        td { (row.result) @if let Some(why) = &row.code { " (" (why) ")" } }
                        td { (code(&row.hash)) }
                    }
                }
            }
        }
    }
}
