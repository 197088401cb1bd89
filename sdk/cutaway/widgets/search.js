// The search view: a question, and its answer part by part. Images are asked for when they are there, and shown from
// blobs, which are let go with the next question.

const SOURCES = [
  ["home", "Best match", "The most relevant first"],
  ["stumber", "Surprise me", "Varied picks, different every time"],
];
// Jupyter's servers cut a connection that brings a message of 10 MiB.
const MOST_IMAGE_BYTES = 8e6;
const NAMES = new Set("p h4 em strong s ul ol li blockquote table thead tbody tr th td hr br code pre a".split(" "));

/** The elements of a tree of texts and [name, link, children]. */
function grow(node) {
  if (typeof node === "string") return document.createTextNode(node);
  const [name, address, children] = node;
  const grown = children.map(grow);
  if (name === "a") return link(address, ...grown);
  return make(NAMES.has(name) ? name : "span", {}, ...grown);
}

const counted = (number, noun) => `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;

function figure(picture, number, noun) {
  if (!number) return null;
  const words = counted(number, noun);
  const short = Intl.NumberFormat(undefined, { notation: "compact" }).format(number);
  return make("span", { class: "cutaway-figure", title: words, "aria-label": words, role: "img" }, icon(picture), short);
}

function articleOf(item) {
  const date = item.date ? new Date(item.date) : null;
  const day = date && !isNaN(date) ? date.toLocaleDateString(undefined, { dateStyle: "medium" }) : "";
  const image = item.image
    ? make("img", { alt: "", loading: "lazy", decoding: "async", referrerpolicy: "no-referrer", src: item.image })
    : null;
  image?.addEventListener("error", () => image.remove());
  const words = make(
    "div",
    { class: "cutaway-article-words" },
    make("div", { class: "cutaway-article-title" }, link(item.link, item.title)),
    item.description ? make("div", { class: "cutaway-article-text", text: item.description }) : null,
    make(
      "div",
      { class: "cutaway-facts" },
      make("span", { text: [item.author, item.site, day].filter(Boolean).join(" · ") }),
      figure("heart", item.likes, "like"),
      figure("comment", item.comments, "comment"),
      item.video ? make("span", { class: "cutaway-figure", title: "has a video" }, icon("play"), "video") : null,
      item.emojis ? make("span", { text: item.emojis }) : null,
    ),
  );
  return make(
    "li",
    { class: "cutaway-article" },
    make("span", { class: "cutaway-number", text: `${item.number}` }),
    words,
    image,
  );
}

function form(model, kernel, tell) {
  let picture = null;
  const text = make("input", {
    type: "search",
    class: "cutaway-text",
    placeholder: "Ask something, or leave it empty for the front page",
    "aria-label": "What to search for",
    maxlength: "10000",
    value: model.get("status").query,
  });
  const file = make("input", { type: "file", accept: "image/png,image/jpeg,image/gif,image/webp", hidden: true });
  const thumbnail = make("img", { alt: "The image to search for", class: "cutaway-thumbnail" });
  thumbnail.addEventListener("error", () => {
    choose(null);
    tell("This file is no image that can be read. Choose a PNG, JPEG, GIF or WebP file.");
  });
  const drop = button("", "close", () => choose(null), { "aria-label": "Remove the image", title: "Remove the image" });
  drop.classList.add("cutaway-quiet");
  const chosen = make("span", { class: "cutaway-chosen", hidden: true }, thumbnail, drop);
  const choose = (image) => {
    if (image?.size > MOST_IMAGE_BYTES) return tell("This image is too large for a notebook: 8 MB are the most.");
    if (thumbnail.src) URL.revokeObjectURL(thumbnail.src);
    picture = image;
    if (image) thumbnail.src = URL.createObjectURL(image);
    else thumbnail.removeAttribute("src");
    file.value = "";
    show(chosen, image !== null);
  };
  file.addEventListener("change", () => file.files[0] && choose(file.files[0]));
  const sources = SOURCES.map(([value, label, title]) => {
    const radio = make("input", { type: "radio", value, name: `cutaway-${crypto.randomUUID?.() ?? Math.random()}` });
    radio.checked = model.get("status").source === value;
    return { radio, label: make("label", { title }, radio, make("span", { text: label })) };
  });
  for (const { radio } of sources) radio.name = sources[0].radio.name;
  const search = async () => {
    const source = sources.find(({ radio }) => radio.checked)?.radio.value ?? "home";
    tell("");
    const buffers = picture ? [await picture.arrayBuffer()] : [];
    kernel.send({ do: "search", text: text.value, source }, buffers);
  };
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) search();
  });
  const go = button("Search", "search", search);
  go.classList.add("cutaway-main");
  const upload = button("Image", "image", () => file.click(), { title: "Search with an image; or drop one here" });
  const stop = button("Stop", "stop", () => kernel.send({ do: "stop" }));
  const ways = make(
    "div",
    { class: "cutaway-ways" },
    make("span", { class: "cutaway-switch", role: "radiogroup", "aria-label": "Source" }, ...sources.map((each) => each.label)),
    upload,
    chosen,
    file,
  );
  const element = make(
    "div",
    { class: "cutaway-form", role: "search" },
    make("div", { class: "cutaway-ask" }, text, go, stop),
    ways,
  );
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    const image = [...event.dataTransfer.files].find((each) => each.type.startsWith("image/"));
    if (image) choose(image);
  });
  return { element, stop, end: () => choose(null) };
}

function render({ model, el, signal }) {
  const note = make("div", { class: "cutaway-note", role: "status", hidden: true });
  const tell = teller(model, note);
  const kernel = new Kernel(model, signal, tell);
  const asking = form(model, kernel, tell);
  const question = make("div", { class: "cutaway-title" });
  const stop = model.get("asks") ? asking.stop : button("Stop", "stop", () => kernel.send({ do: "stop" }));
  const top = model.get("asks")
    ? asking.element
    : make("div", { class: "cutaway-head" }, question, make("div", { class: "cutaway-buttons" }, stop));
  const state = make("div", { class: "cutaway-count", role: "status" });
  const bar = make("div", { class: "cutaway-progress cutaway-waiting", role: "progressbar", "aria-label": "Searching" });
  bar.append(make("div", { class: "cutaway-bar" }));
  const error = make("div", { class: "cutaway-error", role: "alert", hidden: true });
  const failures = make("ul", { class: "cutaway-failures", hidden: true });
  const summary = make("div", { class: "cutaway-summary" });
  const by = make("div", { class: "cutaway-facts" });
  const entry = make("div");
  const part = (label, ...children) =>
    make("section", { class: `cutaway-part-${label.toLowerCase()}`, "aria-label": label, hidden: true }, ...children);
  const summaryPart = part("Summary", summary, by, entry);
  const articles = make("ol", { class: "cutaway-articles" });
  const articlesPart = part("Articles", articles);
  const images = make("div", { class: "cutaway-images" });
  const captions = make("div", { class: "cutaway-captions" });
  const imagesPart = part("Images", images, captions);
  const answer = make("div", { class: "cutaway-answer" }, summaryPart, imagesPart, articlesPart);
  root(model, el, signal, top, make("div", { class: "cutaway-progress-row" }, bar, state, note), error, answer, failures);

  let turn = -1;
  const release = () => {
    for (const image of images.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    images.replaceChildren();
  };

  const showArticles = () => {
    const items = model.get("articles");
    // A batch is added to those before it; another question begins anew.
    const known = Number(articles.dataset.turn) === model.get("status").turn ? articles.children.length : 0;
    if (!known || known > items.length) articles.replaceChildren();
    articles.dataset.turn = model.get("status").turn;
    for (const item of items.slice(articles.children.length)) articles.append(articleOf(item));
    show(articlesPart, items.length > 0);
    update();
  };

  const showSummary = () => {
    const nodes = model.get("summary");
    summary.replaceChildren(...nodes.map(grow));
    show(summaryPart, nodes.length > 0);
  };

  const showAbout = () => {
    const about = model.get("about");
    by.textContent = about.by === "gemini" ? "Summary by Gemini" : "";
    captions.replaceChildren(...(about.captions ?? []).map((text) => make("p", { text })));
    failures.replaceChildren(...(about.failures ?? []).map((text) => make("li", { text })));
    show(failures, failures.children.length > 0);
    entry.replaceChildren();
    if (about.search_entry_point) {
      // Google's own HTML, which must be shown: without scripts and without an origin.
      const frame = make("iframe", {
        sandbox: "allow-popups allow-popups-to-escape-sandbox",
        srcdoc: about.search_entry_point,
        title: "Google Search suggestions",
        class: "cutaway-suggestions",
      });
      entry.append(frame);
    }
    show(imagesPart, images.children.length + captions.children.length > 0);
    update();
  };

  const showImages = () => {
    const status = model.get("status");
    if (status.turn !== turn) release();
    turn = status.turn;
    const asked = turn;
    for (let number = images.children.length; number < model.get("images").length; number++) {
      const caption = () => model.get("about").captions?.[0] || "A generated image";
      const place = make("div", { class: "cutaway-image", "aria-busy": "true" });
      images.append(place);
      kernel.ask({ do: "image", turn, image: number }, { turn, image: number }).then(
        (blob) => {
          if (turn !== asked || signal.aborted) return;
          const picture = make("img", { alt: caption() });
          picture.src = URL.createObjectURL(blob);
          place.removeAttribute("aria-busy");
          place.append(picture);
        },
        (reason) => {
          place.removeAttribute("aria-busy");
          place.textContent = reason.message;
        },
      );
    }
    show(imagesPart, images.children.length + captions.children.length > 0);
    update();
  };

  const update = () => {
    const status = model.get("status");
    const running = status.state === "running";
    const found = [
      model.get("articles").length && counted(model.get("articles").length, "article"),
      model.get("images").length && counted(model.get("images").length, "image"),
    ].filter(Boolean);
    const something = found.length > 0 || model.get("summary").length > 0;
    question.textContent = status.query || "Search";
    const said = {
      idle: "",
      running: something ? found.join(", ") : "Searching …",
      done: something ? found.join(", ") : "Nothing was found. Try other words, or “Surprise me”.",
      stopped: ["Stopped", ...found].join(" · "),
      failed: found.join(", "),
    };
    say(state, said[status.state] ?? "");
    show(stop, running);
    show(bar, running);
    bar.setAttribute("aria-valuetext", "Searching");
    say(error, status.error || "");
    tell();
  };

  model.on("change:articles", showArticles);
  model.on("change:summary", showSummary);
  model.on("change:images", showImages);
  model.on("change:about", showAbout);
  model.on("change:status", update);
  signal.addEventListener("abort", () => {
    asking.end();
    release();
  });
  for (const each of [showArticles, showSummary, showAbout, showImages]) each();
  kernel.hello();
}

export default { render };
