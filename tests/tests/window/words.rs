//! Words: those of another language, and names that are written like code.

use std::collections::BTreeSet;
use std::path::Path;

use keywheel_fleet::Trouble;
use serde_json::Value;

use crate::screens::{Names, PLAIN, World, go, visit};

/// What each of these would do if it were taken for more than text shows in `window.pwned` or as an element.
const HOSTILE: Names = Names {
    devices: [
        "<img src=x onerror=\"window.pwned=1\">",
        "\"><script>window.pwned=2</script>",
        "שלום {count} 🔑 '; DROP TABLE device; --",
    ],
    credentials: ["</b>{count} \"it's\" &amp; 🔑", "<svg onload=window.pwned=3>{name}"],
    person: "<b>Ada</b> {name, plural, other {x}} مرحبا",
    tag: "<iframe src=\"javascript:window.pwned=4\">",
};

#[tokio::test]
async fn names_with_quotes_markup_emoji_and_foreign_scripts_are_text_on_every_screen() -> Result<(), Trouble> {
    let world = World::new(HOSTILE).await?;
    let window = world.place.open().await?;
    let made = "return [typeof window.pwned, [...document.querySelectorAll('img, iframe, b, i, body script, [onerror], [onload]')]
         .map((it) => it.outerHTML.slice(0, 200))];";
    let mut shown = BTreeSet::new();
    let names = [HOSTILE.devices.as_slice(), &HOSTILE.credentials, &[HOSTILE.person, HOSTILE.tag]].concat();
    visit(&window, &world, &mut async |screen| {
        let found = window.run(made, Vec::new()).await?;
        assert_eq!(found, serde_json::json!(["undefined", []]), "{screen}: a name was taken for code");
        let text = window.text().await?;
        shown.extend(names.iter().copied().filter(|name| text.contains(name)));
        Ok(())
    })
    .await?;
    window.close().await?;
    assert_eq!(shown, names.into_iter().collect(), "every name is shown somewhere, letter for letter");
    Ok(())
}

/// The texts of a catalogue that are shown as they stand.
fn catalogue(language: &str) -> Result<BTreeSet<String>, Trouble> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/src/messages").join(language);
    let mut texts = BTreeSet::new();
    for file in std::fs::read_dir(folder)? {
        let file = file?.path();
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let messages: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        let values = messages.as_object().into_iter().flatten().filter_map(|(_, text)| text.as_str());
        texts.extend(values.filter(|text| !text.contains(['{', '<'])).map(str::to_owned));
    }
    Ok(texts)
}

#[tokio::test]
async fn portuguese_applies_at_once_and_leaves_no_english_on_any_screen() -> Result<(), Trouble> {
    let (english, portuguese) = (catalogue("en")?, catalogue("pt-BR")?);
    let world = World::new(PLAIN).await?;
    let window = world.place.open().await?;
    go(&window, "#/settings", "Stage timeout").await?;
    window.run("window.before = true;", Vec::new()).await?;
    window.choose("Language", "Português (Brasil)").await?;
    window.find("heading", "Configurações").await?;
    assert_eq!(window.run("return window.before;", Vec::new()).await?, true, "the page was loaded anew");
    assert_eq!(window.run("return document.documentElement.lang;", Vec::new()).await?, "pt-BR");

    let texts = "const texts = new Set();
         const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
         while (walk.nextNode()) if (shown(walk.currentNode.parentElement)) texts.add(words(walk.currentNode.textContent));
         for (const it of document.querySelectorAll('[aria-label], [title], [placeholder]'))
           if (shown(it)) for (const name of ['aria-label', 'title', 'placeholder']) texts.add(words(it.getAttribute(name) ?? ''));
         return [...texts];";
    let key = world.address();
    let [first, ..] = world.names.devices;
    let mut wrong = Vec::new();
    for (address, says) in [
        ("#/overview", "Trocas por semana"),
        ("#/credentials", "admin"),
        (&key, "Impressão digital"),
        (&format!("{key}/edit"), "Nome de usuário"),
        (&format!("{key}/change"), "2 de 2"),
        ("#/devices", first),
        ("#/devices/1", "127.0.0.1"),
        ("#/devices/new", "127.0.0.1"),
        ("#/devices/import", "CSV"),
        ("#/people", "Ada Byron"),
        ("#/changes", "deploy"),
        ("#/changes/1", "web-2"),
        ("#/policies", "Standard"),
        ("#/policies/new", "Idade máxima da chave"),
        ("#/audit", "person-add"),
        ("#/settings", "Configurações"),
    ] {
        go(&window, address, says).await?;
        let found: Vec<String> = serde_json::from_value(window.run(texts, Vec::new()).await?)?;
        assert!(found.iter().any(|text| portuguese.contains(text)), "{address}: nothing is Portuguese: {found:?}");
        let left = found.into_iter().filter(|text| english.contains(text) && !portuguese.contains(text));
        wrong.extend(left.map(|text| format!("{address}: \"{text}\"")));
    }
    // What the core refuses is said in the same language.
    go(&window, "#/devices/new", "Novo dispositivo").await?;
    window.fill("Nome", first).await?;
    window.fill("Endereço", "127.0.0.1").await?;
    window.button("Salvar").await?;
    window.sees(&format!("Já existe um dispositivo com o nome “{first}”.")).await?;
    window.close().await?;
    assert!(wrong.is_empty(), "still English:\n{}", wrong.join("\n"));
    Ok(())
}
