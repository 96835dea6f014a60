//! What is done in a window, in a person's words: click this button, fill that field.

use std::path::Path;
use std::time::{Duration, Instant};

use fantoccini::Client;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::{Element, ElementRef};
use fantoccini::error::CmdError;
use serde_json::{Value, json};

use super::PATIENCE;
use crate::Trouble;

const FINDER: &str = include_str!("finder.js");
const AGAIN: Duration = Duration::from_millis(40);
/// The name under which WebDriver hands elements over (W3C WebDriver, section 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that have no character (W3C WebDriver, section 17.4.2).
pub mod keys {
    /// Moves the focus on.
    pub const TAB: char = '\u{E004}';
    /// Presses what has the focus.
    pub const ENTER: char = '\u{E007}';
    /// Closes.
    pub const ESCAPE: char = '\u{E00C}';
    /// Moves down.
    pub const DOWN: char = '\u{E015}';
    /// Moves to the right.
    pub const RIGHT: char = '\u{E014}';
    /// Moves to the last.
    pub const END: char = '\u{E010}';
    /// With another key.
    pub const CONTROL: char = '\u{E009}';
    /// With another key.
    pub const SHIFT: char = '\u{E008}';
}

/// A page that a window shows.
pub struct Page {
    client: Client,
}

impl Page {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(super) fn into_client(self) -> Client {
        self.client
    }

