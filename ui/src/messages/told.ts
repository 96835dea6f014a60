/**
 * What the core says, in the language that is chosen.
 *
 * English is the core's own language. Every other has the core's sentences in its `errors.json`, by the names that Rust
 * gives them: `NAME.message` and `NAME.hint`, filled with the report's arguments. An argument is also there as `…_word`,
 * in the letters that a `select` can name: `rolled_back` for `rolled-back`.
 */
import { IntlMessageFormat } from "intl-messageformat";

import type { Report } from "../generated/Report";
import { catalogue, type Language } from "./catalogue.svelte";

/** The two sentences of a report. */
export interface Told {
  message: string;
  hint: string;
}

const parsed = new Map<string, IntlMessageFormat>();

/** The report's sentences; the core's own where the catalogue lacks them or what fills them. */
export function told(report: Report): Told {
  return translated(report, catalogue.language) ?? { message: report.message, hint: report.hint };
}

function translated(report: Report, language: Language): Told | null {
  if (language === "en") return null;
  const inner = report.inner ? translated(report.inner, language) : undefined;
  // Half a sentence in each language would be worse than one whole.
  if (inner === null) return null;
  const values = valuesOf(report.arguments ?? {}, inner);
  const name = report.sentence ?? report.code;
  const message = filled(language, `${name}.message`, values);
  const hint = filled(language, `${name}.hint`, values);
  return message === null || hint === null ? null : { message, hint };
}

function valuesOf(given: Record<string, string>, inner: Told | undefined): Record<string, string> {
  const words = Object.entries(given).map(([name, text]) => [`${name}_word`, text.replace(/[^A-Za-z0-9]+/g, "_")]);
  const around = inner === undefined ? {} : { inner: inner.message, inner_hint: inner.hint };
  return { ...given, ...(Object.fromEntries(words) as Record<string, string>), ...around };
}

function filled(language: Language, key: string, values: Record<string, string>): string | null {
  const known = `${language} ${key}`;
  let message = parsed.get(known);
  if (message === undefined) {
    const { errors } = catalogue.areas(language) as { errors: Record<string, string> };
    const text = Object.hasOwn(errors, key) ? errors[key] : undefined;
    if (text === undefined) return null;
    message = new IntlMessageFormat(text, language);
    parsed.set(known, message);
  }
  try {
    return String(message.format(values));
  } catch {
    // A report of another version, which lacks what this sentence names.
    return null;
  }
}
