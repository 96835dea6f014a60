import { screen, waitFor, within } from "@testing-library/svelte";
import { beforeEach, expect, test, vi } from "vitest";

import { unsaved } from "../../app/guard.svelte";
import { notices } from "../../app/notices.svelte";
import { router } from "../../app/router.svelte";
import type { Backend } from "../../backend/backend";
import type { ChangePage } from "../../generated/ChangePage";
import type { ChangeRequest } from "../../generated/ChangeRequest";
import type { DeviceEnd } from "../../generated/DeviceEnd";
import type { Outcome } from "../../generated/Outcome";
import { catalogue as messages } from "../../messages/catalogue.svelte";
import { button, catalogue, combo, field, fill, openForm, renderForm, saidAt, tab, table } from "./testing-form";
import { credential, details, draftKey, refusal } from "./testing";

vi.mock("../devices/DeviceDialog.svelte", () => import("./StubDialog.svelte"));
vi.mock("../people/PersonDialog.svelte", () => import("./StubDialog.svelte"));

beforeEach(() => {
  messages.choose("en");
  unsaved.answer(false);
});

test("after Save the credential's page is shown, in place of the form", async () => {
  const { user } = await filled();
  const places = window.history.length;

  await user.click(button("Save"));
  await waitFor(() => expect(router.route).toMatchObject({ screen: "credentials", id: 7, action: null }));
  expect(window.history.length, "Back would lead into the form").toBe(places);
});

test("what is required and missing stands at its field, and the first is entered", async () => {
  const { user, saveCredential } = await opened();

  await user.click(button("Save"));
  expect(saveCredential).not.toHaveBeenCalled();
  expect(saidAt(field("Name"))).toContain("Give it a name.");
  expect(saidAt(field("Username"))).toContain("Give the account’s name.");
  expect(saidAt(combo("Original device"))).toContain("Choose the original device.");
  await waitFor(() => expect(document.activeElement).toBe(field("Name")));
  expect(tab(/^Information/).textContent).toContain("has an error");
  expect(tab(/^Key/).textContent).toContain("has an error");
  expect(tab("Devices").textContent).not.toContain("has an error");
  await user.type(field("Name"), "web-new");
  expect(saidAt(field("Name")), "what was mended is not said any more").not.toContain("Give it a name.");
});

test.each([
  ["name-taken", "Information", () => field("Name")],
  ["name-digits", "Information", () => field("Name")],
  ["bad-username", "Information", () => field("Username")],
  ["bad-hand-over", "Additional settings", () => combo("Credential owner")],
] as const)("Rust's %s stands at its field on %s", async (code, name, control) => {
  const { user } = await filled({ saveCredential: () => Promise.reject(refusal(code)) });
  await user.click(tab("Devices"));

  await user.click(button("Save"));
  await waitFor(() => expect(saidAt(control())).toContain(`${code} happened.`));
  expect(saidAt(control())).toContain(`Mend ${code}.`);
  expect(tab(new RegExp(`^${name}`)).getAttribute("aria-selected")).toBe("true");
  expect(tab(new RegExp(`^${name}`)).textContent).toContain("has an error");
  expect(router.route.action, "the form stays").toBe("new");
});

test("the field that Rust names wins over its code", async () => {
  const { user } = await filled({ saveCredential: () => Promise.reject(refusal("unknown-name", { field: "original_device" })) });

  await user.click(button("Save"));
  await waitFor(() => expect(saidAt(combo("Original device"))).toContain("unknown-name happened."));
});

test("what is about no field stands beside Save, with its details to copy", async () => {
  const { user } = await filled({ saveCredential: () => Promise.reject(refusal("keyring-locked")) });

  await user.click(button("Save"));
  expect(await screen.findByText("keyring-locked happened.")).toBeDefined();
  expect(button("Copy details")).toBeDefined();
  expect(button("Save").disabled).toBe(false);
});

