/**
 * The snippets of one video: a player, and a card for each, in the order of their times. One clip is in the browser's
 * hands at a time; the others are Blobs, which it may keep on disk.
 */
import { clock, count, h, icon, save } from "./dom.js";
import { zip } from "./zip.js";

export class Player {
  /** @type {{snippet: object, item: HTMLElement, button: HTMLElement}[]} */
  #cards = [];
  #chosen;
  #objectUrl;

  constructor() {
    this.video = h("video", { controls: true, playsinline: true, preload: "metadata" });
    this.video.addEventListener("error", () => this.#fallBack());
    this.title = h("h2", { dir: "auto" });
    this.times = h("p", { class: "times" });
    this.words = h("p", { class: "words", dir: "auto" });
    const one = h("button", { type: "button", onclick: () => this.#save() }, icon("save"), "Save");
    this.screen = h(
      "section",
      { class: "screen", "aria-label": "Player", hidden: true },
      h("div", { class: "frame" }, this.video),
      h("div", { class: "about" }, h("div", null, this.title, this.times), one),
      this.words,
    );
    this.waiting = h("div", { class: "screen waiting", "aria-hidden": "true" }, h("div", { class: "frame skeleton" }));
    this.reel = h("ol", { class: "reel", "aria-label": "Snippets" });
    this.element = h("div", { class: "theatre" }, this.screen, this.waiting, this.reel);
  }

  get size() {
    return this.#cards.length;
  }

  /** Seconds of all snippets together. */
  get seconds() {
    return this.#cards.reduce((sum, { snippet }) => sum + lengthOf(snippet), 0);
  }

  add(snippet) {
    const poster = snippet.poster
      ? h("img", { src: snippet.poster, alt: "" })
      : h("span", { class: "blank" }, icon("play"));
    const button = h(
      "button",
      { type: "button", class: "card", onclick: () => this.choose(card, true) },
      h("span", { class: "poster" }, poster, h("span", { class: "badge" }, lengthText(snippet))),
      h(
        "span",
        { class: "label" },
        h("span", { class: "name", dir: "auto" }, snippet.title),
        h("span", { class: "range" }, rangeText(snippet)),
      ),
    );
    const card = { snippet, button, item: h("li", null, button) };
    const after = this.#cards.findIndex((each) => each.snippet.start > snippet.start);
    if (after < 0) this.#cards.push(card);
    else this.#cards.splice(after, 0, card);
    this.reel.insertBefore(card.item, this.#cards[this.#cards.indexOf(card) + 1]?.item ?? null);
    if (!this.#chosen) this.choose(card, false);
  }

  choose(card, play) {
    this.#chosen?.button.removeAttribute("aria-current");
    this.#chosen = card;
    const { snippet } = card;
    card.button.setAttribute("aria-current", "true");
    this.screen.hidden = false;
    this.waiting.remove();
    this.title.textContent = snippet.title;
    this.times.replaceChildren(rangeText(snippet), h("span", { class: "made" }, maker(snippet)));
    this.words.textContent = snippet.description;
    this.video.poster = snippet.poster ?? "";
    this.video.setAttribute("aria-label", snippet.title);
    this.#show(snippet.url);
    if (play) this.video.play().catch(() => {}); // another card was chosen meanwhile
  }

  /** The clip by its address on the server, or by the bytes that came. */
  #show(url) {
    if (this.#objectUrl) URL.revokeObjectURL(this.#objectUrl);
    this.#objectUrl = url ? undefined : URL.createObjectURL(this.#chosen.snippet.video);
    this.video.src = url ?? this.#objectUrl;
  }

  /** The server keeps clips for a while only. */
  #fallBack() {
    if (!this.#chosen || this.#objectUrl || !this.video.hasAttribute("src")) return;
    const playing = !this.video.paused;
    this.#show(undefined);
    if (playing) this.video.play().catch(() => {});
  }

  #save() {
    const { snippet } = this.#chosen;
    save(snippet.video, nameOf(snippet));
  }

  /** All clips, and what is known about them, as one archive. */
  async saveAll() {
    const names = new Map();
    const files = this.#cards.map(({ snippet }, n) => {
      const name = nameOf(snippet, n + 1);
      names.set(name, snippet);
      return { name, blob: snippet.video };
    });
    const known = [...names].map(([file, { video, poster, type, url, ...rest }]) => ({ file, ...rest }));
    files.push({ name: "snippets.json", blob: new Blob([JSON.stringify(known, null, 2)]) });
    save(await zip(files), "snippets.zip");
  }

  /** No more will come. */
  finish() {
    this.waiting.remove();
    this.element.hidden = !this.size;
  }

  /** Let go of everything. */
  close() {
    this.#chosen = undefined;
    this.video.removeAttribute("src");
    this.video.load();
    if (this.#objectUrl) URL.revokeObjectURL(this.#objectUrl);
    this.#objectUrl = undefined;
    this.element.remove();
  }

  toString() {
    return `${count(this.size, "snippet")}, ${clock(this.seconds)} together`;
  }
}

const lengthOf = ({ start, end }) => (end > start ? end - start : 0);

function lengthText(snippet) {
  const seconds = lengthOf(snippet);
  return seconds ? (seconds < 60 ? `${Math.round(seconds)} s` : clock(seconds)) : "MP4";
}

function rangeText({ start, end }) {
  return start == null || end == null ? "" : `${clock(start)} – ${clock(end)}`;
}

function maker({ by }) {
  return by === "gemini" ? "found by Gemini" : "";
}

/** A title as a file name that every system takes. */
function nameOf({ title }, number) {
  const safe = title
    .normalize("NFC")
    .replace(/[\p{C}<>:"/\\|?*]+/gu, " ")
    .replace(/\s+/g, " ")
    .replace(/^[\s.]+|[\s.]+$/g, "");
  const cut = [...safe].slice(0, 80).join("").trim() || "snippet";
  return `${number ? `${String(number).padStart(2, "0")} ` : ""}${cut}.mp4`;
}
