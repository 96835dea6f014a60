import { applySettings } from "../../app/appearance";
import type { Backend } from "../../backend/backend";
import type { Desktop } from "../../generated/Desktop";
import type { Opening } from "../../generated/Opening";
import type { SettingView } from "../../generated/SettingView";

/** The one preference that the desktop keeps and not the vault. */
export const START_AT_LOGIN = "start-at-login";

/** The settings as they are edited: each is saved by itself, and what can't be saved says so at its field. */
export class Preferences {
  opening = $state.raw<Opening | null>(null);
  desktop = $state.raw<Desktop | null>(null);
  /** Why nothing could be read. */
  error = $state.raw<unknown>(null);
  /** What stands in the fields. */
  entered = $state<Record<string, string>>({});
  /** Why a field's value was not taken. */
  errors = $state.raw<Record<string, unknown>>({});
  /** Whether a field's value was saved since it was edited. */
  saved = $state<Record<string, boolean>>({});

  #views = $state.raw<readonly SettingView[]>([]);
  #backend: Backend;
  /** What is being saved, so that it isn't saved twice, and the question before leaving doesn't fear for it. */
  #saving = $state.raw<Record<string, string>>({});
  /** Whose field was finished again while it was being saved. */
  #next = new Set<string>();
  #ended = false;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Whether all is read. */
  get ready(): boolean {
    return this.opening !== null && this.desktop !== null;
  }

  /** Whether a field holds what is not saved. */
  get unsaved(): boolean {
    return this.#views.some(({ name, value }) => this.entered[name] !== value && this.#saving[name] === undefined);
  }

  view(name: string): SettingView | undefined {
    return this.#views.find((view) => view.name === name);
  }

  /** Reads the settings; what someone is editing stays. */
  async read(): Promise<void> {
    try {
      const [views, desktop, opening] = await Promise.all([
        this.#backend.settings(),
        this.#backend.desktop(),
        this.opening ?? this.#backend.opening(),
      ]);
      if (this.#ended) return;
      for (const { name, value } of views) {
        const before = this.view(name)?.value;
        if (before === undefined || this.entered[name] === before) this.entered[name] = value;
      }
      this.#views = views;
      this.desktop = desktop;
      this.opening = opening;
      this.error = null;
    } catch (error) {
      if (!this.#ended) this.error = error;
    }
  }

  /** Takes what is typed, to be saved when it is finished. */
  enter(name: string, value: string) {
    this.entered[name] = value;
    this.saved[name] = false;
  }

  /** Saves what stands in a field, if it is not what is set; what is finished meanwhile is saved after it. */
  async save(name: string): Promise<void> {
    const value = this.entered[name]?.trim() ?? "";
    const view = this.view(name);
    if (view === undefined) return;
    if (this.#saving[name] !== undefined) {
      this.#next.add(name);
      return;
    }
    if (view.value === value) {
      this.entered[name] = value;
      this.#explain(name, null);
      return;
    }
    this.#saving = { ...this.#saving, [name]: value };
    try {
      await this.#backend.setSetting(name, value);
      this.#set(name, value);
    } catch (error) {
      // A chosen value that is not taken goes back to what is set; a typed one stays to be corrected.
      if (view.choices.length > 0 && this.entered[name] === value) this.entered[name] = view.value;
      this.#explain(name, error);
    }
    const { [name]: _, ...others } = this.#saving;
    this.#saving = others;
    if (this.#next.delete(name) && this.entered[name]?.trim() !== value) await this.save(name);
  }

  /** Chooses a value and saves it. */
  choose(name: string, value: string): Promise<void> {
    this.enter(name, value);
    return this.save(name);
  }

  /** Saves every field that holds what is not saved. */
  async saveAll(): Promise<void> {
    await Promise.all(this.#views.map(({ name }) => this.save(name)));
  }

  async startAtLogin(on: boolean): Promise<void> {
    const before = this.desktop;
    if (before === null) return;
    this.saved[START_AT_LOGIN] = false;
    this.desktop = { ...before, start_at_login: on };
    try {
      await this.#backend.setStartAtLogin(on);
      if (this.#ended) return;
      this.saved[START_AT_LOGIN] = true;
      this.#explain(START_AT_LOGIN, null);
    } catch (error) {
      if (this.#ended) return;
      this.desktop = before;
      this.#explain(START_AT_LOGIN, error);
    }
  }

  /** Takes no more answers. */
  end() {
    this.#ended = true;
  }

  #set(name: string, value: string) {
    this.#views = this.#views.map((each) => (each.name === name ? { ...each, value } : each));
    if (this.entered[name]?.trim() === value) {
      this.entered[name] = value;
      this.saved[name] = true;
    }
    this.#explain(name, null);
    if (this.opening !== null) applySettings(this.#views, this.opening.locale);
  }

  #explain(name: string, error: unknown) {
    const { [name]: _, ...others } = this.errors;
    this.errors = error === null ? others : { ...others, [name]: error };
  }
}
