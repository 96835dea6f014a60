import { screen, waitFor, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, expect, test, vi } from "vitest";

import { notices } from "../../app/notices.svelte";
import { router } from "../../app/router.svelte";
import type { Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { Accepts } from "../../generated/Accepts";
import type { ChangePage as Page } from "../../generated/ChangePage";
import type { DeviceState } from "../../generated/DeviceState";
import type { Event } from "../../generated/Event";
import { catalogue } from "../../messages/catalogue.svelte";
import ChangePage from "./ChangePage.svelte";
import { shown } from "./shown";
import {
  NEW,
  OLD,
  finished,
  page,
  record,
  report,
  stage,
  started,
  through,
  unreachable,
  unreachableInPortuguese,
} from "./testing";

afterEach(() => {
  catalogue.choose("en");
  vi.restoreAllMocks();
});

const tell = (...events: Event[]) => events.forEach((event) => notices.hand({ notice: "change", ...event }));
const waiting = (count: number) => Array.from({ length: count }, (): DeviceState => "waiting");

async function open(first: Page, more: Partial<Backend> = {}) {
  const answer = { page: first };
  const drawn = shown(ChangePage, { id: 7 }, fakeBackend({ change: () => Promise.resolve(answer.page), ...more }));
  await screen.findByRole("heading", { level: 1, name: /deploy/ });
  return { ...drawn, answer };
}

test("a running change shows a row per device in order, and what happens there now", async () => {
  await open(page(waiting(3)));
  expect(screen.getAllByRole("button", { name: /^\d: web-/ }).map((row) => row.getAttribute("aria-label"))).toEqual([
    "1: web-1 10.0.0.1, Waits for its turn",
    "2: web-2 10.0.0.2, Waits for its turn",
    "3: web-3 10.0.0.3, Waits for its turn",
  ]);

  tell(started(), ...through(1, ["check"], 0), stage(1, "add", "running", 1));
  await screen.findByRole("button", { name: "1: web-1 10.0.0.1, Writing the new key’s line" });
  expect(screen.getByRole("progressbar").getAttribute("aria-valuenow")).toBe("6");
  expect(screen.queryByRole("button", { name: "Resume" })).toBeNull();
});

test("Stop says what it does, and that it is heard", async () => {
  const user = userEvent.setup();
  const stopChange = vi.fn(() => Promise.resolve());
  await open(page(waiting(2)), { stopChange });
  const stop = screen.getByRole("button", { name: "Stop" });
  expect(document.getElementById(stop.getAttribute("aria-describedby") ?? "")?.textContent).toMatch(/device in hand/);
  await user.click(stop);
  expect(stopChange).toHaveBeenCalledExactlyOnceWith(7);
  expect(screen.getByRole("button", { name: "Finishing the device in hand" })).toHaveProperty("disabled", true);
});

test("a Stop that fails can be tried again, and says why", async () => {
  const user = userEvent.setup();
  await open(page(waiting(2)), { stopChange: () => Promise.reject(new Error("not here")) });
  await user.click(screen.getByRole("button", { name: "Stop" }));
  expect((await screen.findByRole("alert")).textContent).toContain("not here");
  expect(screen.getByRole("button", { name: "Stop" })).toHaveProperty("disabled", false);
});

test("a change that another program runs can't be stopped here", async () => {
  await open(page(waiting(2), { here: false }));
  expect(screen.queryByRole("button", { name: "Stop" })).toBeNull();
  expect(screen.getByText(/runs in another program/)).toBeTruthy();
});

test("the end is one sentence with the numbers, the proof and the time", async () => {
  const { answer } = await open(page(waiting(2)));
  const end = finished("changed", [["changed"], ["changed"]], 7.3);
  answer.page = page(["changed", "changed"], { state: "changed", possible: ["undo"], undo_until: "2026-12-01T12:00:00Z", events: [end] });
  tell(end);
  await screen.findByText("2 of 2 devices accept the new key and refuse the old; 7.3 s");
  await screen.findByRole("button", { name: /^Undo \(until / });
  expect(screen.queryByRole("button", { name: "Stop" })).toBeNull();
  expect(screen.queryByRole("button", { name: "Roll back" })).toBeNull();
});

test("the exceptions come first, with cause, next step and what can be done", async () => {
  const user = userEvent.setup();
  const stepChange = vi.fn(() => Promise.resolve(7));
  const full = report("disk-full", "The disk of web-2 is full.");
  const ended = page([], {
    change: { ...page([]).change, state: "partly-changed", devices: 2 },
    records: [record(1, "changed"), record(2, "failed", { stage: "add", error: full })],
    possible: ["retry", "roll-back"],
    here: false,
  });
  await open(ended, { stepChange });
  const exceptions = screen.getByRole("region", { name: "1 device needs a look" });
  expect(within(exceptions).getByText(full.message)).toBeTruthy();
  expect(within(exceptions).getByText(full.hint)).toBeTruthy();
  expect(within(exceptions).queryByText("web-1"), "a device that is through is an exception").toBeNull();
  await user.click(within(exceptions).getByRole("button", { name: "Details" }));
  expect(within(exceptions).getByRole("button", { name: "Copy details" })).toBeTruthy();

  await user.click(screen.getByRole("button", { name: "Retry failed" }));
  expect(stepChange).toHaveBeenCalledExactlyOnceWith(7, "retry");
});

test("Roll back asks, and says what it does", async () => {
  const user = userEvent.setup();
  const stepChange = vi.fn(() => Promise.resolve(7));
  await open(page(["proven", "waiting"], { state: "interrupted", possible: ["resume", "roll-back"], here: false }), { stepChange });
  expect(screen.getByText(/1 device accepts both keys/)).toBeTruthy();
  expect(screen.getByRole("button", { name: "Leave it for later" })).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Roll back" }));
  expect(stepChange).not.toHaveBeenCalled();
  const dialog = await screen.findByRole("dialog", { name: "Roll back this change?" });
  expect(dialog.textContent).toContain("On 1 device the old key is put back and proven by a login");
  await user.click(within(dialog).getByRole("button", { name: "Roll back" }));
  await waitFor(() => expect(stepChange).toHaveBeenCalledExactlyOnceWith(7, "roll-back"));
});

test("an undo is a change of its own, and its page is opened", async () => {
  const user = userEvent.setup();
  const go = vi.spyOn(router, "go").mockImplementation(() => undefined);
  const ended = page(["changed"], { state: "changed", possible: ["undo"], here: false });
  await open(ended, { stepChange: () => Promise.resolve(8) });
  await user.click(screen.getByRole("button", { name: "Undo" }));
  await user.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Undo" }));
  await waitFor(() => expect(go).toHaveBeenCalledExactlyOnceWith("changes", 8));
});

test("a step that fails says why, where it was asked", async () => {
  const user = userEvent.setup();
  const ended = page(["proven"], { state: "interrupted", possible: ["resume"], here: false });
  await open(ended, { stepChange: () => Promise.reject(new Error("the keyring is locked")) });
  await user.click(screen.getByRole("button", { name: "Resume" }));
  expect((await screen.findByRole("alert")).textContent).toContain("the keyring is locked");
});

test("the imported file that holds the old key is named", async () => {
  await open(page(["changed"], { state: "changed", imported_from: "/home/ana/.ssh/id_deploy", here: false }));
  expect(screen.getByText(/\/home\/ana\/.ssh\/id_deploy holds the old key/)).toBeTruthy();
});

test("a program that failed after the change is a warning, and the change stays as it ended", async () => {
  const error = { code: "after-change-failed", message: "It ended with status 3.", hint: "See its notes.", subject: null };
  const program = { program: "/usr/local/bin/note", at: "2026-11-24T12:00:08Z", error };
  await open(page(["changed"], { state: "changed", here: false, program }));
  expect(screen.getByText("The program after this change failed")).toBeTruthy();
  expect(screen.getByText("It ended with status 3.")).toBeTruthy();
  expect(screen.getByText(/1 device accepts the new key and refuses the old/)).toBeTruthy();
});

test("five hundred devices are drawn a window at a time, and failures stay in sight", async () => {
  await open(page(waiting(500)));
  expect(screen.getAllByRole("button", { name: /^\d+: web-/ }).length).toBeLessThanOrEqual(70);
  tell(started(0, 500), stage(400, "check", "failed", 1, "No route to host."));
  expect(await screen.findByText("No route to host.")).toBeTruthy();
});

test.each([
  ["running", page(waiting(3))],
  ["ended", page(["changed", "failed"], { state: "partly-changed", possible: ["retry", "roll-back"], here: false })],
])("a change that is %s is no fault to axe, in either language", async (_, shownPage) => {
  const { container } = await open(shownPage);
  const rules = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };
  expect((await axe.run(container, rules)).violations).toEqual([]);
  catalogue.choose("pt-BR");
  await screen.findByRole("heading", { level: 1, name: "Troca de chave de deploy" });
});

test("why a device failed is Portuguese while the change runs and when it has ended", async () => {
  catalogue.choose("pt-BR");
  await open(page(waiting(2)));
  const failed = { ...stage(2, "check", "failed", 1, unreachable.message), error: unreachable } as Event;
  tell(started(0, 2), failed);
  const { message, hint } = unreachableInPortuguese;
  expect(await screen.findByTitle(message)).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: /^2: web-2/ }));
  expect(within(await screen.findByRole("alert")).getByText(hint)).toBeTruthy();
  tell(finished("failed", [["unchanged"], ["unchanged", unreachable]], 2));
  const exceptions = await screen.findByRole("region", { name: "1 dispositivo requer atenção" });
  expect(within(exceptions).getByText(message)).toBeTruthy();
  expect(exceptions.textContent).not.toContain(unreachable.message);
});

