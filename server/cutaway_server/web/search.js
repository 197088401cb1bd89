/** The tab of searches: words and a picture come in; articles, a summary and images go out, each as it arrives. */
import { Answer } from "./answer.js";
import { button, h, notice, say } from "./dom.js";
import { readPicture } from "./picture.js";
import { Tab } from "./tab.js";

const KEPT = 8; // answers that Back and Forward show again as they were

export class Search extends Tab {
	#kept = new Map();
	#picture;
	#pictures = 0;

	constructor(...all) {
		super(...all);
		const { panel, form } = this;
		this.chosen = panel.querySelector(".chosen");
		for (const each of form.source) each.addEventListener("change", () => this.results.firstChild && this.ask());
		form.querySelector(".attach").addEventListener("click", () => form.picture.click());
		form.picture.addEventListener("change", () => {
			this.#take(form.picture.files[0]);
			form.picture.value = "";
		});
		const take = (event, { files }) => {
			panel.classList.remove("dropping");
			if (!files.length) return;
			event.preventDefault(); // the browser would leave the page and show the file
			if (!panel.hidden) this.#take(files[0]);
		};
		// Office programs copy words as a picture, too.
		form.addEventListener("paste", (event) => event.clipboardData.getData("text") || take(event, event.clipboardData));
		document.addEventListener("drop", (event) => take(event, event.dataTransfer));
		document.addEventListener("dragover", (event) => {
			if (!event.dataTransfer.types.includes("Files")) return;
			event.preventDefault();
			panel.classList.add("dropping");
		});
		document.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget || panel.classList.remove("dropping"));
	}

	async #take(file) {
		this.chosen.hidden = false;
		try {
			this.#picture = { ...(await readPicture(file)), number: ++this.#pictures };
		} catch (error) {
			this.#picture = undefined;
			return this.chosen.replaceChildren(notice(error.message));
		}
		const { preview, name } = this.#picture;
		const remove = button("close", "", () => {
			this.#picture = undefined;
			this.chosen.replaceChildren();
			this.form.q.focus();
		});
		remove.setAttribute("aria-label", "Remove the picture");
		this.chosen.replaceChildren(h("div", { class: "picture" }, preview, h("span", { dir: "auto" }, name), remove));
		say(`${name} will be searched with`);
	}

	ask() {
		const parameters = new URLSearchParams({ q: this.form.q.value.trim(), source: this.form.source.value });
		if (this.#picture && !this.chosen.hidden) parameters.set("picture", this.#picture.number);
		this.#kept.delete(`${parameters}`);
		this.page.navigate(parameters);
	}

	/** Show what an address of the page names. */
	go(parameters) {
		this.leave();
		this.form.q.value = parameters.get("q") ?? "";
		this.form.source.value = parameters.get("source") === "stumber" ? "stumber" : "home";
		this.chosen.hidden = Number(parameters.get("picture")) !== this.#picture?.number;
		this.panel.classList.toggle("asked", parameters.size > 0);
		this.results.replaceChildren();
		const kept = this.#kept.get(`${parameters}`);
		if (kept) this.results.append(kept.element);
		else if (parameters.size) this.#run(parameters);
	}

	async #run(parameters) {
		const running = this.begin();
		const answer = new Answer();
		this.results.append(answer.element);
		say("Searching");
		let how = "Finished";
		const request = { text: this.form.q.value, source: this.form.source.value };
		if (!this.chosen.hidden) request.image = this.#picture.data;
		else if (parameters.has("picture")) answer.tell("The picture of this link is not here any more. Choose it again.");
		try {
			for await (const message of this.cutaway.search(request, { signal: running.signal })) answer.take(message);
			answer.finish();
			this.#kept.set(`${parameters}`, answer);
			for (const each of [...this.#kept.keys()].slice(0, -KEPT)) this.#kept.delete(each);
		} catch (error) {
			answer.finish(true);
			how = running.signal.aborted ? "Stopped" : "Failed";
			if (how === "Stopped") answer.tell("Stopped.", true);
			else answer.tell(error.message, false, () => this.ask());
		}
		if (this.end(running)) say(`${how}: ${answer}`);
	}
}
