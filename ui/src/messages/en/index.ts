import app from "./app.json";
import audit from "./audit.json";
import change from "./change.json";
import changes from "./changes.json";
import components from "./components.json";
import credentials from "./credentials.json";
import devices from "./devices.json";
import errors from "./errors.json";
import form from "./form.json";
import overview from "./overview.json";
import people from "./people.json";
import policies from "./policies.json";
import settings from "./settings.json";

export default { app, audit, change, changes, components, credentials, devices, errors, form, overview, people, policies, settings };
