/** The page: two tabs, the address that names what they show, and the connection to the server. */
import { Cutaway } from "./cutaway.js";
import { Search } from "./search.js";
import { Snippets } from "./snippets.js";

const SLOWEST = 30; // seconds between two attempts to connect

const cutaway = new Cutaway();
const panels = { snippets: Snippets, search: Search };
const views = {};
const shown = {};

for (const [name, View] of Object.entries(panels)) {
	const navigate = (parameters) => {
		delete shown[name];
		open(name, `${parameters}`);
	};
	views[name] = new View(document.getElementById(`panel-${name}`), cutaway, { navigate, check: connect });
}

function open(name, query = "") {
	const hash = `#${name}${query && `?${query}`}`;
	if (hash === location.hash) route();
	else location.hash = hash;
}

function route() {
	const [path, ...query] = location.hash.slice(1).split("?");
	const name = Object.hasOwn(panels, path) ? path : "snippets";
	const parameters = new URLSearchParams(query.join("?"));
	for (const tab of tabs) {
		const chosen = tab.id === `tab-${name}`;
		tab.setAttribute("aria-selected", chosen);
		tab.tabIndex = chosen ? 0 : -1;
	}
	for (const each in panels) document.getElementById(`panel-${each}`).hidden = each !== name;
	const about = parameters.get("q") || parameters.get("url");
	document.title = about ? `${about} · Cutaway` : "Cutaway";
	if (shown[name] === `${parameters}`) return;
	shown[name] = `${parameters}`;
	views[name].go(parameters);
}

const tabs = [...document.querySelectorAll("[role=tab]")];
for (const [n, tab] of tabs.entries()) {
	const name = tab.id.slice("tab-".length);
	tab.addEventListener("click", () => open(name, shown[name]));
	tab.addEventListener("keydown", (event) => {
		const next = { ArrowRight: n + 1, ArrowLeft: n - 1, Home: 0, End: -1 }[event.key];
		if (next === undefined) return;
		event.preventDefault();
		tabs.at(next % tabs.length).focus();
		tabs.at(next % tabs.length).click();
	});
}
addEventListener("hashchange", route);

const banner = document.getElementById("connection");
let attempts = 0;
let timer;

async function connect() {
	clearTimeout(timer);
	timer = undefined;
	try {
		await cutaway.connect();
		attempts = 0;
		banner.hidden = true;
	} catch {
		banner.hidden = false;
		const seconds = Math.min(SLOWEST, 2 ** attempts++) * (0.75 + Math.random() / 2);
		clearTimeout(timer);
		timer = setTimeout(connect, seconds * 1000);
	}
}

cutaway.addEventListener("lost", connect);
banner.querySelector("button").addEventListener("click", connect);
const soon = () => timer && !document.hidden && connect();
addEventListener("online", soon);
document.addEventListener("visibilitychange", soon);

route();
connect();
