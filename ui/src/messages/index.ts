/**
 * The message catalogue: one JSON file an area and language, in ICU MessageFormat, so that plurals and word order are the
 * language's own and translators' programs can read it.
 */
import { IntlMessageFormat } from "intl-messageformat";

import { catalogue, type Language } from "./catalogue.svelte";
import type en from "./en";

type Areas = typeof en;

/** A message's name: its area and its name there. */
export type MessageKey = { [Area in keyof Areas & string]: `${Area}.${keyof Areas[Area] & string}` }[keyof Areas &
  string];

/** What a message is filled with. */
export type MessageValues = Record<string, string | number>;

/** A piece of a message: plain, or marked with a tag such as `<name>…</name>`. */
export interface Piece {
  text: string;
  tag: string | null;
}

/** The tags that a message can mark a part with. */
const TAGS = ["name", "strong", "code"] as const;

/** Set before a tag while it is formatted, because a value may be called the same: `<name>{name}</name>`. */
const MARKED = "marked-";

const parsed = new Map<string, IntlMessageFormat>();

/** The message in the language that is chosen; a view that calls it is drawn anew when the language changes. */
export function t(key: MessageKey, values?: MessageValues): string {
  // Plain text is given back as it is: no value may be taken for a tag.
  return pieces(key, values)
    .map((piece) => piece.text)
    .join("");
}

/** The message in pieces, for a view that shows a marked part in another way. */
export function pieces(key: MessageKey, values: MessageValues = {}): Piece[] {
  const tag = (name: string) => (parts: unknown[]) => ({ text: parts.join(""), tag: name });
  const tags = Object.fromEntries(TAGS.map((name) => [MARKED + name, tag(name)]));
  const formatted: unknown = message(key).format({ ...values, ...tags });
  const parts = Array.isArray(formatted) ? (formatted as unknown[]) : [formatted];
  return parts.map((part) => (isPiece(part) ? part : { text: String(part), tag: null }));
}

function isPiece(part: unknown): part is Piece {
  return typeof part === "object" && part !== null && "tag" in part;
}

function message(key: MessageKey): IntlMessageFormat {
  const language = catalogue.language;
  const name = `${language} ${key}`;
  const known = parsed.get(name);
  if (known !== undefined) return known;
  const marked = text(language, key).replace(new RegExp(`<(/?)(${TAGS.join("|")})>`, "g"), `<$1${MARKED}$2>`);
  const made = new IntlMessageFormat(marked, language);
  parsed.set(name, made);
  return made;
}

function text(language: Language, key: MessageKey): string {
  const dot = key.indexOf(".");
  const areas = catalogue.areas(language) as Record<string, Record<string, string>>;
  const found = areas[key.slice(0, dot)]?.[key.slice(dot + 1)];
  if (found === undefined) throw new Error(`the message ${key} is not in the catalogue of ${language}`);
  return found;
}
