import { invoke } from "@tauri-apps/api/core";

import type { About } from "../generated/About";
import type { Report } from "../generated/Report";
import { BackendError, type Backend } from "./backend";

/** The backend of the real window: each call is a command of `src-tauri/src/commands`. */
export const tauriBackend: Backend = {
  about: () => call<About>("about"),
};

async function call<Answer>(command: string, args?: Record<string, unknown>): Promise<Answer> {
  try {
    return await invoke<Answer>(command, args);
  } catch (error) {
    throw new BackendError(isReport(error) ? error : refused(command, error));
  }
}

function isReport(value: unknown): value is Report {
  return typeof value === "object" && value !== null && "code" in value && "message" in value && "hint" in value;
}

/** Tauri itself answers with plain text, where a command does not exist or is not allowed to this window. */
function refused(command: string, error: unknown): Report {
  return {
    code: "command-refused",
    message: `The window's call "${command}" was refused: ${String(error)}.`,
    hint: "Close Keywheel and open it again; if it stays, the program is damaged: install it again.",
    subject: null,
  };
}
