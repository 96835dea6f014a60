import { BackendError, type Backend } from "../../backend/backend";
import type { CredentialDetails } from "../../generated/CredentialDetails";
import type { CredentialForm } from "../../generated/CredentialForm";
import type { DraftKey } from "../../generated/DraftKey";
import type { FormSecret } from "../../generated/FormSecret";
import type { Standing } from "../../generated/Standing";
import { t, type MessageKey } from "../../messages";
import { told } from "../../messages/told";
import { ChosenKey } from "./key.svelte";
import {
  fieldOf,
  lacksAuthentication,
  sameFields,
  strandedDevices,
  TABS,
  tabOf,
  toForm,
  type FieldName,
  type Fields,
  type TabId,
} from "./rules";

/** What is wrong with a field, for as long as the field holds what it was said about. */
interface Problem {
  message: () => string;
  hint: () => string | null;
  about: string;
}

/** What has to be answered before the form is saved. */
export type Question =
  | { ask: "same-key"; key: DraftKey; answer: (goOn: boolean) => void }
  | { ask: "stranded"; devices: number[]; answer: (standing: Standing | null) => void };

/** A credential's form: what it holds, what is wrong with it, and how it is saved. */
export class FormState {
  /** The saved credential that is edited; null for a new one. */
  readonly id: number | null;
  fields = $state() as Fields;
  /** A password that was typed; gone as soon as it is saved. */
  password = $state("");
  tab = $state<TabId>("information");
  saving = $state(false);
  /** A refusal that is about no field. */
  error = $state.raw<unknown>(null);
  question = $state.raw<Question | null>(null);
  readonly key: ChosenKey;
  #problems = $state.raw<Partial<Record<FieldName, Problem>>>({});
  #backend: Backend;
  #before: Fields;
  #saved = false;
  #ended = false;

  constructor(backend: Backend, id: number | null, fields: Fields) {
    this.#backend = backend;
    this.id = id;
    this.key = new ChosenKey(backend);
    this.#before = fields;
    this.fields = { ...fields };
  }

