import { mount } from "svelte";

import "./tokens.css";
import App from "./App.svelte";
import { tauriBackend } from "./backend/tauri";

const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no element with the id app");

mount(App, { target, props: { backend: tauriBackend } });
