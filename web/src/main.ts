import "./theme.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { filter } from "./state/filter.svelte";
import { live } from "./state/live.svelte";
import { prefs } from "./state/prefs.svelte";

prefs.setTheme(prefs.theme);
filter.now = () => Date.now() + live.fleet.skew;
live.start();

const target = document.getElementById("page");
if (target) mount(App, { target });
