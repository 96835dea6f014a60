// Finds controls as a person does, and as a screen reader names them: by role and name.
const ROLES = {
  A: (it) => (it.hasAttribute("href") ? "link" : null),
  BUTTON: () => "button",
  SUMMARY: () => "button",
  SELECT: () => "combobox",
  TEXTAREA: () => "textbox",
  INPUT: (it) =>
    ({ checkbox: "checkbox", radio: "radio", button: "button", submit: "button", search: "searchbox", number: "spinbutton" })[
      it.type
    ] ?? (it.type === "hidden" ? null : "textbox"),
  H1: () => "heading",
  H2: () => "heading",
  H3: () => "heading",
  DIALOG: () => "dialog",
  TABLE: () => "table",
  FIELDSET: () => "group",
};

const role = (it) => it.getAttribute("role") ?? ROLES[it.tagName]?.(it) ?? null;

const words = (text) => text.replace(/\s+/g, " ").trim();

const said = (it) => {
  if (it.nodeType === Node.TEXT_NODE) return it.textContent;
  if (it.nodeType !== Node.ELEMENT_NODE || it.getAttribute("aria-hidden") === "true") return "";
  if (it.hasAttribute("aria-label")) return it.getAttribute("aria-label");
  return [...it.childNodes].map(said).join(getComputedStyle(it).display.startsWith("inline") ? "" : " ");
};

const name = (it) => {
  const by = it.getAttribute("aria-labelledby");
  if (by !== null) return words(by.split(/\s+/).map((id) => said(document.getElementById(id) ?? new Text())).join(" "));
  if (it.hasAttribute("aria-label")) return words(it.getAttribute("aria-label"));
  if (it.labels?.length > 0) return words([...it.labels].map(said).join(" "));
  if (it.tagName === "FIELDSET") return words(said(it.querySelector(":scope > legend") ?? new Text()));
  return words(said(it)) || words(it.getAttribute("title") ?? "");
};

const shown = (it) =>
  it.checkVisibility({ visibilityProperty: true, opacityProperty: false }) && it.closest("[inert], [aria-hidden=true]") === null;

const all = (scope) => [...scope.querySelectorAll("a, button, summary, input, select, textarea, h1, h2, h3, table, fieldset, [role]")];

// What is below an open dialog can't be reached.
const top = () => [...document.querySelectorAll("[role=dialog], [role=alertdialog], dialog[open]")].filter(shown).at(-1) ?? document;

const floating = () => [...document.querySelectorAll("[role=listbox], [role=menu]")].filter(shown).at(-1);

const find = (wantedRole, wantedName) => {
  const scopes = [floating(), top(), document].filter((scope) => scope !== undefined);
  for (const scope of scopes) {
    const found = all(scope).find((it) => role(it) === wantedRole && name(it) === wantedName && shown(it));
    if (found !== undefined) return found;
  }
  return null;
};
