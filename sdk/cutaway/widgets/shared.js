// What both views share: making elements, talking to the kernel, a status line. Nothing here, or in the views, makes
// HTML of text: whatever strangers wrote ends in text nodes, in attributes that hold no code, and in links that are
// http(s).

/** An element: its attributes (`on…` are listeners, `class`, `text`), and its children. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "text") element.textContent = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A link that leaves the notebook, or just its children when the address is none to follow. */
function link(address, ...children) {
  if (!/^https?:\/\//i.test(address)) return make("span", {}, ...children);
  return make("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);
}

const ICONS = {
  play: "M8 5v14l11-7z",
  save: "M5 20h14v-2H5zM19 9h-4V3H9v6H5l7 7z",
  saved: "M9 16.2 4.8 12l-1.4 1.4L9 19 21 7l-1.4-1.4z",
  stop: "M6 6h12v12H6z",
  search: "M15.5 14h-.8l-.3-.3a6.5 6.5 0 1 0-.7.7l.3.3v.8l5 5 1.5-1.5zm-6 0a4.5 4.5 0 1 1 0-9 4.5 4.5 0 0 1 0 9z",
  image: "M21 19V5a2 2 0 0 0-2-2H5a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h14a2 2 0 0 0 2-2zM8.5 13.5l2.5 3 3.5-4.5 4.5 6H5z",
  close: "M19 6.4 17.6 5 12 10.6 6.4 5 5 6.4 10.6 12 5 17.6 6.4 19 12 13.4 17.6 19 19 17.6 13.4 12z",
  heart: "M12 21l-1.4-1.3C5.4 15 2 12 2 8.3 2 5.4 4.4 3 7.3 3c1.7 0 3.4.8 4.7 2.1C13.3 3.8 15 3 16.7 3 19.6 3 22 5.4 22 8.3c0 3.7-3.4 6.7-8.6 11.4z",
  comment: "M20 2H4a2 2 0 0 0-2 2v18l4-4h14a2 2 0 0 0 2-2V4a2 2 0 0 0-2-2z",
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function button(label, picture, onclick, attributes = {}) {
  const words = label ? [make("span", { text: label })] : [];
  return make("button", { type: "button", class: "cutaway-button", onclick, ...attributes }, icon(picture), ...words);
}

/**
 * The root of a view. Plain keys that are pressed in it are its own: Jupyter's shortcuts would move between cells and
 * edit them. Jupyter listens on the document before anybody in it, and looks at an attribute. Ctrl+S still saves.
 */
function root(model, el, signal, ...children) {
  const element = make("div", { class: "cutaway" }, ...children);
  // As long as the view is there, the words below it, for those who see no view, are not.
  const below = `[data-cutaway="${model.get("mark")}"]`;
  const style = `${below} { display: none } .jp-OutputArea-child:has(${below}) { display: none !important }`;
  element.append(make("style", { text: style }));
  const plain = (event) => !(event.ctrlKey || event.metaKey || event.altKey);
  const before = (event) => {
    if (element.contains(event.target)) element.toggleAttribute("data-lm-suppress-shortcuts", plain(event));
  };
  window.addEventListener("keydown", before, { capture: true, signal });
  element.addEventListener("keydown", (event) => plain(event) && event.stopPropagation());
  el.append(element);
  // JupyterLab 4.6 remembers the frames of views that it has removed.
  signal.addEventListener("abort", () => element.remove());
  return element;
}

/** Show or hide an element; say a text only when it is another one, or a screen reader repeats it. */
const show = (element, shown) => element.toggleAttribute("hidden", !shown);
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  show(element, text !== "");
}

const GONE =
  "The kernel does not answer. Unless it is busy with a cell, it was restarted since, or this notebook was opened " +
  "again: run the cell again.";
const PATIENCE_MS = 4000;

/** Tells a text in a note until the kernel says something else; of a kernel that is gone nothing is awaited. */
function teller(model, note) {
  let local = "";
  let said = "";
  const tell = (text, needed = false) => {
    const word = model.get("status").note ?? "";
    local = text ?? (word === said ? local : "");
    said = word;
    say(note, local || word);
    note.closest(".cutaway")?.classList.toggle("cutaway-gone", local === GONE);
    if (needed) note.scrollIntoView({ block: "nearest" });
  };
  tell.answered = () => local === GONE && tell("");
  return tell;
}

/** Talks to the kernel: asks for bytes, which come in a message of their own, and says so when nobody answers. */
class Kernel {
  constructor(model, signal, tell) {
    this.model = model;
    this.tell = tell;
    this.waiting = new Map();
    const heard = (message, buffers) => {
      const key = Kernel.key(message);
      const waiting = this.waiting.get(key);
      if (!waiting) return;
      this.waiting.delete(key);
      clearTimeout(waiting.timer);
      this.tell.answered();
      if (message.hello) waiting.resolve();
      else if (message.error || !buffers?.length) waiting.reject(new Error(message.error || "Nothing came."));
      else waiting.resolve(new Blob([buffers[0]], { type: message.type }));
    };
    model.on("msg:custom", heard);
    signal.addEventListener("abort", () => {
      model.off("msg:custom", heard);
      for (const { timer } of this.waiting.values()) clearTimeout(timer);
    });
  }

  static key({ hello, clip, turn, image }) {
    if (hello) return "hello";
    return clip === undefined ? `image ${turn} ${image}` : `clip ${clip}`;
  }

  /** Ask whether anybody is there: what a notebook was saved with may be all there is. */
  hello() {
    this.ask({ do: "hello" }, { hello: true }).catch(() => {});
  }

  /** A blob, by the message that asks for it and the one that answers. */
  ask(message, answer) {
    const key = Kernel.key(answer);
    const known = this.waiting.get(key);
    if (known) return known.promise;
    const waiting = {};
    waiting.promise = new Promise((resolve, reject) => Object.assign(waiting, { resolve, reject }));
    waiting.timer = setTimeout(() => this.gone(message), PATIENCE_MS);
    this.waiting.set(key, waiting);
    this.send(message);
    return waiting.promise;
  }

  /** Tell the kernel something, or the reader that there is none any more. */
  send(message, buffers = []) {
    try {
      this.model.send(message, undefined, buffers);
    } catch {
      this.gone(message);
    }
  }

  /** Say that nobody answers; who asked for something is led to it. */
  gone(message) {
    this.tell(GONE, message.do !== "hello");
  }
}
