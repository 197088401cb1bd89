/** The tab of snippets: an address of a video comes in, its moments go out as they arrive. */
import { button, count, h, notice, say } from "./dom.js";
import { Player } from "./player.js";
import { Tab } from "./tab.js";

const STAGES = {
	__proto__: null,
	resolve: ["Looking at the video", 0.1],
	analyse: ["Finding the moments", 0.4],
	cut: ["Cutting", 0.5],
};
const OPTIONS = ["max_snippets", "min_seconds", "max_seconds", "max_height"];

export class Snippets extends Tab {
	#player;

	ask() {
		let url = this.form.url.value.trim();
		if (!url) return this.form.url.focus();
		if (!url.includes("://")) url = `https://${url}`;
		const parameters = new URLSearchParams({ url });
		for (const name of OPTIONS) if (this.form[name].value) parameters.set(name, this.form[name].value);
		this.page.navigate(parameters);
	}

	/** Show what an address of the page names. */
	go(parameters) {
		for (const name of ["url", ...OPTIONS]) this.form[name].value = parameters.get(name) ?? "";
		this.form.querySelector("details").open ||= OPTIONS.some((name) => parameters.has(name));
		this.leave();
		this.#player?.close();
		this.results.replaceChildren();
		this.panel.classList.toggle("asked", parameters.has("url"));
		if (parameters.has("url")) this.#run(parameters);
	}

	async #run(parameters) {
		const running = this.begin();
		const player = (this.#player = new Player());
		const stage = h("b", null, "Connecting");
		const progress = h("div", { class: "progress", role: "progressbar", "aria-label": "Progress" });
		const tally = h("span", { class: "tally" });
		const bar = h("div", { class: "bar" }, stage, progress, tally);
		this.results.append(bar, player.element);
		say("Looking for snippets");
		const done = {};
		let how = "Finished";
		let told;
		try {
			const { url, ...options } = Object.fromEntries(parameters);
			for await (const message of this.cutaway.snippets(url, { ...options, progress: true, signal: running.signal })) {
				if (message.type === "progress" && STAGES[message.stage]) {
					const [name, part] = STAGES[message.stage];
					done[name] = Math.max(done[name] ?? 0, part * message.fraction);
					const whole = Object.values(done).reduce((sum, each) => sum + each);
					progress.style.setProperty("--done", whole);
					progress.setAttribute("aria-valuenow", Math.round(whole * 100));
					stage.textContent = name;
				} else if (message.type === "snippet") {
					player.add(message);
					tally.textContent = count(player.size, "snippet");
					say(`${tally.textContent}: ${message.title}`);
				}
			}
			if (!player.size) told = notice("Nothing happens in this video that would make a snippet.", true);
		} catch (error) {
			how = running.signal.aborted ? "Stopped" : "Failed";
			if (how === "Failed") told = notice(error.message, false, () => this.ask());
			else if (!player.size) told = notice("Stopped.", true);
		}
		if (!this.end(running)) return; // another request has the page
		bar.hidden = player.element.hidden = !player.size;
		const all = button("save", "Save all", () => player.saveAll());
		bar.replaceChildren(h("b", null, how === "Stopped" ? "Stopped: " : "", player), all);
		if (told) this.results.prepend(told);
		say(`${how}: ${player}`);
	}
}
