/** What both tabs are: a form that becomes an address of the page, one request at a time, and its results. */

export class Tab {
	running;

	/** `page` can `navigate` to parameters, and `check` the connection. */
	constructor(panel, cutaway, page) {
		Object.assign(this, { panel, cutaway, page });
		this.form = panel.querySelector("form");
		this.results = panel.querySelector(".results");
		this.form.addEventListener("submit", (event) => {
			event.preventDefault();
			this.ask();
		});
		this.form.querySelector(".stop").addEventListener("click", () => this.stop());
	}

	/** Closing the connection ends the server's work. */
	stop() {
		this.running?.abort();
	}

	/** What runs is not asked for any more, and the results go. */
	leave() {
		this.stop();
		this.running = undefined;
		this.#busy(false, this.results);
	}

	begin() {
		this.running = new AbortController();
		this.#busy(true);
		return this.running;
	}

	/** Whether the tab still shows this request. */
	end(running) {
		if (this.running !== running) return false;
		this.running = undefined;
		this.#busy(false);
		this.page.check();
		return true;
	}

	#busy(is, ...going) {
		this.results.setAttribute("aria-busy", is);
		const [go, stop] = this.form.querySelectorAll(".primary, .stop");
		const focused = [go, stop, ...going].some((each) => each.contains(document.activeElement));
		go.hidden = is;
		stop.hidden = !is;
		if (focused) (is ? stop : go).focus();
	}
}
