import type { Accepts } from "../generated/Accepts";
import type { AuditFilter } from "../generated/AuditFilter";
import type { AuditRecord } from "../generated/AuditRecord";
import type { Algorithm } from "../generated/Algorithm";
import type { BackupCreated } from "../generated/BackupCreated";
import type { BackupRestored } from "../generated/BackupRestored";
import type { BackupStanding } from "../generated/BackupStanding";
import type { ChangePage } from "../generated/ChangePage";
import type { ChangeRequest } from "../generated/ChangeRequest";
import type { ChangeView } from "../generated/ChangeView";
import type { Coming } from "../generated/Coming";
import type { ChosenBackup } from "../generated/ChosenBackup";
import type { CredentialDetails } from "../generated/CredentialDetails";
import type { CredentialForm } from "../generated/CredentialForm";
import type { CredentialRow } from "../generated/CredentialRow";
import type { CsvDraft } from "../generated/CsvDraft";
import type { Desktop } from "../generated/Desktop";
import type { DeviceFinding } from "../generated/DeviceFinding";
import type { DeviceRow } from "../generated/DeviceRow";
import type { DraftKey } from "../generated/DraftKey";
import type { Exported } from "../generated/Exported";
import type { FleetFormat } from "../generated/FleetFormat";
import type { FormCheck } from "../generated/FormCheck";
import type { Held } from "../generated/Held";
import type { KeyChoice } from "../generated/KeyChoice";
import type { NewDevice } from "../generated/NewDevice";
import type { NewPerson } from "../generated/NewPerson";
import type { NewPolicy } from "../generated/NewPolicy";
import type { Notice } from "../generated/Notice";
import type { Opening } from "../generated/Opening";
import type { PersonRow } from "../generated/PersonRow";
import type { Pin } from "../generated/Pin";
import type { PinsDone } from "../generated/PinsDone";
import type { PolicyView } from "../generated/PolicyView";
import type { Preview } from "../generated/Preview";
import type { ProofFormat } from "../generated/ProofFormat";
import type { ProofVerified } from "../generated/ProofVerified";
import type { Proposals } from "../generated/Proposals";
import type { Report } from "../generated/Report";
import type { ReportWritten } from "../generated/ReportWritten";
import type { RestorePreview } from "../generated/RestorePreview";
import type { Scanned } from "../generated/Scanned";
import type { SettingView } from "../generated/SettingView";
import type { Simulation } from "../generated/Simulation";
import type { Standing } from "../generated/Standing";
import type { Step } from "../generated/Step";
import type { Verdict } from "../generated/Verdict";

/**
 * The one door to Rust. Screens know this interface only, so that their tests put a fake behind it.
 *
 * Each method is the command of the same name (`src-tauri/src/commands`). A call that fails rejects with a `BackendError`.
 * What a method takes as `on…` is called for each result as it comes, and never after the promise has settled.
 */
export interface Backend {
  /** What runs, where its data lies, and why the data can't be used if so. */
  opening(): Promise<Opening>;
  /** Settles when the keyring can be used; rejects with the reason while it can't. */
  checkKeyring(): Promise<void>;
  /** Hands over what happens by itself, from now on: changes' events, edits from elsewhere, the window's close button. */
  watch(onNotice: (notice: Notice) => void): Promise<void>;
  /** Puts public text into the clipboard. */
  copy(text: string): Promise<void>;
  /** Lets the devices in hand be finished, leaves the running changes for later and ends the program. */
  stopAndClose(): Promise<void>;

  /** What a person may decide about changes that don't begin by themselves. */
  proposals(): Promise<Proposals>;

  people(): Promise<PersonRow[]>;
  /** Adds a person (no ID), or gives one these fields. */
  savePerson(id: number | null, form: NewPerson): Promise<PersonRow>;
  removePerson(id: number, handOverTo: number | null): Promise<void>;

  devices(): Promise<DeviceRow[]>;
  /** Adds a device (no ID), or gives one these fields. */
  saveDevice(id: number | null, form: NewDevice): Promise<DeviceRow>;
  removeDevice(id: number): Promise<void>;
  /** Asks devices which host keys they offer; settles when all have answered or the scan was stopped. */
  scanDevices(ids: number[], onScanned: (scanned: Scanned) => void): Promise<void>;
  stopScan(): Promise<void>;
  /** Pins keys of the last scan. */
  pinHostKeys(pins: Pin[]): Promise<PinsDone>;
  /** Lets the person choose a CSV file and says what its import would do; null where none was chosen. */
  chooseCsv(): Promise<CsvDraft | null>;
  importDevices(draft: number): Promise<Preview>;

