/** One answer: its messages come in, in any order; three parts of the page grow, each with its own end or fault. */
import { button, count, h, icon, link, notice, skeletons } from "./dom.js";
import { Markdown } from "./markdown.js";

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });
const COMPACT = new Intl.NumberFormat(undefined, { notation: "compact" });

export class Answer {
	#cards = [];
	#text = "";
	#drawing = 0;
	#caption;

	constructor() {
		this.notices = h("div");
		this.prose = h("div", { class: "prose" });
		this.by = h("span", { class: "by" });
		const lines = h("div", { class: "lines" }, skeletons(4));
		this.summary = part("Summary", this.by, this.prose, lines);
		this.figures = h("div", { class: "figures" });
		this.images = part("Images", null, this.figures, ...skeletons(1, "tall"));
		this.tally = h("span", { class: "by" });
		this.grid = h("ul", { class: "grid" });
		const tiles = h("div", { class: "grid" }, skeletons(3, "tall"));
		this.articles = part("Articles", this.tally, this.grid, tiles);
		this.element = h("div", null, this.notices, h("div", { class: "answer" }, this.summary, this.images, this.articles));
		this.markdown = new Markdown(this.prose, (number) => this.#mark(number));
	}

	take(message) {
		switch (message.type) {
			case "articles_batch":
				settle(this.articles);
				for (const item of message.items) this.#add(item);
				this.tally.textContent = this.#cards.length;
				this.markdown.clear(); // there may be marks of articles that come later than the words
				this.#draw();
				break;
			case "summary_chunk":
				settle(this.summary);
				this.#text += message.text;
				// Chunks come faster than pictures are painted.
				this.#drawing ||= requestAnimationFrame(() => this.#draw());
				break;
			case "summary_done":
				settle(this.summary);
				this.by.textContent = { gemini: "by Gemini", local: "from the articles" }[message.by] ?? "";
				if (message.search_entry_point) this.summary.append(entry(message.search_entry_point));
				break;
			case "image_text":
				settle(this.images);
				this.#caption = h("p", { class: "caption", dir: "auto" }, message.text);
				this.images.append(this.#caption);
				break;
			case "image":
				settle(this.images);
				this.#addImage(message);
				break;
			case "image_error":
				fail(this.images, message.message ?? "No image could be made.");
				break;
			case "error":
				if (this[message.agent] instanceof Node) fail(this[message.agent], message.message);
				else this.tell(message.message);
		}
	}

	/** Nothing more comes; `early` when it should have. */
	finish(early = false) {
		this.#draw();
		if (!early && !this.#cards.length && !failed(this.articles)) {
			fail(this.articles, "No article matches. Try other words.");
		}
		for (const [where, empty] of [
			[this.summary, !this.#text],
			[this.images, !this.figures.firstChild && !this.#caption],
			[this.articles, !this.#cards.length],
		]) {
			settle(where);
			where.hidden = empty && !failed(where);
		}
	}

	/** A word about the whole. */
	tell(...about) {
		this.notices.append(notice(...about));
	}

	toString() {
		return `${count(this.#cards.length, "article")}, ${count(this.figures.children.length, "image")}`;
	}

	#draw() {
		cancelAnimationFrame(this.#drawing);
		this.#drawing = 0;
		this.markdown.show(this.#text);
	}

	#mark(number) {
		const card = this.#cards[number - 1];
		if (!card) return null;
		const mark = button(null, number, () => {
			card.scrollIntoView({ block: "center" });
			card.focus();
		});
		mark.className = "mark";
		mark.title = card.querySelector("h3").textContent;
		mark.setAttribute("aria-label", `Article ${number}`);
		return mark;
	}

	#add({ url, title, author, date, description, likes, comments, emojis, ...item }) {
		const time = new Date(date);
		const day = date && !isNaN(time) && h("time", { datetime: date }, DATE.format(time));
		const number = this.#cards.length + 1;
		const counted = (n, name, drawn) => n > 0 && h("span", { title: count(n, name) }, icon(drawn), COMPACT.format(n));
		const card = h(
			"li",
			{ class: "article", tabindex: -1 },
			cover({ title, ...item }, number),
			h(
				"div",
				{ class: "body" },
				h("h3", { dir: "auto" }, link(url, null, title || "Untitled")),
				h("p", { class: "source", dir: "auto" }, author, author && day ? " · " : "", day),
				description && h("p", { class: "text", dir: "auto" }, description),
				h("p", { class: "counts" }, counted(likes, "like", "like"), counted(comments, "comment", "talk"), emojis.join(" ")),
			),
		);
		this.#cards.push(card);
		this.grid.append(card);
	}

	#addImage({ url }) {
		// A caption comes before its image; one without an image is about all of them.
		const words = this.#caption?.textContent;
		this.#caption?.remove();
		this.#caption = undefined;
		const gone = () => image.replaceWith(h("p", { class: "failed" }, "This image cannot be loaded."));
		const image = h("img", { src: url, alt: words ?? "An image made for this question", onerror: gone });
		const caption = words && h("figcaption", { dir: "auto" }, words);
		this.figures.append(h("figure", null, link(url, { title: "Open the image" }, image), caption));
	}
}

function part(title, aside, ...children) {
	const head = h("header", null, h("h2", null, title), aside);
	return h("section", { class: `part ${title.toLowerCase()}`, "aria-label": title }, head, children);
}

/** What stood for what had not come yet is gone. */
function settle(where) {
	for (const each of where.querySelectorAll(".skeleton")) each.remove();
}

const failed = (where) => where.querySelector(":scope > .failed");

function fail(where, text) {
	settle(where);
	where.append(h("p", { class: "failed", role: "alert", dir: "auto" }, text));
}

/** The picture of an article, or a plain tile in a colour of its own. */
function cover({ id, image, title, hasVideo }, number) {
	const made = h("div", { class: "cover" });
	const tile = () => {
		const hue = [...`${id}${title}`].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
		made.style.setProperty("--hue", hue);
		made.classList.add("tile");
		made.prepend(h("span", { "aria-hidden": "true" }, [...title.trim()][0] ?? ""));
	};
	const picture = /^https:/i.test(image) && h("img", { src: image, alt: "", referrerpolicy: "no-referrer" });
	if (!picture) tile();
	else {
		made.append(picture);
		picture.addEventListener("error", () => {
			picture.remove();
			tile();
		});
	}
	made.append(h("span", { class: "number" }, number), hasVideo ? h("span", { class: "film" }, "Video") : "");
	return made;
}

/** Google's search entry point must be shown; it is a stranger's HTML, so it is shown in a frame of no origin. */
function entry(html) {
	const sandbox = "allow-scripts allow-popups allow-popups-to-escape-sandbox";
	const onload = ({ target }) => target.contentWindow.postMessage(html, "*");
	return h("iframe", { src: "entry.html", sandbox, title: "Google Search suggestions", class: "entry", onload });
}
