// The gallery: cards that come one by one, one player above them. A clip is asked for when it is chosen; what was
// played stays in the page up to a limit, and only what is in the player has an address.

const STAGES = { resolve: "Looking at the video", analyse: "Finding the moments", cut: "Cutting" };
const KEPT_BYTES = 128 * 2 ** 20;
const REACH_MS = 2000;

/**
 * Whether to ask the server itself for a clip. A loopback address is the kernel's machine; where the page is from
 * another one, it leads nowhere, and a browser may ask its user for leave to go there.
 */
function near(address) {
  const loopback = (name) => /^(localhost|127\.[\d.]+|\[::1\])$/.test(name);
  return URL.canParse(address) && (loopback(location.hostname) || !loopback(new URL(address).hostname));
}

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

class Player {
  constructor(kernel, tell) {
    this.kernel = kernel;
    this.tell = tell;
    this.kept = new Map();
    this.chosen = -1;
    this.video = make("video", { controls: true, playsinline: true, preload: "auto" });
    this.title = make("div", { class: "cutaway-playing-title" });
    this.words = make("div", { class: "cutaway-playing-words" });
    this.facts = make("div", { class: "cutaway-facts" });
    this.side = make("div", { class: "cutaway-playing" }, this.title, this.facts, this.words);
    this.stage = make("div", { class: "cutaway-stage", hidden: true }, this.video, this.side);
    this.video.addEventListener("error", () => this.failed());
  }

  /** Show a card, and play it as soon as there are bytes. */
  play(number, card) {
    this.chosen = number;
    this.fallback = null;
    this.tell("");
    show(this.stage, true);
    this.title.textContent = card.title;
    this.words.textContent = this.words.title = card.description;
    const by = card.by === "gemini" && "found by Gemini";
    this.facts.textContent = [card.time, card.length, card.size, by].filter(Boolean).join(" · ");
    this.video.setAttribute("aria-label", card.title);
    if (card.poster) this.video.poster = `data:image/jpeg;base64,${card.poster}`;
    else this.video.removeAttribute("poster");
    this.release();
    this.stage.scrollIntoView({ block: "nearest" });
    if (!card.url || this.kept.has(number) || Player.served === false || !near(card.url)) {
      this.playBytes(number, card);
      return;
    }
    // Whether the browser reaches the server, nobody but the browser knows: if not, the kernel has the bytes.
    const fallback = () => this.playBytes(number, card);
    this.fallback = fallback;
    this.start(card.url);
    setTimeout(() => this.fallback === fallback && !this.video.readyState && this.failed(), REACH_MS);
  }

  async playBytes(number, card) {
    this.stage.setAttribute("aria-busy", "true");
    try {
      const blob = await this.bytes(number, card);
      if (this.chosen !== number) return;
      this.release();
      this.address = URL.createObjectURL(blob);
      this.start(this.address);
    } catch (error) {
      if (this.chosen !== number) return;
      this.stage.removeAttribute("aria-busy");
      this.tell(error.message);
    }
  }

  start(address) {
    this.video.src = address;
    this.stage.removeAttribute("aria-busy");
    this.video.play().catch(() => {}); // a browser that wants a click first shows its controls
  }

  async bytes(number, card) {
    let blob = this.kept.get(number);
    blob ??= card.video
      ? new Blob([bytesOf(card.video)], { type: "video/mp4" })
      : await this.kernel.ask({ do: "play", card: number }, { clip: number });
    this.kept.delete(number);
    this.kept.set(number, blob);
    let size = 0;
    for (const [key, { size: more }] of [...this.kept].reverse()) {
      size += more;
      if (size > KEPT_BYTES && key !== number) this.kept.delete(key);
    }
    return blob;
  }

  failed() {
    if (!this.video.hasAttribute("src")) return;
    if (this.fallback) {
      Player.served = false;
      const fallback = this.fallback;
      this.fallback = null;
      this.release(); // a server that is only slow would play it, too
      fallback();
    } else this.tell("This browser cannot play the clip. Save it and open it in a player.");
  }

  /** Let the browser forget what is in the player. */
  release() {
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
  }
}

function cardOf(number, card, choose, save) {
  const picture = card.poster
    ? make("img", { src: `data:image/jpeg;base64,${card.poster}`, alt: `A frame of “${card.title}”`, draggable: "false" })
    : make("div", { class: "cutaway-no-poster" });
  const about = [card.time && `from ${card.time.replace("–", " to ")}`, card.length].filter(Boolean).join(", ");
  const face = make(
    "button",
    {
      type: "button",
      class: "cutaway-card-face",
      "aria-label": `Play “${card.title}”${about && `, ${about}`}`,
      title: card.description || card.title,
      onclick: () => choose(number),
      tabindex: number === 0 ? "0" : "-1",
    },
    make(
      "span",
      { class: "cutaway-picture" },
      picture,
      make("span", { class: "cutaway-play" }, icon("play")),
      card.length ? make("span", { class: "cutaway-length", text: card.length }) : null,
    ),
    make("span", { class: "cutaway-card-title", text: card.title }),
  );
  const facts = make("span", { class: "cutaway-facts" });
  for (const fact of [card.time, card.size].filter(Boolean)) facts.append(make("span", { text: fact }));
  const keep = button("", "save", () => save(number));
  keep.classList.add("cutaway-quiet");
  return make("li", { class: "cutaway-card" }, face, make("div", { class: "cutaway-card-foot" }, facts, keep));
}

