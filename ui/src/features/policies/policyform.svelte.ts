/** A policy's form while it is open: what is typed, what is wrong with it, what it would do. */
import { BackendError, type Backend } from "../../backend/backend";
import type { NewPolicy } from "../../generated/NewPolicy";
import type { PolicyView } from "../../generated/PolicyView";
import type { Simulation } from "../../generated/Simulation";
import { t } from "../../messages";
import { told } from "../../messages/told";
import { fieldsOf, NEW, read, sameFields, type PolicyFields } from "./fields";

/** What is wrong with a field, and what to do about it. */
interface Wrong {
  field: string;
  error: string;
  hint: string;
}

export class PolicyForm {
  fields = $state<PolicyFields>(fieldsOf(NEW));
  wrong = $state.raw<Wrong | null>(null);
  /** What no field is to blame for. */
  error = $state.raw<unknown>(null);
  busy = $state<"saving" | "simulating" | null>(null);
  #begun: PolicyFields;
  #drawn = $state.raw<{ of: PolicyFields; simulation: Simulation } | null>(null);
  #backend: Backend;
  #id: number | null;

  constructor(backend: Backend, policy: PolicyView | null) {
    this.#backend = backend;
    this.#id = policy?.id ?? null;
    this.#begun = fieldsOf(policy ?? NEW);
    this.fields = fieldsOf(policy ?? NEW);
  }

  /** Whether something was entered that would be lost. */
  get changed(): boolean {
    return !sameFields(this.fields, this.#begun);
  }

  /** What the form as it stands would do, if that was asked for. */
  get simulation(): Simulation | null {
    return this.#drawn !== null && sameFields({ ...this.fields, name: "" }, this.#drawn.of) ? this.#drawn.simulation : null;
  }

  problem(field: string): string | undefined {
    return this.wrong?.field === field ? this.wrong.error : undefined;
  }

  hint(field: string): string | undefined {
    return this.wrong?.field === field ? this.wrong.hint : undefined;
  }

  /** Saves; answers the policy, or null where something is wrong. */
  async save(): Promise<PolicyView | null> {
    if (this.fields.name.trim() === "") {
      this.wrong = { field: "name", error: t("policies.nameMissing"), hint: t("policies.nameMissingHint") };
      return null;
    }
    return this.#ask("saving", (form) => this.#backend.savePolicy(this.#id, form));
  }

  async simulate(): Promise<void> {
    const of = { ...$state.snapshot(this.fields), name: "" };
    const simulation = await this.#ask("simulating", (form) => this.#backend.simulatePolicy(form));
    if (simulation !== null) this.#drawn = { of, simulation };
  }

  async #ask<Answer>(busy: "saving" | "simulating", ask: (form: NewPolicy) => Promise<Answer>): Promise<Answer | null> {
    if (this.busy !== null) return null;
    this.wrong = null;
    this.error = null;
    const typed = read($state.snapshot(this.fields));
    if ("wrong" in typed) {
      this.wrong = { field: typed.wrong, error: t("policies.noNumber"), hint: t("policies.noNumberHint") };
      return null;
    }
    this.busy = busy;
    try {
      return await ask(typed.form);
    } catch (problem) {
      const report = problem instanceof BackendError ? problem.report : null;
      if (report?.field && report.field in this.fields) {
        const { message, hint } = told(report);
        this.wrong = { field: report.field, error: message, hint };
      } else this.error = problem;
      return null;
    } finally {
      this.busy = null;
    }
  }
}
