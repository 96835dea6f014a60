import type { Backend } from "../../backend/backend";
import type { ChangeRequest } from "../../generated/ChangeRequest";
import type { ChangeKind } from "../../generated/ChangeKind";
import type { DeviceFinding } from "../../generated/DeviceFinding";

/** A request for a credential as it is set up. */
export function asStored(kind: ChangeKind, credential: number): ChangeRequest {
  return {
    kind,
    credential,
    connect_with: "as-stored",
    algorithm: null,
    strategy: null,
    on_failure: null,
    at_once: null,
    leave_out: [],
    devices: null,
    options: null,
  };
}

/** "Check devices": what is found, as it comes. */
export class DeviceCheck {
  state = $state<"none" | "running" | "done" | "stopped">("none");
  findings = $state.raw<readonly DeviceFinding[]>([]);
  /** Why it could not be done at all. */
  error = $state.raw<unknown>(null);
  #backend: Backend;
  #stopping = false;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Looks at all devices as a key change would. */
  async run(credential: number): Promise<void> {
    if (this.state === "running") return;
    this.state = "running";
    this.#stopping = false;
    this.findings = [];
    this.error = null;
    const found: DeviceFinding[] = [];
    let drawn: number | null = null;
    try {
      await this.#backend.checkDevices(asStored("rotate", credential), null, (finding) => {
        found.push(finding);
        // Hundreds may come at once: the page is drawn once a frame.
        drawn ??= requestAnimationFrame(() => {
          drawn = null;
          this.findings = [...found];
        });
      });
      this.state = this.#stopping ? "stopped" : "done";
    } catch (error) {
      this.state = this.#stopping ? "stopped" : found.length > 0 ? "stopped" : "none";
      if (!this.#stopping) this.error = error;
    }
    if (drawn !== null) cancelAnimationFrame(drawn);
    this.findings = found;
  }

  /** Stops it; what was found stays. */
  async stop(): Promise<void> {
    if (this.state !== "running") return;
    this.#stopping = true;
    try {
      await this.#backend.stopCheck();
    } catch (error) {
      this.#stopping = false;
      this.error = error;
    }
  }

  /** For when the page is left: nobody waits for the answers any more. */
  leave() {
    if (this.state === "running") void this.stop();
  }
}
