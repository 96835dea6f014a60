/** A backend whose checks the tests answer, for this folder's tests. */
import type { Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { ChangeRequest } from "../../generated/ChangeRequest";
import type { CredentialRow } from "../../generated/CredentialRow";
import type { DeviceFinding } from "../../generated/DeviceFinding";
import type { DeviceRow } from "../../generated/DeviceRow";
import type { Report } from "../../generated/Report";
import { report } from "../changes/testing";

export function device(id: number): DeviceRow {
  return {
    id,
    name: `web-${id / 10}`,
    address: `10.0.0.${id}`,
    port: 22,
    jump: null,
    jump_with: null,
    tags: [],
    authorized_keys_path: null,
    enabled: true,
    host_keys: [],
    jump_id: null,
    jump_with_id: null,
    credentials: [],
    host_key_state: "pinned",
    last_seen: null,
    changed_host_key: null,
  };
}

export function sent(id: number, problems: (string | Report)[] = [], warnings: string[] = []): DeviceFinding {
  const path = "/home/deploy/.ssh/authorized_keys";
  return {
    device_id: id,
    finding: {
      device: `web-${id / 10}`,
      ready: problems.length === 0,
      method: "shell",
      files: [path],
      old_key_lines: 1,
      problems: problems.map((problem) => (typeof problem === "string" ? report(problem) : problem)),
      warnings: warnings.map((code) => report(code)),
      other_keys: [],
    },
    files: [
      {
        path,
        diff: `--- ${path}\n+++ ${path}\n@@ -1 +1,2 @@\n ssh-ed25519 AAAAold deploy\n+ssh-ed25519 AAAAnew deploy\n`,
        added: 1,
        removed: 0,
        untouched: 4,
      },
    ],
  };
}

/** One call of `checkDevices`, to be answered by the test. */
export interface AskedCheck {
  request: ChangeRequest;
  only: number[] | null;
  send: (finding: DeviceFinding) => void;
  end: () => void;
  fail: (error: unknown) => void;
}

export function checkingBackend(credentials: CredentialRow[], more: Partial<Backend> = {}) {
  const asked: AskedCheck[] = [];
  const ids = [...new Set(credentials.flatMap((credential) => credential.device_ids))];
  const backend = fakeBackend({
    credentials: () => Promise.resolve(credentials),
    credential: (id) => {
      const found = credentials.find((credential) => credential.id === id);
      if (found === undefined) return Promise.reject(new Error("There is no such credential."));
      return Promise.resolve({
        credential: found,
        randomart: null,
        username_fixed: [],
        truth: [],
        others_with_key: [],
        retired: [],
        changes: [],
      });
    },
    devices: () => Promise.resolve(ids.map(device)),
    checkDevices: (request, only, send) =>
      new Promise<void>((end, fail) => asked.push({ request, only, send, end: () => end(), fail })),
    stopCheck: () => Promise.resolve(),
    ...more,
  });
  return { backend, asked };
}
