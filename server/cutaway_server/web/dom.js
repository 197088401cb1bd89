/** Elements out of data. Texts become text nodes: nothing here, or above it, reads HTML. */

/** Make an element. Attributes that are null, undefined or false are left out; functions listen. */
export function h(tag, attributes, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes ?? {})) {
		if (value == null || value === false) continue;
		if (typeof value === "function") element.addEventListener(name.slice(2), value);
		else element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.flat().filter((child) => child != null && child !== false));
	return element;
}

const drawings = document.querySelector("template").content;

/** A drawing from index.html. */
export const icon = (name) => drawings.querySelector(`.${name}`).cloneNode(true);

/** A button with a drawing, words, or both. */
export function button(drawing, words, onclick) {
	return h("button", { type: "button", onclick }, drawing && icon(drawing), words);
}

/** A word to the user; what is not `calm` interrupts. */
export function notice(text, calm, again) {
	const attributes = { class: `notice ${calm ? "calm" : ""}`, role: calm ? null : "alert" };
	return h("div", attributes, h("p", { dir: "auto" }, text), again && button(null, "Try again", again));
}

/** What stands for what has not come yet. */
export function skeletons(number, kind = "") {
	return Array.from({ length: number }, () => h("div", { class: `skeleton ${kind}` }));
}

/** A link to another site, or just its text when it is no http(s) address. */
export function link(href, attributes, ...children) {
	const url = URL.canParse(href) ? new URL(href) : null;
	if (!/^https?:$/.test(url?.protocol)) return h("span", attributes, ...children);
	return h("a", { ...attributes, href: url.href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

/** Tell those who listen rather than look. */
export function say(text) {
	document.getElementById("said").textContent = text;
}

/** 83.4 as 1:23. */
export function clock(seconds) {
	const whole = Math.max(0, Math.round(seconds));
	const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
	if (!parts[0]) parts.shift();
	return parts.map((part, n) => (n ? String(part).padStart(2, "0") : part)).join(":");
}

/** "1 snippet", "2 snippets". */
export function count(number, one) {
	return `${number.toLocaleString()} ${one}${number === 1 ? "" : "s"}`;
}

/** Save a Blob as a file. */
export function save(blob, name) {
	const href = URL.createObjectURL(blob);
	h("a", { href, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(href), 9999); // the browser reads it a little later
}
