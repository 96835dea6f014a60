import en from "./en";
import pt from "./pt-BR";

/** The languages that the catalogue has. */
export const LANGUAGES = ["en", "pt-BR"] as const;

export type Language = (typeof LANGUAGES)[number];

class Catalogue {
  #language = $state<Language>("en");

  /** The language that is chosen. */
  get language(): Language {
    return this.#language;
  }

  /** Chooses a language, for the page itself, too: screen readers pronounce by it. */
  choose(language: Language) {
    this.#language = language;
    document.documentElement.lang = language;
  }

  areas(language: Language): object {
    return language === "pt-BR" ? pt : en;
  }
}

export const catalogue = new Catalogue();

/** The catalogue's language that is nearest to one that a setting or the system names. */
export function nearest(wanted: string): Language {
  const exact = LANGUAGES.find((language) => language.toLowerCase() === wanted.toLowerCase());
  if (exact !== undefined) return exact;
  const [base] = wanted.toLowerCase().split(/[-_.]/);
  return base === "pt" ? "pt-BR" : "en";
}
