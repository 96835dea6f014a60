import { expect, test, vi } from "vitest";

import { BackendError } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import { DeviceCheck } from "./check.svelte";
import { finding, report } from "./sample";

test("every finding is there at the end", async () => {
  const check = new DeviceCheck(
    fakeBackend({
      checkDevices: (request, only, onFinding) => {
        expect([request.kind, request.credential, request.connect_with, only]).toEqual(["rotate", 4, "as-stored", null]);
        onFinding(finding(3));
        onFinding(finding(1));
        return Promise.resolve();
      },
    }),
  );
  await check.run(4);
  expect([check.state, check.findings.length]).toEqual(["done", 2]);
});

test("a check that was stopped keeps what was found and does not call itself done", async () => {
  let end = () => {};
  const stopCheck = vi.fn(() => {
    end();
    return Promise.resolve();
  });
  const check = new DeviceCheck(
    fakeBackend({
      stopCheck,
      checkDevices: (_request, _only, onFinding) => {
        onFinding(finding(3));
        return new Promise((resolve) => (end = resolve));
      },
    }),
  );
  const run = check.run(1);
  await check.stop();
  await run;
  expect([check.state, check.findings.length, check.error]).toEqual(["stopped", 1, null]);
  check.leave();
  expect(stopCheck, "leaving stops what runs no more").toHaveBeenCalledOnce();
});

test("a check that can't be begun says why", async () => {
  const error = new BackendError(report("vault-locked", "The keyring is locked."));
  const check = new DeviceCheck(fakeBackend({ checkDevices: () => Promise.reject(error) }));
  await check.run(1);
  expect([check.state, check.error]).toEqual(["none", error]);
});