    /// The WebDriver client, for what is not in a person's words.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs a script in the page; `arguments` are its arguments, and it returns its answer.
    ///
    /// # Errors
    ///
    /// The script fails.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Result<Value, Trouble> {
        Ok(self.client.execute(&format!("{FINDER}\n{script}"), arguments).await?)
    }

    /// Runs a script that hands its answer to `done`.
    ///
    /// # Errors
    ///
    /// The script fails or never answers.
    pub async fn ask(&self, script: &str, arguments: Vec<Value>) -> Result<Value, Trouble> {
        let script = format!("{FINDER}\nconst done = arguments[arguments.length - 1];\n{script}");
        Ok(self.client.execute_async(&script, arguments).await?)
    }

    /// Waits until a script answers something that is neither null nor false nor empty.
    ///
    /// # Errors
    ///
    /// It doesn't within [`PATIENCE`]; then `what` says what was waited for, and the page's text stands beside it.
    pub async fn wait(&self, what: &str, script: &str, arguments: Vec<Value>) -> Result<Value, Trouble> {
        let begun = Instant::now();
        loop {
            let answer = self.look(script, arguments.clone()).await?;
            let empty = match &answer {
                Value::Null | Value::Bool(false) => true,
                Value::String(text) => text.is_empty(),
                Value::Array(list) => list.is_empty(),
                _ => false,
            };
            if !empty {
                return Ok(answer);
            }
            if begun.elapsed() > PATIENCE {
                let text = self.text().await.unwrap_or_default();
                return Err(format!("the page never showed {what}; it shows:\n{text}").into());
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Runs a script that finds something; nothing is found where it was drawn anew before it could be handed over.
    async fn look(&self, script: &str, arguments: Vec<Value>) -> Result<Value, Trouble> {
        match self.run(script, arguments).await {
            Err(error) if is_stale(&error) => Ok(Value::Null),
            answer => answer,
        }
    }

    /// Finds a control by its role and its accessible name.
    ///
    /// # Errors
    ///
    /// There is none within [`PATIENCE`].
    pub async fn find(&self, role: &str, name: &str) -> Result<Element, Trouble> {
        let found = self
            .wait(&format!("the {role} \"{name}\""), "return find(...arguments);", vec![json!(role), json!(name)])
            .await?;
        self.element(&found)
    }

    fn element(&self, found: &Value) -> Result<Element, Trouble> {
        let id = found.get(ELEMENT).and_then(Value::as_str).ok_or("the page answered no element")?;
        Ok(Element::from_element_id(self.client.clone(), ElementRef::from(id.to_owned())))
    }

    /// Whether there is such a control now.
    ///
    /// # Errors
    ///
    /// The page doesn't answer.
    pub async fn has(&self, role: &str, name: &str) -> Result<bool, Trouble> {
        Ok(!self.run("return find(...arguments);", vec![json!(role), json!(name)]).await?.is_null())
    }

    /// Clicks a control once it can be clicked.
    ///
    /// # Errors
    ///
    /// There is none, it stays inactive, or something covers it.
    pub async fn click(&self, role: &str, name: &str) -> Result<(), Trouble> {
        self.wait(
            &format!("the active {role} \"{name}\""),
            "const it = find(...arguments); return it !== null && !it.disabled && it.getAttribute('aria-disabled') !== 'true';",
            vec![json!(role), json!(name)],
        )
        .await?;
        self.click_found(
            &format!("the {role} \"{name}\""),
            "return find(...arguments);",
            vec![json!(role), json!(name)],
        )
        .await
    }

    /// Clicks what a script finds, and finds it again where it was drawn anew in between or something still moves over it.
    async fn click_found(&self, what: &str, script: &str, arguments: Vec<Value>) -> Result<(), Trouble> {
        let begun = Instant::now();
        loop {
            let found = self.wait(what, script, arguments.clone()).await?;
            match self.element(&found)?.click().await {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > PATIENCE => return Err(format!("{what}: {error}").into()),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// Finds a control by its role and the beginning of its name, and answers the whole name.
    ///
    /// # Errors
    ///
    /// There is none within [`PATIENCE`].
    pub async fn name_beginning(&self, role: &str, beginning: &str) -> Result<String, Trouble> {
        let script = "const it = all(top()).find((it) => role(it) === arguments[0] && name(it).startsWith(arguments[1]) && shown(it));
             return it === undefined ? null : name(it);";
        let what = format!("a {role} \"{beginning}…\"");
        let found = self.wait(&what, script, vec![json!(role), json!(beginning)]).await?;
        Ok(found.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until there is no such control any more.
    ///
    /// # Errors
    ///
    /// It is still there after [`PATIENCE`].
    pub async fn gone(&self, role: &str, name: &str) -> Result<(), Trouble> {
        let what = format!("an end of the {role} \"{name}\"");
        self.wait(&what, "return find(...arguments) === null;", vec![json!(role), json!(name)]).await?;
        Ok(())
    }

    /// Opens the row of a table that has this text in a cell of its own.
    ///
    /// # Errors
    ///
    /// There is none.
    pub async fn open_row(&self, text: &str) -> Result<(), Trouble> {
        let script = "const cell = [...document.querySelectorAll('[role=gridcell], [role=cell], td')]
             .find((it) => shown(it) && words(it.innerText) === arguments[0]);
             return cell ?? null;";
        self.click_found(&format!("a row with \"{text}\""), script, vec![json!(text)]).await
    }

    /// Clicks a button.
    ///
    /// # Errors
    ///
    /// As [`Page::click`].
    pub async fn button(&self, name: &str) -> Result<(), Trouble> {
        self.click("button", name).await
    }

    /// Clicks a link.
    ///
    /// # Errors
    ///
    /// As [`Page::click`].
    pub async fn link(&self, name: &str) -> Result<(), Trouble> {
        self.click("link", name).await
    }

    /// Fills a text field, in place of what stands in it.
    ///
    /// # Errors
    ///
    /// There is no such field, or it takes no text.
    pub async fn fill(&self, label: &str, text: &str) -> Result<(), Trouble> {
        let script = "for (const role of ['textbox', 'searchbox', 'spinbutton', 'combobox']) {
             const it = find(role, arguments[0]);
             if (it !== null && !it.disabled) return it;
         }
         return null;";
        let found = self.wait(&format!("the field \"{label}\""), script, vec![json!(label)]).await?;
        let field = self.element(&found)?;
        field.clear().await?;
        field.send_keys(text).await?;
        Ok(())
    }

    /// Chooses an entry of a dropdown.
    ///
    /// # Errors
    ///
    /// There is no such dropdown, or no such entry in it.
    pub async fn choose(&self, label: &str, entry: &str) -> Result<(), Trouble> {
        let list = "const list = find('combobox', arguments[0]) ?? find('button', arguments[0]);";
        let arguments = vec![json!(label), json!(entry)];
        let closed = format!("{list} return list?.getAttribute('aria-expanded') !== 'true';");
        if self.run(&closed, arguments.clone()).await? == json!(true) {
            let script = format!("{list} return list;");
            self.click_found(&format!("the dropdown \"{label}\""), &script, arguments.clone()).await?;
        }
        let found = "return all(document).find((it) => role(it) === 'option' && shown(it)
             && (name(it) === arguments[1] || name(it).startsWith(arguments[1] + ' '))) ?? null;";
        self.click_found(&format!("the entry \"{entry}\" of \"{label}\""), found, arguments).await
    }

    /// Waits until the page shows a text.
    ///
    /// # Errors
    ///
    /// It doesn't within [`PATIENCE`].
    pub async fn sees(&self, text: &str) -> Result<(), Trouble> {
        let script = "return words(document.body.innerText).includes(arguments[0]);";
        self.wait(&format!("\"{text}\""), script, vec![json!(text)]).await?;
        Ok(())
    }

    /// Waits until the page no longer shows a text.
    ///
    /// # Errors
    ///
    /// It still does after [`PATIENCE`].
    pub async fn sees_no_more(&self, text: &str) -> Result<(), Trouble> {
        let script = "return !words(document.body.innerText).includes(arguments[0]);";
        self.wait(&format!("an end of \"{text}\""), script, vec![json!(text)]).await?;
        Ok(())
    }

    /// All the text that the page shows.
    ///
    /// # Errors
    ///
    /// The page doesn't answer.
    pub async fn text(&self) -> Result<String, Trouble> {
        let text = self.run("return words(document.body.innerText);", Vec::new()).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Presses keys together: the last one while the others are held.
    ///
    /// # Errors
    ///
    /// The page doesn't answer.
    pub async fn press(&self, held: &[char], key: char) -> Result<(), Trouble> {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for held in held {
            actions = actions.then(KeyAction::Down { value: *held });
        }
        actions = actions.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        for held in held.iter().rev() {
            actions = actions.then(KeyAction::Up { value: *held });
        }
        Ok(self.client.perform_actions(actions).await?)
    }

    /// Types into whatever has the focus.
    ///
    /// # Errors
    ///
    /// The page doesn't answer.
    pub async fn types(&self, text: &str) -> Result<(), Trouble> {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for key in text.chars() {
            actions = actions.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        }
        Ok(self.client.perform_actions(actions).await?)
    }

    /// Asks axe-core what on this page a person could not use; answers a line for each finding.
    ///
    /// # Errors
    ///
    /// axe-core is not installed, or fails.
    pub async fn axe(&self) -> Result<Vec<String>, Trouble> {
        self.axe_with(&[]).await
    }

    /// Asks axe-core about colours alone, which is all that another theme changes.
    ///
    /// # Errors
    ///
    /// As [`Page::axe`].
    pub async fn axe_colours(&self) -> Result<Vec<String>, Trouble> {
        self.axe_with(&["color-contrast", "link-in-text-block"]).await
    }

    /// Asks axe-core for these rules; for all of them if none is named.
    async fn axe_with(&self, rules: &[&str]) -> Result<Vec<String>, Trouble> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/node_modules/axe-core/axe.min.js");
        let source = std::fs::read_to_string(&source).map_err(|error| format!("{}: {error}", source.display()))?;
        self.client.execute(&format!("if (window.axe === undefined) {{ {source} }}"), Vec::new()).await?;
        let found = self
            .ask(
                "// What floats belongs to the control that opened it, not to a landmark.
                 const floats = (it, node) => it.id === 'region' &&
                   node.element.closest('[data-bits-floating-content-wrapper]') !== null;
                 const rules = arguments[0].length > 0 ? { runOnly: arguments[0] } : {};
                 axe.run(document, { resultTypes: ['violations'], elementRef: true, ...rules }).then(
                   (results) => done(results.violations.flatMap((it) => it.nodes.filter((node) => !floats(it, node)).map(
                     (node) => `${it.id}: ${it.help}: ${node.html.slice(0, 200)} (${node.failureSummary})`))),
                   (error) => done([String(error)]));",
                vec![json!(rules)],
            )
            .await?;
        Ok(found.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

/// Whether an error says that an element was drawn anew meanwhile (W3C WebDriver, section 6.6).
fn is_stale(error: &Trouble) -> bool {
    error.downcast_ref::<CmdError>().is_some_and(CmdError::is_stale_element_reference)
}
