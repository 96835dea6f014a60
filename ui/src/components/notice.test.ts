import { render, screen } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";

import { BackendError } from "../backend/backend";
import { detailText, explained } from "./notice";
import Notice from "./Notice.svelte";

const error = new BackendError({
  code: "host-key-changed",
  message: "The host key of web-1 changed.",
  hint: "Compare it before you pin it.",
  subject: "web-1",
});

test("whatever is thrown is explained as far as it is known", () => {
  expect(explained(error)).toEqual({
    code: "host-key-changed",
    message: "The host key of web-1 changed.",
    hint: "Compare it before you pin it.",
    subject: "web-1",
  });
  expect(explained(new Error("broken")).message).toBe("broken");
  expect(explained("text")).toEqual({ message: "text", hint: null, code: null, subject: null });
});

test("the details are one line a part, without those that are not known", () => {
  expect(detailText(error, { stage: "prove", server: "" })).toBe(
    "code: host-key-changed\nmessage: The host key of web-1 changed.\nhint: Compare it before you pin it.\nsubject: web-1\nstage: prove",
  );
  expect(detailText("text")).toBe("message: text");
});

test("an error says what happened and what to do, keeps the raw detail folded, and is copied whole", async () => {
  const user = userEvent.setup();
  const oncopy = vi.fn();
  render(Notice, { error, oncopy, details: { stage: "prove" } });

  const alert = screen.getByRole("alert");
  expect(alert.textContent).toContain("The host key of web-1 changed.");
  expect(alert.textContent).toContain("Compare it before you pin it.");
  expect(screen.queryByText("host-key-changed"), "the raw detail stands open").toBeNull();

  await user.click(screen.getByRole("button", { name: "Details" }));
  expect(screen.getByText("host-key-changed")).toBeTruthy();
  expect(screen.getByText("prove")).toBeTruthy();

  await user.click(screen.getByRole("button", { name: "Copy details" }));
  expect(oncopy).toHaveBeenCalledWith(detailText(error, { stage: "prove" }));
  expect(await screen.findByText("Copied")).toBeTruthy();
});
