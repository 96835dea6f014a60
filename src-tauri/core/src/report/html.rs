//! Reports as one page each, which loads nothing: for the screen, and for A4.
//!
//! What a user or a device named is escaped by the macro that writes it. The page's policy allows its one style by hash, and
//! nothing else.

mod fleet;
mod proof;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

pub(super) use self::fleet::fleet;
pub(super) use self::proof::proof;
use super::Written;

/// The mark before the facts in the page of a proof. No text of a user can hold it, because there `<` is escaped.
const FACTS: &str = "<pre id=\"facts\">";

/// The facts that a page carries; none where it is no page of ours.
pub(super) fn facts_of(text: &str) -> Option<String> {
    let (_, after) = text.strip_prefix("<!DOCTYPE html>")?.split_once(FACTS)?;
    let (facts, _) = after.split_once("</pre>")?;
    Some(unescaped(facts))
}

/// Facts as the text of an element. Quotes stay, of which JSON is full.
fn facts_in_page(json: &str) -> PreEscaped<String> {
    // The ampersand first, and last on the way back, so that none is taken twice.
    PreEscaped(json.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// How the paper lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paper {
    Upright,
    Wide,
}

fn page(title: &str, paper: Paper, body: &Markup) -> String {
    let style = style(paper);
    let hash = BASE64_STANDARD.encode(Sha256::digest(&style));
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body { main { (body) } }
        }
    };
    page.into_string()
}

fn style(paper: Paper) -> String {
    let size = match paper {
        Paper::Upright => "A4",
        Paper::Wide => "A4 landscape",
    };
    format!("@page {{ size: {size}; margin: 14mm 12mm; }}\n{STYLE}")
}

const STYLE: &str = "\
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1b1f24; font: 14px/1.45 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px; }
h1 { margin: 0 0 4px; font-size: 24px; line-height: 1.25; }
h2 { margin: 28px 0 8px; font-size: 18px; }
h3 { margin: 24px 0 6px; font-size: 15px; }
h4 { margin: 12px 0 4px; font-size: 13px; color: #4a5460; }
h1, h2, h3, h4 { break-after: avoid; overflow-wrap: anywhere; }
p { margin: 0 0 8px; overflow-wrap: anywhere; }
.lead { font-size: 16px; font-weight: 600; }
.soft { color: #4a5460; }
.bad { color: #9a1c1c; font-weight: 600; }
table { width: 100%; border-collapse: collapse; margin: 0 0 8px; font-size: 12px; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
th, td { padding: 4px 8px 4px 0; border-bottom: 1px solid #d5dae0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; color: #4a5460; }
.facts th { width: 190px; }
td.number { white-space: nowrap; }
code, pre { font: 11px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; }
ul { margin: 0; padding-left: 16px; }
@media print {
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  table { font-size: 8pt; }
  code, pre { font-size: 7pt; }
  h1 { font-size: 16pt; }
  h2 { font-size: 12pt; }
  h3 { font-size: 10.5pt; }
  details { display: none; }
}
";

/// A table of two columns, of what there is.
fn facts(rows: &[(&str, Option<Markup>)]) -> Markup {
    html! {
        table class="facts" {
            tbody {
                @for (name, value) in rows {
                    @if let Some(value) = value {
                        tr { th scope="row" { (name) } td { (value) } }
                    }
                }
            }
        }
    }
}

fn head(columns: &[&str]) -> Markup {
    html! { thead { tr { @for column in columns { th scope="col" { (column) } } } } }
}

fn text(value: impl AsRef<str>) -> Option<Markup> {
    Some(html! { bdi { (value.as_ref()) } })
}

fn code(value: impl AsRef<str>) -> Markup {
    html! { code { (value.as_ref()) } }
}

fn time(value: Option<&String>) -> Markup {
    html! { @if let Some(value) = value { (readable(value)) } @else { "not known" } }
}

/// A stored time without what only programs need.
fn readable(time: &str) -> String {
    time.replacen('T', " ", 1).replacen('Z', " UTC", 1)
}

fn written(written: &Written) -> Markup {
    html! {
        p class="soft" {
            "Written on " (readable(&written.at)) " by " bdi { (written.by) } " with Keywheel " (written.version) "."
        }
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_back_out_of_a_page_as_they_went_in() {
        for facts in ["{}", "<b>&lt;&amp;</b> \"x\" 'y' </pre><pre id=\"facts\">", "é\u{202e}🔑&"] {
            let body = html! { p { (facts) } pre id="facts" { (facts_in_page(facts)) } };
            assert_eq!(facts_of(&page(facts, Paper::Upright, &body)).as_deref(), Some(facts));
        }
        assert_eq!(facts_of("{\"format\":\"<pre id=\\\"facts\\\">\"}"), None);
    }

    #[test]
    fn the_style_is_the_one_that_the_policy_allows() {
        let page = page("x", Paper::Wide, &html! {});
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let hash = BASE64_STANDARD.encode(Sha256::digest(style));
        assert!(page.contains(&format!("style-src 'sha256-{hash}'")), "the browser would show the page bare");
    }
}
