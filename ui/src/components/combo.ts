/** What a field with search computes without a page: which options match what is typed. */

export interface Option {
  value: string;
  label: string;
  detail?: string | undefined;
}

/** The most options that are drawn; more are found by typing. */
export const MOST = 50;

/** A text as it is searched: without case and accents. */
export function folded(text: string): string {
  return text.normalize("NFD").replace(/\p{Mark}/gu, "").toLowerCase();
}

/** The options in which every word that is typed occurs, those whose name begins with it first. */
export function matching(options: readonly Option[], typed: string): Option[] {
  const words = folded(typed).split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) return [...options];
  const found = options.filter((option) => {
    const text = folded(`${option.label} ${option.detail ?? ""}`);
    return words.every((word) => text.includes(word));
  });
  const begins = (option: Option) => (folded(option.label).startsWith(words[0] ?? "") ? 0 : 1);
  return found.sort((a, b) => begins(a) - begins(b));
}