function render({ model, el, signal }) {
  const title = make("div", { class: "cutaway-title", text: "Snippets" });
  const source = make("div", { class: "cutaway-source" });
  const count = make("div", { class: "cutaway-count", role: "status" });
  const stop = button("Stop", "stop", () => kernel.send({ do: "stop" }));
  const saveAll = button("Save all", "save", () => kernel.send({ do: "save_all" }));
  const bar = make("div", { class: "cutaway-bar" });
  const progress = make("div", { class: "cutaway-progress", role: "progressbar", "aria-label": "Progress" }, bar);
  const error = make("div", { class: "cutaway-error", role: "alert", hidden: true });
  const note = make("div", { class: "cutaway-note", role: "status", hidden: true });
  const cards = make("ul", { class: "cutaway-cards", "aria-label": "Snippets" });
  const tell = teller(model, note);
  const kernel = new Kernel(model, signal, tell);
  const player = new Player(kernel, tell);
  const head = make("div", { class: "cutaway-words" }, title, source);
  root(
    model,
    el,
    signal,
    make("div", { class: "cutaway-head" }, head, make("div", { class: "cutaway-buttons" }, saveAll, stop)),
    player.stage,
    make("div", { class: "cutaway-progress-row" }, progress, count, note),
    error,
    cards,
  );

  const faces = () => [...cards.querySelectorAll(".cutaway-card-face")];
  const cardNumber = (number) => model.get(`card_${number}`);
  const choose = (number) => {
    faces().forEach((face, n) => {
      if (n === number) face.setAttribute("aria-current", "true");
      else face.removeAttribute("aria-current");
      face.tabIndex = n === number ? 0 : -1;
    });
    player.play(number, cardNumber(number));
  };
  const save = (number) => kernel.send({ do: "save", card: number });

  // One card is in the tab order; arrows go from card to card.
  cards.addEventListener("keydown", (event) => {
    const all = faces();
    const here = all.indexOf(event.target);
    const to = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0 }[event.key];
    const target = event.key === "End" ? all.length - 1 : to;
    if (here < 0 || target === undefined) return;
    event.preventDefault();
    if (!all[target]) return;
    for (const face of all) face.tabIndex = face === all[target] ? 0 : -1;
    all[target].focus();
  });

  const addCards = () => {
    const total = model.get("count");
    for (let number = cards.children.length; number < total; number++) {
      const card = cardNumber(number);
      if (!card) return;
      cards.append(cardOf(number, card, choose, save));
    }
    update();
  };

  const update = () => {
    const status = model.get("status");
    const total = model.get("count");
    const running = status.state === "running";
    const found = `${total} snippet${total === 1 ? "" : "s"}`;
    source.textContent = status.source;
    source.title = status.source;
    const stage = STAGES[status.stage] || "Starting";
    const said = {
      running: total ? `${stage} · ${found} so far` : `${stage} …`,
      done: total ? found : "Nothing happens in this video: no snippets.",
      stopped: `Stopped · ${found}`,
      failed: total ? `${found} before it failed` : "",
    };
    say(count, said[status.state] ?? found);
    show(stop, running);
    show(saveAll, total > 0);
    show(progress, running);
    const percent = Math.round(100 * (status.fraction || 0));
    bar.style.inlineSize = `${percent}%`;
    progress.setAttribute("aria-valuenow", percent);
    progress.setAttribute("aria-valuetext", `${stage}, ${percent} %`);
    progress.classList.toggle("cutaway-waiting", !status.stage);
    say(error, status.error || "");
    for (const [number, item] of [...cards.children].entries()) {
      const word = status.saved?.includes(number) ? "Saved" : "Save";
      const keep = item.querySelector(".cutaway-quiet");
      if (keep.title === word) continue;
      keep.title = word;
      keep.setAttribute("aria-label", `${word} “${cardNumber(number).title}”`);
      keep.replaceChildren(icon(word.toLowerCase()));
    }
    tell();
  };

  model.on("change:count", addCards);
  model.on("change:status", update);
  signal.addEventListener("abort", () => player.release());
  addCards();
  kernel.hello();
}

export default { render };
