import type { SettingView } from "../generated/SettingView";
import { catalogue, nearest } from "../messages/catalogue.svelte";

/** Gives the page the theme and the language that the settings say, or else the system. */
export function applySettings(settings: readonly SettingView[], locale: string) {
  const value = (name: string) => settings.find((setting) => setting.name === name)?.value ?? "system";
  const theme = value("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset["theme"] = theme;
  else delete document.documentElement.dataset["theme"];
  const language = value("language");
  catalogue.choose(nearest(language === "system" ? locale : language));
}
