import { render, screen } from "@testing-library/svelte";
import { expect, test } from "vitest";

import { BackendError } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import AboutPage from "./AboutPage.svelte";

test("shows the name and the version that Rust tells", async () => {
  render(AboutPage, { backend: fakeBackend({ about: () => Promise.resolve({ version: "7.8.9" }) }) });

  expect(screen.getByRole("heading", { name: "Keywheel" })).toBeTruthy();
  expect(await screen.findByText("7.8.9")).toBeTruthy();
  expect(screen.queryByRole("alert"), "an error is shown though nothing failed").toBeNull();
});

test("shows what happened and what to do when Rust does not answer", async () => {
  const error = new BackendError({
    code: "command-refused",
    message: "The call was refused.",
    hint: "Open Keywheel again.",
    subject: null,
  });
  render(AboutPage, { backend: fakeBackend({ about: () => Promise.reject(error) }) });

  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain("The call was refused.");
  expect(alert.textContent).toContain("Open Keywheel again.");
  expect(screen.queryByText(/Version/), "a version is shown though none was told").toBeNull();
});
