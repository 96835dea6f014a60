/** For tests: the settings as Rust lists them. */
import type { Desktop } from "../../generated/Desktop";
import type { Opening } from "../../generated/Opening";
import type { SettingView } from "../../generated/SettingView";

function setting(name: string, value: string, choices: string[], unit: string | null = null): SettingView {
  return { name, label: name, value, default: value, allowed: "", choices, unit };
}

export const SETTINGS: SettingView[] = [
  setting("connection-timeout", "10", [], "seconds"),
  setting("stage-timeout", "30", [], "seconds"),
  setting("days-of-undo", "7", [], "days"),
  setting("theme", "system", ["system", "light", "dark"]),
  setting("language", "system", ["system", "en", "pt-BR"]),
  setting("keep-running-in-tray", "on", ["on", "off"]),
  setting("notifications", "on", ["on", "off"]),
  setting("backup-recipient", "", []),
  setting("backup-folder", "", []),
  setting("pause-automatic-changes", "off", []),
  setting("program-after-change", "", []),
];

export const OPENING: Opening = {
  version: "0.1.0",
  system: "Linux x86_64, GNOME",
  data_dir: "/home/ana/.local/share/keywheel",
  locale: "en-GB",
  problem: null,
};

export const DESKTOP: Desktop = { tray: true, start_at_login: false };