test.each([
  ["change-open", "enabled"],
  ["wrong-passphrase", "passphrase"],
  ["not-a-private-key", "no-such-field"],
])("a refusal (%s) is seen, whatever field it names", async (code, named) => {
  const { user } = await filled({ saveCredential: () => Promise.reject(refusal(code, { field: named })) });

  await user.click(button("Save"));
  expect(await screen.findByText(new RegExp(`${code} happened.`))).toBeDefined();
});

test("a key that Rust has no more is asked for again", async () => {
  const { user } = await filled({ saveCredential: () => Promise.reject(refusal("draft-gone")) });

  await user.click(button("Save"));
  expect(await screen.findByText(/draft-gone happened./)).toBeDefined();
  expect(tab(/^Key/).getAttribute("aria-selected")).toBe("true");
  expect(screen.queryByText("SHA256:draft-11")).toBeNull();
});

test("a double click and Ctrl+S on top of it save once", async () => {
  let answer: (id: number) => void = () => undefined;
  const saveCredential = vi.fn(() => new Promise<number>((resolve) => (answer = resolve)));
  const { user } = await filled({ saveCredential });

  await user.dblClick(button("Save"));
  await user.keyboard("{Control>}s{/Control}");
  expect(saveCredential).toHaveBeenCalledOnce();
  answer(7);
  await waitFor(() => expect(router.route.id).toBe(7));
});

test("Ctrl+S saves, wherever the cursor stands", async () => {
  const { user, saveCredential } = await filled();
  await user.click(tab("Information"));
  await user.click(field("Name"));

  await user.keyboard("{Control>}s{/Control}");
  await waitFor(() => expect(saveCredential).toHaveBeenCalledOnce());
});

test("a saved answer that comes after the form is gone leads nowhere", async () => {
  let answer: (id: number) => void = () => undefined;
  const { user, unmount } = await filled({ saveCredential: () => new Promise((resolve) => (answer = resolve)) });
  await user.click(button("Save"));

  unmount();
  answer(7);
  await new Promise((resolve) => setTimeout(resolve));
  expect(router.route.id).toBeNull();
});

test("unsaved changes are asked about, and nothing is asked where nothing was changed", async () => {
  const { user } = await opened({}, { id: 5 });
  expect(await router.mayLeave()).toBe(true);

  await user.type(field("Name"), "x");
  const leave = router.mayLeave();
  expect(unsaved.asking).toBe(true);
  unsaved.answer(false);
  expect(await leave).toBe(false);
  await user.type(field("Name"), "{Backspace}");
  expect(await router.mayLeave(), "it is as it was").toBe(true);
});

test("a chosen device, a switched rule and a generated key are changes, too", async () => {
  const { user } = await opened();
  await user.click(tab("Key"));
  await user.click(button("Generate a new key"));
  await screen.findByText("SHA256:draft-11");

  void router.mayLeave();
  expect(unsaved.asking).toBe(true);
});

test.each(["Cancel", "Escape"])("%s leads back to the list", async (way) => {
  const { user } = await opened();

  if (way === "Cancel") await user.click(button("Cancel"));
  else await user.keyboard("{Escape}");
  expect(window.location.hash).toBe("#/credentials");
});

test("Cancel of an edit leads back to the credential", async () => {
  const { user } = await opened({}, { id: 5 });

  await user.click(button("Cancel"));
  expect(window.location.hash).toBe("#/credentials/5");
});

