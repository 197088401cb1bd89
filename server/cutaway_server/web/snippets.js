/** The tab of snippets: an address of a video comes in, its moments go out as they arrive. */
import { ConnectionLost } from "./cutaway.js";
import { count, h, icon, say } from "./dom.js";
import { Player } from "./player.js";

const STAGES = {
  resolve: ["Looking at the video", 0.1],
  analyse: ["Finding the moments", 0.4],
  cut: ["Cutting", 0.5],
};
const OPTIONS = ["max_snippets", "min_seconds", "max_seconds", "max_height"];

export class Snippets {
  #running;
  #player;

  /**
   * @param {HTMLElement} panel
   * @param {import("./cutaway.js").Cutaway} cutaway
   * @param {{navigate: (parameters: URLSearchParams) => void, check: () => void}} page
   */
  constructor(panel, cutaway, page) {
    this.panel = panel;
    this.cutaway = cutaway;
    this.page = page;
    this.form = panel.querySelector("form");
    this.results = panel.querySelector(".results");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask();
    });
    this.stopButton = this.form.querySelector(".stop");
    this.stopButton.addEventListener("click", () => this.stop());
  }

  get title() {
    return this.form.url.value && this.#player ? "Snippets" : "";
  }

  #ask() {
    let url = this.form.url.value.trim();
    if (url && !url.includes("://")) url = `https://${url}`;
    const parameters = new URLSearchParams({ url });
    for (const name of OPTIONS) if (this.form[name].value) parameters.set(name, this.form[name].value);
    this.page.navigate(parameters);
    if (!this.#running) this.#run(parameters); // the same address again
  }

  /** Show what an address of the page names. */
  go(parameters) {
    for (const name of ["url", ...OPTIONS]) this.form[name].value = parameters.get(name) ?? "";
    this.form.querySelector("details").open ||= OPTIONS.some((name) => parameters.has(name));
    if (parameters.get("url")) this.#run(parameters);
    else this.#clear();
  }

  /** Closing the connection ends the server's work. */
  stop() {
    this.#running?.abort(new DOMException("stopped", "AbortError"));
  }

  #clear() {
    this.stop();
    this.#running = undefined;
    this.#player?.close();
    this.#player = undefined;
    this.results.replaceChildren();
    this.panel.classList.remove("asked");
  }

  async #run(parameters) {
    this.#clear();
    const running = (this.#running = new AbortController());
    const player = (this.#player = new Player());
    const stage = h("span", { class: "stage" }, "Connecting");
    const progress = h("progress", { max: 1, "aria-label": "Progress" });
    const tally = h("span", { class: "tally" });
    const bar = h("div", { class: "bar" }, stage, progress, tally);
    this.results.append(bar, player.element);
    this.#busy(true);
    say("Looking for snippets");
    const done = { resolve: 0, analyse: 0, cut: 0 };
    let end;
    try {
      const { url, ...options } = Object.fromEntries(parameters);
      for await (const message of this.cutaway.snippets(url, { ...options, progress: true, signal: running.signal })) {
        if (message.type === "progress" && STAGES[message.stage]) {
          done[message.stage] = Math.max(done[message.stage], message.fraction);
          const whole = Object.entries(STAGES).reduce((sum, [name, [, part]]) => sum + part * done[name], 0);
          progress.value = Math.max(progress.value, whole);
          stage.textContent = STAGES[message.stage][0];
        } else if (message.type === "snippet") {
          player.add(message);
          tally.textContent = count(player.size, "snippet");
          say(`${tally.textContent}: ${message.title}`);
        }
      }
      end = player.size ? null : this.#notice("Nothing happens in this video that would make a snippet.", "calm");
    } catch (error) {
      if (this.#running !== running) return; // another request has taken the page
      if (running.signal.aborted) end = player.size ? null : this.#notice("Stopped.", "calm");
      else end = this.#notice(error.message, "", () => this.#run(parameters));
      if (error instanceof ConnectionLost) this.page.check();
    }
    if (this.#running !== running) return;
    this.#running = undefined;
    this.#busy(false);
    player.finish();
    bar.remove();
    if (player.size) this.results.prepend(this.#summary(player, running.signal.aborted));
    if (end) this.results.prepend(end);
    say(`${running.signal.aborted ? "Stopped" : "Finished"}: ${player}`);
  }

  #busy(is) {
    this.panel.classList.add("asked");
    this.results.setAttribute("aria-busy", is);
    this.stopButton.hidden = !is;
    this.form.querySelector(".primary").hidden = is;
  }

  #summary(player, stopped) {
    const all = h("button", { type: "button" }, icon("save"), "Save all");
    all.addEventListener("click", async () => {
      all.disabled = true;
      await player.saveAll();
      all.disabled = false;
    });
    return h("div", { class: "bar" }, h("span", { class: "stage" }, `${stopped ? "Stopped: " : ""}${player}`), all);
  }

  #notice(text, kind, again) {
    const button = again && h("button", { type: "button", onclick: again }, "Try again");
    return h("div", { class: `notice ${kind}`, role: kind ? null : "alert" }, h("p", { dir: "auto" }, text), button);
  }
}
