import { screen, waitFor } from "@testing-library/svelte";
import { beforeEach, expect, test, vi } from "vitest";

import type { Backend } from "../../backend/backend";
import { catalogue as messages } from "../../messages/catalogue.svelte";
import { button, catalogue, choose, combo, fill, openForm, saidAt, tab } from "./testing-form";
import { coming, credential, details, refusal } from "./testing";

vi.mock("../devices/DeviceDialog.svelte", () => import("./StubDialog.svelte"));
vi.mock("../people/PersonDialog.svelte", () => import("./StubDialog.svelte"));

beforeEach(() => messages.choose("en"));

const box = (name: string) => screen.getByRole<HTMLInputElement>("checkbox", { name });
const change = () => box("Enable automatic change");
const itself = () => box("Use the key itself to connect");
const other = () => combo("Credential or SSH key for authentication");

test("the owner is None, an active person or a new one, and restricts nobody", async () => {
  const { user } = await onTab();

  expect(combo("Credential owner").value).toBe("None");
  expect(saidAt(combo("Credential owner"))).toContain("It restricts nobody.");
  await user.click(combo("Credential owner"));
  const names = (await screen.findAllByRole("option")).map((option) => option.textContent?.trim());
  expect(names).toEqual(["None", "Ana", "New person…"]);
});

test("a new person is chosen as the owner", async () => {
  const { user } = await onTab();

  await choose(user, "Credential owner", "New person…");
  await user.click(await screen.findByRole("button", { name: "Save the new one" }));
  await waitFor(() => expect(combo("Credential owner").value).toBe("new-9"));
});

test("an owner who is not active any more stays until another is chosen", async () => {
  const { backend } = catalogue({ credential: () => Promise.resolve(details(credential(5, "web", { owner_id: 2 }))) });
  await onTab(backend, { id: 5 });

  expect(combo("Credential owner").value).toBe("Rui");
});

test("the section is not there for a password", async () => {
  const { user } = await onTab();

  expect(screen.getByRole("heading", { name: "SSH key renewal configuration" })).toBeDefined();
  await user.click(tab("Information"));
  await user.click(screen.getByRole("radio", { name: "Password" }));
  await user.click(tab("Additional settings"));
  expect(screen.queryByRole("heading", { name: "SSH key renewal configuration" })).toBeNull();
  expect(screen.queryByRole("checkbox")).toBeNull();
  expect(screen.queryByRole("combobox", { name: "Policy" })).toBeNull();
});

test("the ways to connect are inactive while there is no automatic change", async () => {
  await onTab();

  expect([change().checked, itself().checked]).toEqual([false, false]);
  expect([itself().disabled, other().disabled]).toEqual([true, true]);
});

test("switching automatic change on sets the key itself, and the dropdown stays inactive", async () => {
  const { user } = await onTab();

  await user.click(change());
  expect([itself().checked, itself().disabled, other().disabled]).toEqual([true, false, true]);
});

test("the dropdown is active when the key itself is off, and cleared when it is on again", async () => {
  const { user } = await onTab();

  await user.click(change());
  await user.click(itself());
  expect(other().disabled).toBe(false);
  await choose(user, "Credential or SSH key for authentication", /bastion/);
  expect(other().value).toBe("bastion");
  await user.click(itself());
  expect([other().value, other().disabled]).toEqual(["", true]);
});

test("switching automatic change off and on again begins anew with the key itself", async () => {
  const { user } = await onTab();

  await user.click(change());
  await user.click(itself());
  await choose(user, "Credential or SSH key for authentication", /bastion/);
  await user.click(change());
  expect([itself().checked, other().value]).toEqual([false, ""]);
  await user.click(change());
  expect([itself().checked, other().value]).toEqual([true, ""]);
});

test("the dropdown names the other credentials with username and kind, and not this one", async () => {
  const { user } = await onTab(catalogue().backend, { id: 5 });

  await user.click(change());
  await user.click(itself());
  await user.click(other());
  const options = (await screen.findAllByRole("option")).map((option) => option.textContent?.replace(/\s+/g, " ").trim());
  expect(options).toEqual(["bastion jump · SSH key"]);
});

