/** The tab of searches: words and a picture come in; articles, a summary and images go out, each as it arrives. */
import { ConnectionLost } from "./cutaway.js";
import { Answer } from "./answer.js";
import { h, icon, say } from "./dom.js";
import { readPicture } from "./picture.js";

const KEPT = 8; // answers that Back and Forward show again as they were

export class Search {
  #running;
  /** @type {Map<string, Answer>} */
  #kept = new Map();
  #picture;
  #pictures = 0;

  constructor(panel, cutaway, page) {
    this.panel = panel;
    this.cutaway = cutaway;
    this.page = page;
    this.form = panel.querySelector("form");
    this.results = panel.querySelector(".results");
    this.chosen = panel.querySelector(".chosen");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask();
    });
    this.stopButton = this.form.querySelector(".stop");
    this.stopButton.addEventListener("click", () => this.stop());
    for (const each of this.form.source) each.addEventListener("change", () => this.results.firstChild && this.#ask());
    const file = this.form.picture;
    this.form.querySelector(".attach").addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      this.#take(file.files[0]);
      file.value = "";
    });
    this.form.addEventListener("paste", (event) => this.#takeFrom(event.clipboardData, event));
    panel.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      panel.classList.add("dropping");
    });
    panel.addEventListener("dragleave", (event) => {
      if (!panel.contains(event.relatedTarget)) panel.classList.remove("dropping");
    });
    panel.addEventListener("drop", (event) => {
      panel.classList.remove("dropping");
      this.#takeFrom(event.dataTransfer, event);
    });
  }

  #takeFrom(transfer, event) {
    if (!transfer.files.length) return;
    event.preventDefault();
    this.#take(transfer.files[0]);
  }

  async #take(file) {
    if (!file) return;
    try {
      this.#picture = { ...(await readPicture(file)), number: ++this.#pictures };
    } catch (error) {
      this.chosen.replaceChildren(h("p", { class: "notice", role: "alert", dir: "auto" }, error.message));
      return;
    }
    this.#showPicture();
    say(`${this.#picture.name} will be searched with`);
  }

  #showPicture() {
    if (!this.#picture) return this.chosen.replaceChildren();
    const { preview, name, note } = this.#picture;
    const remove = () => {
      this.#picture = undefined;
      this.#showPicture();
      this.form.q.focus();
    };
    this.chosen.replaceChildren(
      h(
        "p",
        { class: "picture" },
        preview,
        h("span", { dir: "auto" }, name),
        note && h("small", null, note),
        h("button", { type: "button", "aria-label": "Remove the picture", onclick: remove }, icon("close")),
      ),
    );
  }

  #ask() {
    const parameters = new URLSearchParams({ q: this.form.q.value.trim(), source: this.form.source.value });
    if (this.#picture) parameters.set("picture", this.#picture.number);
    this.#kept.delete(`${parameters}`);
    this.page.navigate(parameters, true);
  }

  /** Show what an address of the page names. */
  go(parameters) {
    this.stop();
    this.form.q.value = parameters.get("q") ?? "";
    this.form.source.value = parameters.get("source") === "stumber" ? "stumber" : "home";
    this.panel.classList.toggle("asked", parameters.size > 0);
    const kept = this.#kept.get(`${parameters}`);
    if (!parameters.size) this.results.replaceChildren();
    else if (kept) this.results.replaceChildren(kept.element);
    else this.#run(parameters);
  }

  /** Closing the connection ends the server's work. */
  stop() {
    this.#running?.abort(new DOMException("stopped", "AbortError"));
  }

  async #run(parameters) {
    const running = (this.#running = new AbortController());
    const answer = new Answer();
    this.results.replaceChildren(answer.element);
    this.#busy(true);
    say("Searching");
    const picture = parameters.get("picture") == this.#picture?.number ? this.#picture : undefined;
    const request = { source: this.form.source.value };
    if (this.form.q.value) request.text = this.form.q.value;
    if (picture) request.image = picture.data;
    else if (parameters.has("picture")) answer.tell("The picture of this link is not here any more. Choose it again.");
    try {
      for await (const message of this.cutaway.search(request, { signal: running.signal })) answer.take(message);
      this.#keep(`${parameters}`, answer);
      answer.finish();
      say(`Finished: ${answer}`);
    } catch (error) {
      answer.finish(true);
      if (running.signal.aborted) answer.tell("Stopped.", true);
      else answer.tell(error.message, false, () => this.#ask());
      if (error instanceof ConnectionLost) this.page.check();
    }
    if (this.#running !== running) return;
    this.#running = undefined;
    this.#busy(false);
    this.page.check();
  }

  #keep(key, answer) {
    this.#kept.set(key, answer);
    for (const each of [...this.#kept.keys()].slice(0, -KEPT)) this.#kept.delete(each);
  }

  #busy(is) {
    this.results.setAttribute("aria-busy", is);
    this.stopButton.hidden = !is;
    this.form.querySelector(".primary").hidden = is;
  }
}
