import { clearMocks, mockIPC } from "@tauri-apps/api/mocks";
import { afterEach, expect, test } from "vitest";

import { BackendError } from "./backend";
import { tauriBackend } from "./tauri";

afterEach(clearMocks);

test("asks the command of the same name", async () => {
  mockIPC((command) => (command === "people" ? [] : Promise.reject("no such command")));

  expect(await tauriBackend.people()).toEqual([]);
});

test("hands on the report of a failed command unchanged", async () => {
  const report = { code: "vault-locked", message: "The keyring is locked.", hint: "Unlock it.", subject: "login" };
  mockIPC(() => Promise.reject(report));

  const error = await tauriBackend.people().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BackendError);
  expect((error as BackendError).report).toEqual(report);
});

test("makes a report of a refusal by Tauri itself", async () => {
  mockIPC(() => Promise.reject("people not allowed"));

  const error = await tauriBackend.people().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BackendError);
  expect((error as BackendError).report.code).toBe("command-refused");
  expect((error as BackendError).message).toContain("people not allowed");
});
