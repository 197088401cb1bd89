/** The page: two tabs, the address that names what they show, and the connection to the server. */
import { Cutaway } from "./cutaway.js";
import { Search } from "./search.js";
import { Snippets } from "./snippets.js";

const SLOWEST = 30; // seconds between two attempts to connect

const cutaway = new Cutaway();
const views = {};
const shown = {};
for (const [name, View] of Object.entries({ snippets: Snippets, search: Search })) {
  const navigate = (parameters, again) => {
    if (again) delete shown[name];
    open(name, parameters);
  };
  views[name] = new View(document.getElementById(name), cutaway, { navigate, check: connect });
}

// --- addresses: #search?q=…&source=…, #snippets?url=…

function open(name, parameters) {
  const hash = address(name, parameters);
  if (hash !== location.hash) history.pushState(null, "", hash);
  route();
}

const address = (name, parameters) => `#${name}${parameters.size ? `?${parameters}` : ""}`;

function route() {
  const [path, ...query] = location.hash.slice(1).split("?");
  const name = path in views ? path : "snippets";
  const parameters = new URLSearchParams(query.join("?"));
  for (const tab of tabs) {
    const chosen = tab.dataset.panel === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.dataset.panel).hidden = !chosen;
  }
  const about = parameters.get("q") ?? parameters.get("url");
  document.title = about ? `${about} · Cutaway` : "Cutaway";
  if (shown[name] === `${parameters}`) return;
  shown[name] = `${parameters}`;
  views[name].go(parameters);
}

const tabs = [...document.querySelectorAll("[role=tab]")];
for (const [n, tab] of tabs.entries()) {
  const name = tab.dataset.panel;
  tab.addEventListener("click", () => open(name, new URLSearchParams(shown[name] ?? "")));
  tab.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -n, End: tabs.length - 1 - n }[key];
    if (step === undefined) return;
    const next = tabs.at((n + step) % tabs.length);
    next.focus();
    next.click();
  });
}
addEventListener("popstate", route);
for (const each of document.querySelectorAll("[data-go]")) {
  each.addEventListener("click", () => open(...parse(each.dataset.go)));
}

function parse(text) {
  const [name, query] = text.split("?");
  return [name, new URLSearchParams(query)];
}

// --- the connection

const banner = document.getElementById("connection");
let attempts = 0;
let timer;

async function connect() {
  clearTimeout(timer);
  timer = undefined;
  try {
    await cutaway.connect();
  } catch {
    banner.hidden = false;
    const seconds = Math.min(SLOWEST, 2 ** attempts++) * (0.75 + Math.random() / 2);
    timer = setTimeout(connect, seconds * 1000);
  }
}

cutaway.addEventListener("connected", () => {
  attempts = 0;
  banner.hidden = true;
});
cutaway.addEventListener("lost", connect);
banner.querySelector("button").addEventListener("click", connect);
const soon = () => timer !== undefined && connect();
addEventListener("online", soon);
document.addEventListener("visibilitychange", () => document.hidden || soon());
addEventListener("pagehide", () => cutaway.close());
addEventListener("pageshow", ({ persisted }) => persisted && connect());

route();
connect();
