import { clearMocks, mockIPC } from "@tauri-apps/api/mocks";
import { afterEach, expect, test } from "vitest";

import { BackendError } from "./backend";
import { tauriBackend } from "./tauri";

afterEach(clearMocks);

test("asks the command of the same name", async () => {
  mockIPC((command) => (command === "about" ? { version: "1.2.3" } : Promise.reject("no such command")));

  expect(await tauriBackend.about()).toEqual({ version: "1.2.3" });
});

test("hands on the report of a failed command unchanged", async () => {
  const report = { code: "vault-locked", message: "The keyring is locked.", hint: "Unlock it.", subject: "login" };
  mockIPC(() => Promise.reject(report));

  const error = await tauriBackend.about().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BackendError);
  expect((error as BackendError).report).toEqual(report);
});

test("makes a report of a refusal by Tauri itself", async () => {
  mockIPC(() => Promise.reject("about not allowed"));

  const error = await tauriBackend.about().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BackendError);
  expect((error as BackendError).report.code).toBe("command-refused");
  expect((error as BackendError).message).toContain("about not allowed");
});