test("a fingerprint that another credential has too is named before saving", async () => {
  const generateKey = () => Promise.resolve(draftKey(11, { others: ["old-web", "spare"] }));
  const { user, saveCredential } = await filled({ generateKey });

  await user.click(button("Save"));
  const dialog = await screen.findByRole("dialog");
  expect(dialog.textContent).toContain(
    "old-web and spare have the key SHA256:draft-11, too. A change of one will not change the other.",
  );
  expect(saveCredential).not.toHaveBeenCalled();
  await user.click(within(dialog).getByRole("button", { name: "Cancel" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(saveCredential).not.toHaveBeenCalled();
  await user.click(button("Save"));
  await user.click(await screen.findByRole("button", { name: "Save all the same" }));
  await waitFor(() => expect(saveCredential).toHaveBeenCalledOnce());
});

test("devices without the key are taken off without a question", async () => {
  const { user, saveCredential } = await editing(["web-1"]);

  await user.click(untick("web-3"));
  await user.click(button("Save"));
  await waitFor(() => expect(saveCredential).toHaveBeenCalledOnce());
  expect(saveCredential.mock.calls[0]?.slice(1)).toEqual([expect.objectContaining({ devices: [2, 1] }), "refuse"]);
});

test("taking off devices with the key asks; to remove it is preset, and comes before saving", async () => {
  const { user, saveCredential, beginChange } = await editing(["web-1", "web-3"]);
  await user.click(untick("web-1"));
  await user.click(untick("web-3"));

  await user.click(button("Save"));
  const dialog = await screen.findByRole("dialog");
  expect(dialog.textContent).toContain("The public key stands on web-1 and web-3, which are taken off this credential.");
  const remove = within(dialog).getByRole<HTMLInputElement>("radio", { name: "Remove the public key from these devices" });
  expect(remove.checked).toBe(true);
  await user.click(within(dialog).getByRole("button", { name: "Save" }));
  expect(beginChange.mock.calls[0]?.[0]).toMatchObject({ kind: "uninstall", credential: 5, devices: [1, 3] });
  expect(await screen.findByText("Removing the public key: 0 of 2 devices")).toBeDefined();
  expect(saveCredential, "before the removal has ended").not.toHaveBeenCalled();
  refused("web-1");
  expect(await screen.findByText("Removing the public key: 1 of 2 devices")).toBeDefined();
  finished("changed", [end("web-1"), end("web-3")]);
  await waitFor(() => expect(saveCredential).toHaveBeenCalledOnce());
  expect(saveCredential.mock.calls[0]?.slice(1)).toEqual([expect.objectContaining({ devices: [2] }), "refuse"]);
  await waitFor(() => expect(router.route.id).toBe(7));
});

test("Leave it there saves at once, and nothing is removed", async () => {
  const { user, saveCredential, beginChange } = await editing(["web-1"]);
  await user.click(untick("web-1"));

  await user.click(button("Save"));
  await user.click(await screen.findByRole("radio", { name: "Leave it there" }));
  await user.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Save" }));
  await waitFor(() => expect(saveCredential).toHaveBeenCalledOnce());
  expect(saveCredential.mock.calls[0]?.[2]).toBe("leave-there");
  expect(beginChange).not.toHaveBeenCalled();
});

test.each(["partly-changed", "failed", "rolled-back", "interrupted"] as const)(
  "a removal that ends %s is told, and nothing is saved",
  async (outcome) => {
    const { user, saveCredential } = await editing(["web-1"]);
    await user.click(untick("web-1"));
    await user.click(button("Save"));
    await user.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Save" }));
    await screen.findByText("Removing the public key: 0 of 1 devices");

    const error = { code: "timeout", message: "web-1 did not answer.", hint: "Look at web-1.", subject: "web-1" };
    finished(outcome, [end("web-1", { state: "failed", error })]);
    expect(await screen.findByText("The public key was not removed everywhere, and nothing was saved.")).toBeDefined();
    expect(screen.getByText("web-1 did not answer.")).toBeDefined();
    expect(screen.getByText("Look at web-1.")).toBeDefined();
    expect(screen.getByRole("link", { name: "Show the change" }).getAttribute("href")).toBe("#/changes/70");
    await user.click(within(screen.getByRole("dialog")).getAllByRole("button", { name: "Close" }).at(-1) as HTMLElement);
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    expect(saveCredential).not.toHaveBeenCalled();
    expect(button("Save").disabled, "it can be tried again").toBe(false);
  },
);

test("a removal that can't begin is told, and nothing is saved", async () => {
  const { user, saveCredential } = await editing(["web-1"], { beginChange: () => Promise.reject(refusal("change-open")) });
  await user.click(untick("web-1"));

  await user.click(button("Save"));
  await user.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Save" }));
  expect(await screen.findByText("change-open happened.")).toBeDefined();
  expect(saveCredential).not.toHaveBeenCalled();
});

test("a removal that ends by an error is read from its record", async () => {
  const page = { change: { state: "interrupted" }, records: [], error: refusal("database-full").report };
  const change = vi.fn(() => Promise.resolve({ change: { state: "running" } } as ChangePage));
  const { user, saveCredential } = await editing(["web-1"], { change });
  await user.click(untick("web-1"));
  await user.click(button("Save"));
  await user.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Save" }));
  await waitFor(() => expect(change).toHaveBeenCalled());

  change.mockResolvedValue(page as unknown as ChangePage);
  notices.hand({ notice: "catalogue" });
  expect(await screen.findByText("database-full happened.")).toBeDefined();
  expect(saveCredential).not.toHaveBeenCalled();
});

test("events that come before the change's number are not lost, and those of other changes do not count", async () => {
  const beginChange = () => {
    finished("changed", [end("web-1")], 70);
    return Promise.resolve(70);
  };
  const { user, saveCredential } = await editing(["web-1"], { beginChange });
  await user.click(untick("web-1"));
  await user.click(button("Save"));
  finished("failed", [], 71);
  await user.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Save" }));
  await waitFor(() => expect(saveCredential).toHaveBeenCalledOnce());
});

test("a running removal is stopped, not left behind by Escape", async () => {
  const stopChange = vi.fn((_id: number) => Promise.resolve());
  const { user, saveCredential } = await editing(["web-1"], { stopChange });
  await user.click(untick("web-1"));
  await user.click(button("Save"));
  await user.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Save" }));

  await user.keyboard("{Escape}");
  expect(screen.getByRole("dialog")).toBeDefined();
  await user.click(screen.getByRole("button", { name: "Stop" }));
  expect(stopChange.mock.calls).toEqual([[70]]);
  expect(screen.getByRole("button", { name: "Finishing the device in hand" })).toBeDefined();
  finished("interrupted", [end("web-1", { state: "waiting" })]);
  expect(await screen.findByText("web-1: not done.")).toBeDefined();
  expect(saveCredential).not.toHaveBeenCalled();
});

test("what can't be read is told, and asked for again", async () => {
  const made = catalogue();
  const devices = vi.fn(made.backend.devices).mockRejectedValueOnce(refusal("database-busy"));
  const { user } = renderForm(catalogue({ devices }).backend);

  expect(await screen.findByText("database-busy happened.")).toBeDefined();
  await user.click(button("Try again"));
  expect(await screen.findByRole("tab", { name: "Information" })).toBeDefined();
});

function refused(device: string) {
  const stage = { event: "stage", device, stage: "refuse", state: "done", detail: "" } as const;
  notices.hand({ notice: "change", change: 70, at: "2026-11-24T12:00:00Z", ...stage });
}

function end(device: string, more: Partial<DeviceEnd> = {}): DeviceEnd {
  return { device, state: "changed", accepts: [], error: null, ...more };
}

function finished(outcome: Outcome, devices: DeviceEnd[], change = 70) {
  notices.hand({ notice: "change", change, at: "2026-11-24T12:00:00Z", event: "finished", outcome, devices, seconds: 1 });
}

function untick(name: string): HTMLElement {
  return table("All devices").getByRole("checkbox", { name: `Select ${name}` });
}

async function opened(calls: Partial<Backend> = {}, props: Parameters<typeof openForm>[1] = {}) {
  const made = catalogue(calls);
  return { ...made, ...(await openForm(made.backend, props)) };
}

async function filled(calls: Partial<Backend> = {}) {
  const form = await opened(calls);
  await fill(form.user);
  return form;
}

async function editing(stands: string[], calls: Partial<Backend> = {}) {
  const beginChange = vi.fn((_request: ChangeRequest) => Promise.resolve(70));
  const form = await opened(
    {
      credential: () => Promise.resolve(details(credential(5, "web"), { username_fixed: stands })),
      beginChange,
      change: () => Promise.resolve({ change: { state: "running" } } as ChangePage),
      ...calls,
    },
    { id: 5 },
  );
  await form.user.click(tab("Devices"));
  return { ...form, beginChange };
}
