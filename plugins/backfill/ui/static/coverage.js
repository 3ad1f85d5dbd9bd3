// Which page the address names, its refresh, and the theme.
import { focusHeading, moment } from "./parts.js";
import { overview } from "./overview.js";
import { series } from "./series.js";
import { gaps } from "./gaps.js";
import { LISTS, list } from "./lists.js";

const REFRESH_MS = 30_000;
const byId = (id) => document.getElementById(id);
let shown = { name: null, page: null };

// #/name/part/part?setting=value
function address() {
  const [path, settings] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...parts] = path.split("/").map(decodeURIComponent);
  return { name, parts, settings: Object.fromEntries(new URLSearchParams(settings ?? "")) };
}

const PAGES = { "": overview, series, gaps, ...Object.fromEntries(Object.keys(LISTS).map((name) => [name, list(name)])) };

async function show() {
  if (!/^#\/|^#?$/.test(location.hash)) return; // an anchor, such as the skip link's
  const { name, parts, settings } = address();
  const same = shown.name === `${name}/${parts.join("/")}`;
  for (const link of document.querySelectorAll("nav a"))
    link.hash.slice(2) === name ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  if (same && shown.page.changed) return refresh(() => shown.page.changed(settings));
  shown.page?.close?.();
  const make = PAGES[name];
  const page = make ? make(parts, settings) : { node: [focusHeading("No such page")], refresh: async () => {} };
  shown = { name: `${name}/${parts.join("/")}`, page };
  byId("main").replaceChildren(...page.node);
  const heading = byId("main").querySelector("h1");
  document.title = `${heading?.textContent ?? "Candles"} · Candles`;
  await refresh(page.refresh);
}

async function refresh(how) {
  try {
    await how();
    byId("problem").hidden = true;
    byId("read-at").textContent = `as of ${moment(Date.now())}`;
  } catch (error) {
    byId("problem").textContent = `What you see may be old. ${error.message}`;
    byId("problem").hidden = false;
  }
}

// --- Airflow's own choice of theme, else the system's ------------------------------------------------------
const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");
function applyTheme() {
  const chosen = localStorage.getItem("theme");
  document.documentElement.classList.toggle("dark", chosen === "dark" || (chosen !== "light" && systemIsDark.matches));
  shown.page?.theme?.();
}

applyTheme();
systemIsDark.addEventListener("change", applyTheme);
window.addEventListener("storage", applyTheme);
window.addEventListener("hashchange", () => show().then(() => byId("main").querySelector("h1")?.focus({ preventScroll: true })));
document.addEventListener("visibilitychange", () => document.hidden || refresh(() => shown.page.refresh()));
setInterval(() => document.hidden || refresh(() => shown.page.refresh()), REFRESH_MS);
show();