  credentials(): Promise<CredentialRow[]>;
  credential(id: number): Promise<CredentialDetails>;
  /** Adds a credential (no ID), or gives one these fields; answers its ID. */
  saveCredential(id: number | null, form: CredentialForm, standing: Standing): Promise<number>;
  removeCredential(id: number, standing: Standing): Promise<void>;
  setCredentialEnabled(id: number, enabled: boolean): Promise<void>;
  /** Asks each device which key versions it accepts now. */
  accepts(id: number): Promise<Accepts[]>;
  /** Destroys a retired version of the key; answers what holds it up all the same, or nothing where it is gone. */
  destroyKey(id: number, name: string, version: number, giveUp: number[]): Promise<Held[]>;
  /** Lets the person choose a file and writes the private key to it; answers its path, or null where none was chosen. */
  revealKey(id: number, name: string, passphrase: string | null): Promise<string | null>;

  policies(): Promise<PolicyView[]>;
  /** Adds a policy (no ID), or gives one these fields. */
  savePolicy(id: number | null, form: NewPolicy): Promise<PolicyView>;
  removePolicy(id: number): Promise<void>;
  /** Says what a policy with these fields would do in the coming days. */
  simulatePolicy(form: NewPolicy): Promise<Simulation>;
  /** Says when a credential, or one that is being made (no ID), would change by itself under a policy. */
  comingChange(policy: number, credential: number | null): Promise<Coming>;

  /** Makes a key pair, which stays in Rust's memory until a credential is saved with it or it is dropped. */
  generateKey(algorithm: Algorithm, comment: string): Promise<DraftKey>;
  /** Lets the person choose a private key file; null where none was chosen. */
  chooseKeyFile(): Promise<KeyChoice | null>;
  /** Reads a private key from the clipboard. */
  pasteKey(): Promise<KeyChoice>;
  /** Decrypts a key that was chosen. */
  unlockKey(draft: number, passphrase: string): Promise<DraftKey>;
  /** Forgets a key, a CSV file or a backup that was chosen. */
  dropDraft(draft: number): Promise<void>;

  /** Looks at the devices of a credential as a change would, or as the form stands; changes nothing. */
  checkDevices(request: ChangeRequest, only: number[] | null, onFinding: (finding: DeviceFinding) => void): Promise<void>;
  checkForm(check: FormCheck, onFinding: (finding: DeviceFinding) => void): Promise<void>;
  stopCheck(): Promise<void>;

  /** Begins a change, an installation or a removal; answers the change's ID as soon as it is begun. */
  beginChange(request: ChangeRequest): Promise<number>;
  /** Asks for a key change at a time (RFC 3339); answers the ID of the change that waits for it. */
  requestChange(request: ChangeRequest, at: string): Promise<number>;
  /** Goes on with a change; answers the ID of the change that now runs (an undo is a change of its own). */
  stepChange(id: number, step: Step): Promise<number>;
  /** Finishes the device in hand and leaves the change interrupted. */
  stopChange(id: number): Promise<void>;
  /** Asks each device of a change which key versions it accepts now; `stopCheck` ends it after the devices in hand. */
  changeAccepts(id: number, onAnswer: (answer: Accepts) => void): Promise<void>;
  changes(): Promise<ChangeView[]>;
  change(id: number): Promise<ChangePage>;

  audit(filter: AuditFilter): Promise<AuditRecord[]>;
  verifyAudit(): Promise<Verdict>;
  /** Lets the person choose a file and writes the whole audit to it; null where none was chosen. */
  exportAudit(format: "csv" | "json"): Promise<Exported | null>;
  /** Lets the person choose a file and writes to it how all credentials stand; null where none was chosen. */
  writeFleetReport(format: FleetFormat): Promise<ReportWritten | null>;
  /** Lets the person choose a file and writes the proof of a change to it; null where none was chosen. */
  writeProof(id: number, format: ProofFormat): Promise<ReportWritten | null>;
  /** Lets the person choose a proof and compares it with the journal and the audit; null where none was chosen. */
  verifyProof(): Promise<ProofVerified | null>;

  /** How far the newest backup goes. */
  backupStanding(): Promise<BackupStanding>;
  /** Lets the person choose a file and writes a backup to it, with a passphrase or else for a recipient; null where none was chosen. */
  createBackup(passphrase: string | null, recipient: string): Promise<BackupCreated | null>;
  chooseBackupFolder(): Promise<string | null>;
  /** Lets the person choose a backup; null where none was chosen. */
  chooseBackup(): Promise<ChosenBackup | null>;
  /** Opens a backup that was chosen, with a passphrase or else with the identity in a file that the person chooses. */
  openBackup(draft: number, passphrase: string | null): Promise<RestorePreview | null>;
  /** Restores a backup that was opened; Rust forgets it, whatever comes of it. */
  restoreBackup(draft: number): Promise<BackupRestored>;

  settings(): Promise<SettingView[]>;
  setSetting(name: string, value: string): Promise<void>;
  /** What this desktop offers, and what of it is on. */
  desktop(): Promise<Desktop>;
  setStartAtLogin(on: boolean): Promise<void>;
}

/** An error as the core explains it: what happened, and what to do next. */
export class BackendError extends Error {
  readonly report: Report;

  constructor(report: Report) {
    super(report.message);
    this.name = "BackendError";
    this.report = report;
  }
}