  /** Whether something would be lost if the form were left. */
  get changed(): boolean {
    if (this.#saved) return false;
    return this.password !== "" || this.key.draft !== null || !sameFields(this.#before, this.fields);
  }

  /** The key or password that is saved with the form. */
  get secret(): FormSecret | null {
    if (this.fields.kind === "password") return this.password === "" ? null : { password: this.password };
    return this.id === null && this.key.key !== null ? { key: this.key.key.draft } : null;
  }

  /** The form as Rust takes it. */
  get form(): CredentialForm {
    return toForm(this.fields, this.secret);
  }

  /** What is wrong with a field. */
  problem(field: FieldName): string | null {
    return this.#standing(field)?.message() ?? null;
  }

  /** What to do about it. */
  hint(field: FieldName): string | null {
    return this.#standing(field)?.hint() ?? null;
  }

  /** Whether something on the tab is wrong. */
  marked(tab: TabId): boolean {
    return (Object.keys(this.#problems) as FieldName[]).some(
      (field) => tabOf(field) === tab && this.#standing(field) !== null,
    );
  }

  /** Saves the form; answers the credential's ID, or null where it was not saved. */
  async save(before: CredentialDetails | null, devices: readonly { id: number; name: string }[]): Promise<number | null> {
    if (this.saving) return null;
    this.saving = true;
    this.error = null;
    try {
      if (!this.#complete()) return null;
      const standing = await this.#asked(before, devices);
      if (standing === null || this.#ended) return null;
      const id = await this.#backend.saveCredential(this.id, this.form, standing);
      this.#saved = true;
      this.password = "";
      if (this.fields.kind === "ssh-key") this.key.forget();
      return this.#ended ? null : id;
    } catch (error) {
      this.refused(error);
      return null;
    } finally {
      this.saving = false;
      // Rust needs the key for as long as it saves.
      if (this.#ended) this.key.end();
    }
  }

  /** Shows a refusal at its field, or at the foot where it is about none. */
  refused(error: unknown) {
    const field = error instanceof BackendError ? fieldOf(error.report) : null;
    if (field === null || !(error instanceof BackendError) || !this.#shown(field)) {
      this.error = error;
      return;
    }
    const { report } = error;
    const { code } = report;
    if (code === "draft-gone") this.key.forget();
    if (code === "authentication-missing") this.#wrong({ auth_with: this.#local("auth_with", "form.chooseAuthentication") });
    else this.#wrong({ [field]: { message: () => told(report).message, hint: () => told(report).hint || null, about: this.#value(field) } });
  }

  /** The form is left. */
  end() {
    this.#ended = true;
    this.password = "";
    if (this.question?.ask === "same-key") this.question.answer(false);
    else this.question?.answer(null);
    if (!this.saving) this.key.end();
  }

  /** Looks for what is plainly missing; the rest is Rust's to judge. */
  #complete(): boolean {
    const { fields } = this;
    const missing: Partial<Record<FieldName, MessageKey>> = {};
    if (fields.name.trim() === "") missing.name = "form.nameMissing";
    if (fields.username.trim() === "") missing.username = "form.usernameMissing";
    if (fields.originalDevice === null) missing.original_device = "form.originalDeviceMissing";
    if (fields.kind === "password") {
      if (this.id === null && this.password === "") missing.password = "form.passwordMissing";
    } else {
      if (this.id === null && this.key.locked !== null) missing.passphrase = "form.keyLocked";
      else if (this.id === null && this.key.key === null) missing.key = "form.keyMissing";
      else if (this.id === null && this.key.stale) missing.algorithm = "form.keyStale";
      if (lacksAuthentication(fields.automatic)) missing.auth_with = "form.chooseAuthentication";
    }
    this.#wrong(
      Object.fromEntries(
        (Object.entries(missing) as [FieldName, MessageKey][]).map(([field, key]) => [field, this.#local(field, key)]),
      ),
    );
    return Object.keys(missing).length === 0;
  }

  #local(field: FieldName, key: MessageKey): Problem {
    return { message: () => t(key), hint: () => null, about: this.#value(field) };
  }

  /** Shows what is wrong, on the first tab that has it unless the open one does. */
  #wrong(problems: Partial<Record<FieldName, Problem>>) {
    this.#problems = problems;
    const first = TABS.find((tab) => this.marked(tab));
    if (first !== undefined && !this.marked(this.tab)) this.tab = first;
  }

  /** Asks what must be answered first; null where the answer was not to save. */
  async #asked(
    before: CredentialDetails | null,
    devices: readonly { id: number; name: string }[],
  ): Promise<Standing | null> {
    const key = this.fields.kind === "ssh-key" && this.id === null ? this.key.key : null;
    if (key !== null && key.others.length > 0) {
      const goOn = await new Promise<boolean>((answer) => (this.question = { ask: "same-key", key, answer }));
      this.question = null;
      if (!goOn) return null;
    }
    const stranded = before === null ? [] : strandedDevices(before, this.fields, devices);
    if (stranded.length === 0) return "refuse";
    const standing = await new Promise<Standing | null>(
      (answer) => (this.question = { ask: "stranded", devices: stranded, answer }),
    );
    this.question = null;
    return standing;
  }

  #standing(field: FieldName): Problem | null {
    const problem = this.#problems[field];
    return problem !== undefined && this.#shown(field) && problem.about === this.#value(field) ? problem : null;
  }

  /** Whether the form has the field as it stands. */
  #shown(field: FieldName): boolean {
    if (field === "password") return this.fields.kind === "password";
    if (["key", "algorithm", "passphrase"].includes(field)) {
      if (this.fields.kind === "password" || this.id !== null) return false;
      return field !== "passphrase" || this.key.locked !== null;
    }
    if (field === "auth_with" || field === "policy") return this.fields.kind === "ssh-key";
    return true;
  }

  #value(field: FieldName): string {
    const { fields, key } = this;
    const values: Record<FieldName, () => unknown> = {
      name: () => fields.name,
      username: () => fields.username,
      original_device: () => fields.originalDevice,
      tags: () => fields.tags,
      algorithm: () => [key.algorithm, key.draft],
      key: () => key.draft,
      passphrase: () => [key.locked?.draft, key.passphraseError === null],
      password: () => this.password,
      owner: () => fields.owner,
      auth_with: () => fields.automatic,
      policy: () => fields.policy,
      devices: () => [fields.originalDevice, ...fields.devices],
    };
    return JSON.stringify(values[field]()) ?? "";
  }
}
