import { Channel, invoke } from "@tauri-apps/api/core";

import type { Report } from "../generated/Report";
import { BackendError, type Backend } from "./backend";

/** The backend of the real window: each call is a command of `src-tauri/src/commands`. */
export const tauriBackend: Backend = {
  opening: () => call("opening"),
  checkKeyring: () => call("check_keyring"),
  watch: (onNotice) => call("watch", { notices: channel(onNotice) }),
  copy: (text) => call("copy", { text }),
  stopAndClose: () => call("stop_and_close"),

  proposals: () => call("proposals"),

  people: () => call("people"),
  savePerson: (id, form) => call("save_person", { id, form }),
  removePerson: (id, handOverTo) => call("remove_person", { id, handOverTo }),

  devices: () => call("devices"),
  saveDevice: (id, form) => call("save_device", { id, form }),
  removeDevice: (id) => call("remove_device", { id }),
  scanDevices: (ids, onScanned) => call("scan_devices", { ids, scanned: channel(onScanned) }),
  stopScan: () => call("stop_scan"),
  pinHostKeys: (pins) => call("pin_host_keys", { pins }),
  chooseCsv: () => call("choose_csv"),
  importDevices: (draft) => call("import_devices", { draft }),

  credentials: () => call("credentials"),
  credential: (id) => call("credential", { id }),
  saveCredential: (id, form, standing) => call("save_credential", { id, form, standing }),
  removeCredential: (id, standing) => call("remove_credential", { id, standing }),
  setCredentialEnabled: (id, enabled) => call("set_credential_enabled", { id, enabled }),
  accepts: (id) => call("accepts", { id }),
  destroyKey: (id, name, version, giveUp) => call("destroy_key", { id, name, version, giveUp }),
  revealKey: (id, name, passphrase) => call("reveal_key", { id, name, passphrase }),

  policies: () => call("policies"),
  savePolicy: (id, form) => call("save_policy", { id, form }),
  removePolicy: (id) => call("remove_policy", { id }),
  simulatePolicy: (form) => call("simulate_policy", { form }),
  comingChange: (policy, credential) => call("coming_change", { policy, credential }),

  generateKey: (algorithm, comment) => call("generate_key", { algorithm, comment }),
  chooseKeyFile: () => call("choose_key_file"),
  pasteKey: () => call("paste_key"),
  unlockKey: (draft, passphrase) => call("unlock_key", { draft, passphrase }),
  dropDraft: (draft) => call("drop_draft", { draft }),

  checkDevices: (request, only, onFinding) => call("check_devices", { request, only, findings: channel(onFinding) }),
  checkForm: (check, onFinding) => call("check_form", { check, findings: channel(onFinding) }),
  stopCheck: () => call("stop_check"),

  beginChange: (request) => call("begin_change", { request }),
  requestChange: (request, at) => call("request_change", { request, at }),
  stepChange: (id, step) => call("step_change", { id, step }),
  stopChange: (id) => call("stop_change", { id }),
  changeAccepts: (id, onAnswer) => call("change_accepts", { id, answers: channel(onAnswer) }),
  changes: () => call("changes"),
  change: (id) => call("change", { id }),

  audit: (filter) => call("audit", { filter }),
  verifyAudit: () => call("verify_audit"),
  exportAudit: (format) => call("export_audit", { format }),
  writeFleetReport: (format) => call("write_fleet_report", { format }),
  writeProof: (id, format) => call("write_proof", { id, format }),
  verifyProof: () => call("verify_proof"),

  backupStanding: () => call("backup_standing"),
  createBackup: (passphrase, recipient) => call("create_backup", { passphrase, recipient }),
  chooseBackupFolder: () => call("choose_backup_folder"),
  chooseBackup: () => call("choose_backup"),
  openBackup: (draft, passphrase) => call("open_backup", { draft, passphrase }),
  restoreBackup: (draft) => call("restore_backup", { draft }),

  settings: () => call("settings"),
  setSetting: (name, value) => call("set_setting", { name, value }),
  desktop: () => call("desktop"),
  setStartAtLogin: (on) => call("set_start_at_login", { on }),
};

async function call<Answer>(command: string, args?: Record<string, unknown>): Promise<Answer> {
  try {
    return await invoke<Answer>(command, args);
  } catch (error) {
    throw new BackendError(isReport(error) ? error : refused(command, error));
  }
}

function channel<Message>(onMessage: (message: Message) => void): Channel<Message> {
  const made = new Channel<Message>();
  made.onmessage = onMessage;
  return made;
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
