import { parse, TYPE, type MessageFormatElement } from "@formatjs/icu-messageformat-parser";
import { afterEach, expect, test } from "vitest";

import { pieces, t } from ".";
import { catalogue, nearest } from "./catalogue.svelte";
import en from "./en";
import { duration, when } from "./format";
import pt from "./pt-BR";

afterEach(() => catalogue.choose("en"));

const languages = { en, "pt-BR": pt } as Record<string, Record<string, Record<string, string>>>;

function placeholders(elements: MessageFormatElement[]): string[] {
  return elements
    .flatMap((element): string[] => {
      switch (element.type) {
        case TYPE.argument:
        case TYPE.number:
        case TYPE.date:
        case TYPE.time:
          return [element.value];
        case TYPE.select:
        case TYPE.plural:
          return [element.value, ...Object.values(element.options).flatMap((option) => placeholders(option.value))];
        case TYPE.tag:
          return [`<${element.value}>`, ...placeholders(element.children)];
        default:
          return [];
      }
    })
    .filter((name, index, all) => all.indexOf(name) === index)
    .sort();
}

test("every language has every message, filled with the same values", () => {
  for (const [area, messages] of Object.entries(languages["en"] ?? {})) {
    // The English of these is the core's.
    if (area === "errors") continue;
    const translated = languages["pt-BR"]?.[area] ?? {};
    expect(Object.keys(translated).sort(), `the messages of ${area}`).toEqual(Object.keys(messages).sort());
    for (const [name, text] of Object.entries(messages)) {
      expect(placeholders(parse(translated[name] ?? "")), `${area}.${name}`).toEqual(placeholders(parse(text)));
    }
  }
});

test("no message speaks in exclamation marks or is empty", () => {
  for (const [language, areas] of Object.entries(languages)) {
    for (const [area, messages] of Object.entries(areas)) {
      for (const [name, text] of Object.entries(messages)) {
        expect(text.trim(), `${language} ${area}.${name} says nothing`).not.toBe("");
        expect(text, `${language} ${area}.${name}`).not.toMatch(/[!¡]|\bOops\b/);
      }
    }
  }
});

test("a value that looks like markup stays text", () => {
  expect(t("app.documentTitle", { page: "<b>{x}</b> '" })).toContain("<b>{x}</b> '");
  expect(pieces("app.documentTitle", { page: "<name>a</name>" }).every((piece) => piece.tag === null)).toBe(true);
});

test("a value may be called like a tag", () => {
  expect(t("people.editTitle", { name: "Ana" })).toBe("Edit Ana");
});

test("the nearest language is chosen for what a system says of itself", () => {
  expect(["pt", "pt_BR.UTF-8", "pt-PT", "de-DE", "C", "en-GB", ""].map(nearest)).toEqual([
    "pt-BR",
    "pt-BR",
    "pt-BR",
    "en",
    "en",
    "en",
    "en",
  ]);
});

test("times and durations are in the chosen language", () => {
  const now = new Date("2026-11-24T12:00:00Z");
  expect(when("2026-11-21T11:00:00Z", now)).toBe("3 days ago");
  expect(duration(7.34)).toBe("7.3\u00a0s");
  expect(duration(125)).toMatch(/2.*5/);
  catalogue.choose("pt-BR");
  expect(when("2026-11-21T11:00:00Z", now)).toBe("há 3 dias");
  expect(duration(7.34)).toBe("7,3\u00a0s");
});
