import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { fakeBackend } from "../../backend/fake";
import type { Scanned } from "../../generated/Scanned";
import { answer, offeredKey } from "./fixtures";
import { Scan } from "./scan.svelte";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function slow() {
  let give: (scanned: Scanned) => void = () => undefined;
  let settle: () => void = () => undefined;
  const stopScan = vi.fn(() => {
    settle();
    return Promise.resolve();
  });
  const backend = fakeBackend({
    scanDevices: (_ids, onScanned) => {
      give = onScanned;
      return new Promise((resolve) => (settle = resolve));
    },
    stopScan,
  });
  return { backend, stopScan, give: (scanned: Scanned) => give(scanned), settle: () => settle() };
}

test("answers are gathered, and none is missing at the end", async () => {
  const { backend, give, settle } = slow();
  const scan = new Scan(backend);
  const ended = scan.start([1, 2, 3]);
  give(answer(1, [offeredKey(1, "a")]));
  give(answer(2, []));
  expect(scan.answers, "each answer draws the table").toHaveLength(0);
  vi.advanceTimersByTime(100);
  expect(scan.answers).toHaveLength(2);
  give(answer(3, []));
  settle();
  await ended;
  expect(scan.answers.map((one) => one.device_id)).toEqual([1, 2, 3]);
  expect([scan.running, scan.stopped, scan.asked]).toEqual([false, false, 3]);
});

test("stopping asks once, and says so", async () => {
  const { backend, stopScan } = slow();
  const scan = new Scan(backend);
  const ended = scan.start([1]);
  await Promise.all([scan.stop(), scan.stop(), ended]);
  expect(stopScan).toHaveBeenCalledOnce();
  expect([scan.running, scan.stopped]).toEqual([false, true]);
  await scan.stop();
  expect(stopScan, "nothing runs that could be stopped").toHaveBeenCalledOnce();
});

test("a page that is left stops its scan, and hears no more of it", async () => {
  const { backend, stopScan, give } = slow();
  const scan = new Scan(backend);
  const ended = scan.start([1]);
  give(answer(1, []));
  scan.end();
  vi.advanceTimersByTime(1000);
  await ended;
  expect(stopScan).toHaveBeenCalledOnce();
  expect(scan.answers).toEqual([]);
});

test("a scan that fails says why and can be begun again", async () => {
  const scan = new Scan(fakeBackend({ scanDevices: () => Promise.reject(new Error("no")) }));
  await scan.start([1]);
  expect(scan.error).toEqual(new Error("no"));
  expect(scan.running).toBe(false);
});
