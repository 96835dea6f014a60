import type { Backend } from "../../backend/backend";
import type { CredentialForm } from "../../generated/CredentialForm";
import type { DeviceFinding } from "../../generated/DeviceFinding";

/** What a check depends on: a name or an owner may change without making it old. */
function subject(form: CredentialForm): string {
  const { username, kind, original_device, automatic, devices, secret } = form;
  return JSON.stringify({ username, kind, original_device, automatic, devices, secret });
}

/** "Check devices": what the devices say to the form as it stands. */
export class DevicesCheck {
  running = $state(false);
  /** How many devices are asked. */
  all = $state(0);
  stopped = $state(false);
  error = $state.raw<unknown>(null);
  // Kept beside a counter: a new map for each of 10,000 findings would copy the others 10,000 times.
  #findings = new Map<number, DeviceFinding>();
  #count = $state(0);
  #subject = $state("");
  #backend: Backend;
  #run = 0;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** How many devices have answered. */
  get answered(): number {
    return this.#count;
  }

  /** Whether there is something to show. */
  get begun(): boolean {
    return this.#subject !== "";
  }

  /** What one device said. */
  of(device: number): DeviceFinding | undefined {
    return this.#count > 0 ? this.#findings.get(device) : undefined;
  }

  /** What the devices said, in the order in which they did. */
  get findings(): DeviceFinding[] {
    return this.#count > 0 ? [...this.#findings.values()] : [];
  }

  /** Whether the form is another one since. */
  outdated(form: CredentialForm): boolean {
    return this.begun && subject(form) !== this.#subject;
  }

  async run(id: number | null, form: CredentialForm): Promise<void> {
    if (this.running) return;
    const run = ++this.#run;
    this.running = true;
    this.stopped = false;
    this.error = null;
    this.all = form.devices.length;
    this.#findings = new Map();
    this.#count = 0;
    this.#subject = subject(form);
    try {
      await this.#backend.checkForm({ id, form }, (finding) => {
        if (run !== this.#run) return;
        this.#findings.set(finding.device_id, finding);
        this.#count = this.#findings.size;
      });
    } catch (error) {
      if (run === this.#run) this.error = error;
    } finally {
      if (run === this.#run) this.running = false;
    }
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    this.stopped = true;
    try {
      await this.#backend.stopCheck();
    } catch (error) {
      this.error = error;
    }
  }

  /** The form is left. */
  end() {
    this.#run += 1;
    if (this.running) this.#backend.stopCheck().catch(() => undefined);
  }
}
