/** Opens the form for a test, and finds its parts as a user does. */
import { render, screen, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { vi } from "vitest";

import { router } from "../../app/router.svelte";
import type { Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { CredentialForm } from "../../generated/CredentialForm";
import type { CredentialKind } from "../../generated/CredentialKind";
import type { Standing } from "../../generated/Standing";
import { policy } from "../policies/sample";
import FormHost from "./FormHost.svelte";
import { coming, credential, details, device, draftKey, person } from "./testing";

/** A backend with three devices, two people and two credentials, which saves whatever it is given. */
export function catalogue(calls: Partial<Backend> = {}) {
  const saveCredential = vi.fn((_id: number | null, _form: CredentialForm, _standing: Standing) => Promise.resolve(7));
  const dropDraft = vi.fn((_draft: number) => Promise.resolve());
  const backend = fakeBackend({
    devices: () =>
      Promise.resolve([
        device(1, "web-1", { tags: ["prod"] }),
        device(2, "web-2", { tags: ["prod", "edge"] }),
        device(3, "web-3"),
      ]),
    people: () => Promise.resolve([person(1, "Ana"), person(2, "Rui", { active: false })]),
    credentials: () => Promise.resolve([credential(5, "web"), credential(6, "bastion", { username: "jump" })]),
    credential: () => Promise.resolve(details(credential(5, "web"))),
    policies: () =>
      Promise.resolve([
        policy(4, "Nightly"),
        policy(1, "Standard"),
      ]),
    comingChange: () => Promise.resolve(coming()),
    generateKey: () => Promise.resolve(draftKey(11)),
    saveCredential,
    dropDraft,
    ...calls,
  });
  return { backend, saveCredential, dropDraft };
}

export interface Place {
  id?: number;
  copy?: number;
  kind?: CredentialKind;
}

/** Draws the form without waiting for it. */
export function renderForm(backend: Backend, place: Place = {}) {
  router.replace("credentials", null, "new");
  const user = userEvent.setup({ delay: null });
  return { user, unmount: render(FormHost, { backend, ...place }).unmount };
}

/** Draws the form, and waits until it has read what it chooses from. */
export async function openForm(backend: Backend, place: Place = {}) {
  const form = renderForm(backend, place);
  await screen.findAllByRole("tab");
  return form;
}

export const field = (name: string) =>
  screen.getByLabelText<HTMLInputElement>(name, { selector: "input:not([type='radio'])" });
export const button = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });
export const tab = (name: string | RegExp) => screen.getByRole("tab", { name });
export const combo = (name: string) => screen.getByRole<HTMLInputElement>("combobox", { name });

/** The words that stand at a field: its help, its error. */
export function saidAt(control: HTMLElement): string {
  return (control.getAttribute("aria-describedby") ?? "")
    .split(" ")
    .map((id) => document.getElementById(id)?.textContent ?? "")
    .join(" ")
    .replace(/\s+/g, " ")
    .trim();
}

/** Chooses from a dropdown with search. */
export async function choose(user: ReturnType<typeof userEvent.setup>, name: string, option: string | RegExp) {
  await user.click(combo(name));
  await user.click(await screen.findByRole("option", { name: option }));
}

/** Fills in what a new credential cannot do without, and generates its key. */
export async function fill(user: ReturnType<typeof userEvent.setup>) {
  await user.type(field("Name"), "web-new");
  await user.type(field("Username"), "deploy");
  await choose(user, "Original device", /web-2/);
  await user.click(tab("Key"));
  await user.click(button("Generate a new key"));
  await screen.findByText("SHA256:draft-11");
}

export const table = (name: string) => within(screen.getByRole("grid", { name }));
