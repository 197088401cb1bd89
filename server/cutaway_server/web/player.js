/**
 * The snippets of one video: a player, and a card for each, in the order of their times. One clip is in the browser's
 * hands at a time; the others are Blobs, which it may keep on disk.
 */
import { button, clock, count, h, icon, save, skeletons } from "./dom.js";
import { zip } from "./zip.js";

export class Player {
	#cards = [];
	#chosen;
	#objectUrl;

	constructor() {
		this.video = h("video", { controls: true, playsinline: true, onerror: () => this.#fallBack() });
		this.title = h("h2", { dir: "auto" });
		this.times = h("p", { class: "times" });
		this.words = h("p", { class: "words", dir: "auto" });
		const one = button("save", "Save", () => save(this.#chosen.video, nameOf(this.#chosen)));
		this.screen = h(
			"section",
			{ class: "screen", "aria-label": "Player" },
			h("div", { class: "frame" }, this.video),
			h("div", { class: "about" }, h("div", null, this.title, this.times), one),
			this.words,
		);
		this.reel = h("ol", { class: "reel", "aria-label": "Snippets" });
		this.waiting = [...skeletons(1, "frame"), h("div", { class: "reel" }, skeletons(4, "row"))];
		this.element = h("div", { class: "theatre" }, this.waiting);
	}

	get size() {
		return this.#cards.length;
	}

	add(snippet) {
		const { poster, title, start = 0, end = start } = snippet;
		const length = end - start < 60 ? `${Math.round(end - start)} s` : clock(end - start);
		const badge = end > start && h("span", { class: "badge" }, length);
		const range = h("span", { class: "range" }, rangeOf(snippet));
		const card = h(
			"button",
			{ type: "button", class: "card", onclick: () => this.#choose(snippet, card, true) },
			h("span", { class: "poster" }, poster && h("img", { src: poster, alt: "" }), badge),
			h("span", null, h("span", { class: "name", dir: "auto" }, title), range),
		);
		const item = h("li", null, card);
		const after = this.#cards.findIndex((each) => each.snippet.start > start);
		this.reel.insertBefore(item, this.#cards[after]?.item ?? null);
		this.#cards.splice(after < 0 ? this.size : after, 0, { snippet, item });
		if (this.#chosen) return;
		this.waiting[0].replaceWith(this.screen);
		this.waiting[1].replaceWith(this.reel);
		this.#choose(snippet, card, false);
	}

	#choose(snippet, card, play) {
		this.reel.querySelector("[aria-current]")?.removeAttribute("aria-current");
		card.setAttribute("aria-current", "true");
		this.#chosen = snippet;
		this.title.textContent = snippet.title;
		this.times.textContent = rangeOf(snippet) + (snippet.by === "gemini" ? " · found by Gemini" : "");
		this.words.textContent = snippet.description;
		this.video.poster = snippet.poster ?? "";
		this.video.preload = snippet.poster ? "none" : "metadata";
		this.video.setAttribute("aria-label", snippet.title);
		this.#show(snippet.url, play);
		if (play) this.video.scrollIntoView({ block: "nearest" });
	}

	/** The clip by its address on the server, or else by the bytes that came. */
	#show(url, play) {
		URL.revokeObjectURL(this.#objectUrl);
		this.#objectUrl = url ? undefined : URL.createObjectURL(this.#chosen.video);
		this.video.src = url ?? this.#objectUrl;
		if (play) this.video.play().catch(() => {}); // another card was chosen meanwhile
	}

	/** The server keeps clips for a while only. */
	#fallBack() {
		if (!this.#chosen || this.#objectUrl) return;
		const at = this.video.currentTime;
		this.#show(undefined, !this.video.paused);
		this.video.currentTime = at;
	}

	/** All clips, and what is known about them, as one archive. */
	async saveAll() {
		const files = this.#cards.map(({ snippet }, n) => ({ name: nameOf(snippet, n + 1), blob: snippet.video }));
		const bytes = { video: undefined, poster: undefined, url: undefined };
		const known = this.#cards.map(({ snippet }, n) => ({ file: files[n].name, ...snippet, ...bytes }));
		files.push({ name: "snippets.json", blob: new Blob([JSON.stringify(known, null, 2)]) });
		save(await zip(files), "snippets.zip");
	}

	/** Let go of the clips. */
	close() {
		this.#chosen = undefined;
		this.#cards = [];
		this.video.removeAttribute("src");
		this.video.load();
		URL.revokeObjectURL(this.#objectUrl);
	}

	toString() {
		const seconds = this.#cards.reduce((sum, { snippet: { start = 0, end = start } }) => sum + end - start, 0);
		return count(this.size, "snippet") + (seconds ? `, ${clock(seconds)} together` : "");
	}
}

const rangeOf = ({ start, end }) => (end == null ? "" : `${clock(start ?? 0)} – ${clock(end)}`);

/** A title as a file name that every system takes: 255 bytes at most. */
function nameOf({ title }, number) {
	const safe = title.normalize("NFC").replace(/[\p{C}<>:"/\\|?*\s]+/gu, " ");
	const cut = safe.slice(0, 80).replace(/^[ .]+|[ .\p{Cs}]+$/gu, "");
	return `${number ? `${String(number).padStart(2, "0")} ` : ""}${cut || "snippet"}.mp4`;
}