test("automatic change without a way to connect is an error at the dropdown, until one is chosen", async () => {
  const { backend, saveCredential } = catalogue();
  const { user } = await openForm(backend);
  await fill(user);
  await user.click(tab("Additional settings"));
  await user.click(change());
  await user.click(itself());
  await user.click(tab("Information"));

  await user.click(button("Save"));
  expect(saveCredential).not.toHaveBeenCalled();
  expect(tab(/^Additional settings/).getAttribute("aria-selected"), "the tab with the error is shown").toBe("true");
  expect(saidAt(other())).toContain("Choose a credential, or use the key itself.");
  expect(other().getAttribute("aria-invalid")).toBe("true");
  expect(tab(/^Additional settings/).textContent).toContain("has an error");
  await choose(user, "Credential or SSH key for authentication", /bastion/);
  expect(saidAt(other())).not.toContain("Choose a credential");
  expect(tab(/^Additional settings/).textContent).not.toContain("has an error");
  await user.click(button("Save"));
  expect(saveCredential.mock.calls[0]?.[1].automatic).toEqual({ change: true, use_itself: false, auth_with: 6 });
});

test("the same error from Rust is said in the same words, without the command line's hint", async () => {
  const saveCredential = () => Promise.reject(refusal("authentication-missing"));
  const { user } = await openForm(catalogue({ saveCredential }).backend);
  await fill(user);

  await user.click(button("Save"));
  await waitFor(() => expect(saidAt(other())).toContain("Choose a credential, or use the key itself."));
  expect(saidAt(other())).not.toContain("Mend");
});

test("the policy is Standard unless another is chosen", async () => {
  const { backend, saveCredential } = catalogue();
  const { user } = await openForm(backend);
  await fill(user);
  await user.click(tab("Additional settings"));

  expect(combo("Policy").textContent).toContain("Standard");
  await choose(user, "Policy", "Nightly");
  await user.click(button("Save"));
  expect(saveCredential.mock.calls[0]?.[1].policy).toBe(4);
});

test("beside the policy stands the next change and why, for the form as it stands", async () => {
  const comingChange = vi.fn<Backend["comingChange"]>((chosen) =>
    Promise.resolve(chosen === 4 ? coming({ at: "2027-06-05T20:00:00Z" }) : coming()),
  );
  const { user } = await onTab(catalogue({ comingChange }).backend);
  const next = () => screen.getByRole("group", { name: "Next change" }).textContent?.replace(/\s+/g, " ").trim();

  expect(next()).toContain("On request only: automatic change is off.");
  expect(comingChange).not.toHaveBeenCalled();
  await user.click(change());
  await waitFor(() => expect(next()).toContain("Jun 1, 2027"));
  expect(next()).toContain("90 days after it is saved");
  expect(comingChange).toHaveBeenLastCalledWith(1, null);
  await choose(user, "Policy", "Nightly");
  await waitFor(() => expect(next()).toContain("Jun 5, 2027"));
  expect(next()).toContain("next allowed hour");
  expect(comingChange).toHaveBeenLastCalledWith(4, null);
});

test("the next change of a saved credential counts from its key", async () => {
  const comingChange = vi.fn<Backend["comingChange"]>(() => Promise.resolve(coming()));
  const { user } = await onTab(catalogue({ comingChange }).backend, { id: 5 });
  await user.click(change());
  await waitFor(() =>
    expect(screen.getByRole("group", { name: "Next change" }).textContent).toContain("90 days after Mar 3, 2027"),
  );
  expect(comingChange).toHaveBeenLastCalledWith(1, 5);
});

async function onTab(backend = catalogue().backend, props: Parameters<typeof openForm>[1] = {}) {
  const opened = await openForm(backend, props);
  await opened.user.click(tab("Additional settings"));
  return opened;
}