test("an emergency offers no way back, and says what is left to be done", async () => {
  const user = userEvent.setup();
  const keys = [
    { file: "/keys", line: 2, key_type: "ssh-rsa", fingerprint: "SHA256:thief", comment: "thief", options: "", certificate_authority: false },
  ];
  const base = page(["changed", "unchanged"], { state: "partly-changed", possible: ["retry"] });
  const [first, second] = base.records;
  if (first === undefined || second === undefined) throw new Error("two records");
  await open({
    ...base,
    change: { ...base.change, strategy: "emergency" },
    records: [{ ...first, other_keys: { seen: "after", keys } }, second],
  });
  expect(screen.getByText(/emergency: the key is compromised/)).toBeTruthy();
  expect(await screen.findByRole("button", { name: "Retry failed" })).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Roll back" })).toBeNull();
  expect(screen.getByText(/Sessions that were opened with the old key are still open/)).toBeTruthy();
  await user.click(screen.getByText("web-1: 1 other key"));
  expect(screen.getByText("ssh-rsa SHA256:thief")).toBeTruthy();
});

test("the devices are asked on demand, and where one can't be asked its last answer stands beside the reason", async () => {
  const user = userEvent.setup();
  const version = (number: number, fingerprint: string, answer: string) => ({
    version: number,
    fingerprint,
    answer,
    by: "login" as const,
    last: null,
  });
  const asked = { ...version(2, NEW, "unknown"), by: null, last: { accepted: true, at: "2026-03-01T10:00:00Z" } };
  const changeAccepts = vi.fn((_id: number, onAnswer: (answer: Accepts) => void) => {
    onAnswer({ device_id: 2, device: "web-2", versions: [asked], error: report("unreachable") });
    const both = [version(2, NEW, "accepted"), version(1, OLD, "accepted")];
    onAnswer({ device_id: 1, device: "web-1", versions: both, error: null });
    return Promise.resolve();
  });
  await open(page(["changed", "changed"], { state: "changed" }), { changeAccepts });
  expect(changeAccepts).not.toHaveBeenCalled();
  await user.click(screen.getByRole("button", { name: "Ask the devices now" }));
  expect(await screen.findByText("Version 1, an old one")).toBeTruthy();
  expect(screen.getByText("Version 2")).toBeTruthy();
  expect(screen.getByText(/^Could not be asked: /)).toBeTruthy();
  expect(screen.getByText(/^Accepted version 2 /)).toBeTruthy();
  expect(changeAccepts).toHaveBeenCalledExactlyOnceWith(7, expect.any(Function));
  const names = within(screen.getByRole("region", { name: "What the devices accept now" })).getAllByText(/^web-/);
  expect(names.map((name) => name.textContent), "not in the order of change").toEqual(["web-1", "web-2"]);
});

