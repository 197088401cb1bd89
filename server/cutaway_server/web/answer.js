/** One answer: its messages come in, in whatever order; three parts of the page grow, each with its own end or fault. */
import { count, h, icon, link } from "./dom.js";
import { Markdown } from "./markdown.js";

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });

export class Answer {
  #cards = [];
  #text = "";
  #pictures = 0;
  #drawing = 0;
  #caption;

  constructor() {
    this.notices = h("div", { class: "notices" });
    this.prose = h("div", { class: "prose" });
    this.by = h("span", { class: "by" });
    this.summary = part("Summary", "summary", this.by, this.prose, lines());
    this.figures = h("div", { class: "figures" });
    this.images = part("Images", "images", null, this.figures, h("div", { class: "skeleton tile" }));
    this.tally = h("span", { class: "by" });
    this.grid = h("ul", { class: "grid" });
    const waiting = h("div", { class: "grid waiting" }, [1, 2, 3, 4].map(() => h("div", { class: "skeleton tile" })));
    this.articles = part("Articles", "articles", this.tally, this.grid, waiting);
    this.element = h("div", { class: "answer" }, this.notices, this.summary, this.images, this.articles);
    this.markdown = new Markdown(this.prose, (number) => this.#mark(number));
  }

  take(message) {
    switch (message.type) {
      case "articles_batch":
        settle(this.articles);
        for (const item of message.items) this.#add(item);
        this.tally.textContent = count(this.#cards.length, "article");
        this.markdown.refresh(); // marks of articles that came later than the words
        break;
      case "summary_chunk":
        settle(this.summary);
        this.#text += message.text;
        // Chunks come faster than pictures are painted.
        this.#drawing ||= requestAnimationFrame(() => this.#draw());
        break;
      case "summary_done":
        this.#draw();
        settle(this.summary);
        if (!this.#text && !this.summary.querySelector(".failed")) this.summary.hidden = true;
        this.by.textContent = { gemini: "by Gemini", local: "from the articles" }[message.by] ?? "";
        if (message.search_entry_point) this.summary.append(entry(message.search_entry_point));
        break;
      case "image_text":
        this.#caption = h("figcaption", { dir: "auto" }, message.text);
        settle(this.images);
        this.figures.append(h("figure", null, this.#caption));
        break;
      case "image":
        this.#addImage(message);
        break;
      case "image_error":
        this.#fail(this.images, message.message ?? "No image could be made.");
        break;
      case "error":
        this.#fail(this[message.agent] ?? this.notices, message.message);
    }
  }

  /** Nothing more comes; `early` when it should have. */
  finish(early = false) {
    this.#draw();
    for (const each of [this.summary, this.images, this.articles]) settle(each);
    const empty = h("p", { class: "failed" }, "No article matches. Try other words, or let yourself be surprised.");
    if (!this.#cards.length && !early && !this.articles.querySelector(".failed")) this.articles.append(empty);
    else this.articles.hidden = !this.#cards.length && !this.articles.querySelector(".failed");
    this.summary.hidden ||= !this.#text && !this.summary.querySelector(".failed");
    this.images.hidden = !this.figures.childNodes.length && !this.images.querySelector(".failed");
  }

  /** A word about the whole. */
  tell(text, calm, again) {
    const button = again && h("button", { type: "button", onclick: again }, "Try again");
    const attributes = { class: `notice ${calm ? "calm" : ""}`, role: calm ? null : "alert" };
    this.notices.append(h("div", attributes, h("p", { dir: "auto" }, text), button));
  }

  toString() {
    return `${count(this.#cards.length, "article")}, ${count(this.#pictures, "image")}`;
  }

  #draw() {
    cancelAnimationFrame(this.#drawing);
    this.#drawing = 0;
    this.markdown.show(this.#text);
  }

  #fail(where, text) {
    settle(where);
    where.append(h("p", { class: "failed", role: "alert", dir: "auto" }, text));
  }

  #mark(number) {
    const card = this.#cards[number - 1];
    if (!card) return null;
    const go = () => {
      card.scrollIntoView({ block: "center" });
      card.focus();
    };
    const title = card.querySelector("h3").textContent;
    return h("button", { type: "button", class: "mark", title, "aria-label": `Article ${number}`, onclick: go }, number);
  }

  #add(item) {
    const number = this.#cards.length + 1;
    const likes = item.likes > 0 && h("span", { title: count(item.likes, "like") }, icon("like"), short(item.likes));
    const said = item.comments > 0;
    const comments = said && h("span", { title: count(item.comments, "comment") }, icon("talk"), short(item.comments));
    const card = h(
      "li",
      { class: "article", tabindex: -1 },
      cover(item, number),
      h(
        "div",
        { class: "body" },
        h("h3", { dir: "auto" }, link(item.url, null, item.title || "Untitled")),
        h("p", { class: "source", dir: "auto" }, item.author, item.author && item.date ? " · " : "", day(item.date)),
        item.description && h("p", { class: "text", dir: "auto" }, item.description),
        h("p", { class: "counts" }, likes, comments, item.emojis.length > 0 && h("span", null, item.emojis.join(" "))),
      ),
    );
    this.#cards.push(card);
    this.grid.append(card);
  }

  #addImage({ url, by }) {
    settle(this.images);
    // A caption comes before its image.
    const figure = this.#caption?.parentElement ?? h("figure");
    const alt = this.#caption?.textContent ?? "An image made for this question";
    this.#caption = undefined;
    const image = h("img", { src: url, alt, class: "loading" });
    image.addEventListener("load", () => image.classList.remove("loading"));
    image.addEventListener("error", () => image.replaceWith(h("p", { class: "failed" }, "The image cannot be loaded.")));
    figure.prepend(h("a", { href: url, target: "_blank", rel: "noopener", title: "Open the image" }, image));
    figure.classList.toggle("gemini", by === "gemini");
    if (!figure.isConnected) this.figures.append(figure);
    this.#pictures += 1;
  }
}

function part(title, name, aside, ...children) {
  const id = `h-${name}-${Math.random().toString(36).slice(2)}`;
  const head = h("header", null, h("h2", { id }, title), aside);
  return h("section", { class: `part ${name}`, "aria-labelledby": id }, head, children);
}

/** What stood for what had not come yet is gone. */
function settle(where) {
  for (const each of where.querySelectorAll(".skeleton, .waiting")) each.remove();
}

function lines() {
  return h("div", { class: "waiting" }, [1, 2, 3, 4].map(() => h("div", { class: "skeleton line" })));
}

/** The picture of an article, or a plain tile in a colour of its own. */
function cover({ id, image, emojis, title, hasVideo }, number) {
  const made = h("div", { class: "cover" });
  const tile = () => {
    const hue = [...`${id}${title}`].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
    made.style.setProperty("--hue", hue);
    made.classList.add("tile");
    made.append(h("span", { "aria-hidden": "true" }, emojis[0] ?? [...title.trim()][0] ?? ""));
  };
  if (/^https:\/\//i.test(image)) {
    const shown = h("img", { src: image, alt: "", loading: "lazy", referrerpolicy: "no-referrer" });
    shown.addEventListener("error", () => {
      shown.remove();
      tile();
    });
    made.append(shown);
  } else tile();
  made.append(h("span", { class: "number" }, number), hasVideo ? h("span", { class: "film" }, icon("play"), "Video") : "");
  return made;
}

/** Google's search entry point must be shown; it is a stranger's HTML, so it is shown in a frame of no origin. */
function entry(html) {
  const sandbox = "allow-scripts allow-popups allow-popups-to-escape-sandbox";
  const frame = h("iframe", { src: "entry.html", sandbox, title: "Google Search suggestions", class: "entry" });
  frame.addEventListener("load", () => frame.contentWindow.postMessage(html, "*"));
  return frame;
}

function day(date) {
  const time = new Date(date);
  return date && !Number.isNaN(time.getTime()) ? h("time", { datetime: date }, DATE.format(time)) : "";
}

const COMPACT = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const short = (number) => COMPACT.format(number);
