import { expect, test } from "vitest";

import css from "./tokens.css?raw";

type Tokens = Record<string, string>;

function tokens(block: string): Tokens {
  return Object.fromEntries([...block.matchAll(/(--[\w-]+|color-scheme):\s*([^;]+);/g)].map(([, name, value]) => [name, value]));
}

function block(selector: string): Tokens {
  const start = css.indexOf(`${selector} {`);
  if (start < 0) throw new Error(`tokens.css has no ${selector}`);
  return tokens(css.slice(start, css.indexOf("}", start)));
}

const light = block(":root");
const dark = block(':root[data-theme="dark"]');
const themes: [string, Tokens][] = [
  ["light", light],
  ["dark", { ...light, ...dark }],
];

/** Relative luminance, as WCAG 2.2 defines it. */
function luminance(hex: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * (red ?? 0) + 0.7152 * (green ?? 0) + 0.0722 * (blue ?? 0);
}

function contrast(first: string, second: string): number {
  const [low, high] = [luminance(first), luminance(second)].sort((a, b) => a - b);
  return ((high ?? 0) + 0.05) / ((low ?? 0) + 0.05);
}

const GROUNDS = ["ground", "surface", "raised", "sunken", "hover", "selected"];

test("the dark theme is the same whether the system or the user chooses it", () => {
  expect(block(':root:not([data-theme="light"])')).toEqual(dark);
});

test("text is readable on every ground", () => {
  for (const [theme, values] of themes) {
    for (const text of ["ink", "ink-soft", "accent", "good", "attention", "danger"]) {
      for (const ground of GROUNDS) {
        const ratio = contrast(values[`--${text}`] ?? "", values[`--${ground}`] ?? "");
        expect(ratio, `${theme}: ${text} on ${ground}`).toBeGreaterThanOrEqual(4.5);
      }
    }
    for (const tone of ["accent", "good", "attention", "danger"]) {
      for (const text of [tone, "ink", "ink-soft"]) {
        const ratio = contrast(values[`--${text}`] ?? "", values[`--${tone}-soft`] ?? "");
        expect(ratio, `${theme}: ${text} on ${tone}-soft`).toBeGreaterThanOrEqual(4.5);
      }
    }
    for (const [text, ground] of [
      ["accent-ink", "accent"],
      ["accent-ink", "accent-strong"],
      ["danger-ink", "danger-fill"],
      ["danger-ink", "danger-fill-strong"],
    ]) {
      const ratio = contrast(values[`--${text}`] ?? "", values[`--${ground}`] ?? "");
      expect(ratio, `${theme}: ${text} on ${ground}`).toBeGreaterThanOrEqual(4.5);
    }
  }
});

test("the edges of controls and the lines of charts stand out", () => {
  for (const [theme, values] of themes) {
    for (const edge of ["line-strong", "series-1", "series-2", "series-3", "series-4", "series-5", "series-6"]) {
      for (const ground of ["ground", "surface", "raised"]) {
        const ratio = contrast(values[`--${edge}`] ?? "", values[`--${ground}`] ?? "");
        expect(ratio, `${theme}: ${edge} on ${ground}`).toBeGreaterThanOrEqual(3);
      }
    }
  }
});