test("asking tells who has answered, and stops on request", async () => {
  const user = userEvent.setup();
  let end = () => {};
  const changeAccepts = (_id: number, onAnswer: (answer: Accepts) => void) => {
    onAnswer({ device_id: 1, device: "web-1", versions: [], error: report("unreachable") });
    return new Promise<void>((resolve) => (end = resolve));
  };
  const stopCheck = vi.fn(() => Promise.resolve());
  await open(page(["changed", "changed"], { state: "changed" }), { changeAccepts, stopCheck });
  await user.click(screen.getByRole("button", { name: "Ask the devices now" }));
  expect(await screen.findByText("2 devices asked: 1 answered")).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Stop asking" }));
  expect(stopCheck).toHaveBeenCalledOnce();
  expect(screen.getByText("Finishing the devices in hand")).toBeTruthy();
  end();
  expect(await screen.findByText(/^As 1 of 2 devices answered /)).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Stop asking" })).toBeNull();
});

test("why a device could not be asked is Portuguese, too", async () => {
  catalogue.choose("pt-BR");
  const unasked = { device_id: 2, device: "web-2", versions: [], error: unreachable };
  await open(page(["changed", "changed"], { state: "changed" }), {
    changeAccepts: (_id, onAnswer) => Promise.resolve(onAnswer(unasked)),
  });
  await userEvent.click(screen.getByRole("button", { name: "Perguntar aos dispositivos agora" }));
  expect(await screen.findByText(new RegExp(unreachableInPortuguese.message.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")))).toBeTruthy();
});

test("while a change runs its devices are not asked beside it", async () => {
  await open(page(waiting(2)));
  expect(screen.queryByRole("button", { name: "Ask the devices now" })).toBeNull();
});
