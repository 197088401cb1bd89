/**
 * Cutaway's two sockets as async iterators, for web pages. This file needs no other one: copy it.
 *
 *     const cutaway = new Cutaway("http://localhost:8000");
 *     for await (const snippet of cutaway.snippets("https://example.com/talk.mp4")) show(snippet.video);
 *     for await (const message of cutaway.search({ text: "space telescopes" })) console.log(message);
 *
 * Texts in messages may come from strangers: show them as text, never as HTML.
 */

/**
 * @typedef {{type: "snippet", video: Blob, url?: string, src_video_url: string, title: string, description: string,
 *   start?: number, end?: number, poster?: string, by?: "gemini" | "local"}} Snippet `video` is an MP4, `url` where the
 *   server keeps it, if it does; `poster` is a `data:` URL; times are seconds in the source.
 * @typedef {{type: "progress", stage: "resolve" | "analyse" | "cut", fraction: number}} Progress
 * @typedef {{id: string, title: string, author: string, date: string, type: "article" | "simple", description: string,
 *   image: string, comments: number, likes: number, emojis: string[], hasVideo: boolean, url?: string}} Article
 * @typedef {{type: "articles_batch", items: Article[]}
 *   | {type: "summary_chunk", text: string}
 *   | {type: "summary_done", by?: string, search_entry_point?: string}
 *   | {type: "image", path: string, url: string, mime_type: string, by?: string}
 *   | {type: "image_text", text: string, by?: string}
 *   | {type: "image_error", message?: string}
 *   | {type: "error", message: string, agent: "articles" | "summary" | "images"}} SearchMessage
 */

/** The server cannot do what was asked; `message` is for people. */
export class CutawayError extends Error {
	name = "CutawayError";
	/** @type {string | undefined} The field of a search at fault. */
	field;
}

/** The connection ended before the answer did, or was never made. */
export class ConnectionLost extends Error {
	name = "ConnectionLost";
	/** @param {boolean} opened Whether there had been a connection. */
	constructor(opened) {
		super(
			opened
				? "The connection to the server was lost before the end."
				: "The server cannot be reached, or does not let this page connect.",
		);
	}
}

/** One WebSocket, whose frames wait here until they are asked for. */
class Line {
	#frames = [];
	#wake = () => {};
	#signal;
	#abort = () => {
		this.socket.close();
		this.#wake();
	};

	constructor(url, signal) {
		this.socket = new WebSocket(url);
		this.use(signal);
		let opened = false;
		this.socket.onopen = () => this.#wake((opened = true));
		this.socket.onmessage = ({ data }) => {
			this.#frames.push(data);
			this.#wake();
		};
		this.socket.onclose = () => {
			this.lost = new ConnectionLost(opened);
			this.#wake();
			this.onlost?.();
		};
	}

	/** From now on this signal ends it, also while nobody waits here. */
	use(signal) {
		this.#signal?.removeEventListener("abort", this.#abort);
		this.#signal = signal;
		signal?.addEventListener("abort", this.#abort);
	}

	close() {
		this.use();
		this.socket.close();
	}

	/** Wait until `ready()` gives something. */
	async #until(ready) {
		for (;;) {
			this.#signal?.throwIfAborted();
			const value = ready();
			if (value !== undefined) return value;
			if (this.lost) throw this.lost;
			await new Promise((resolve) => (this.#wake = resolve));
		}
	}

	async open() {
		await this.#until(() => this.socket.readyState === 1 || undefined);
	}

	/** The next message, as `read` makes it of what was sent. */
	async next(read) {
		const frame = await this.#until(() => this.#frames.shift());
		try {
			return read(JSON.parse(frame));
		} catch {
			throw new CutawayError("The server said something that is no message.");
		}
	}
}

/** A server. Dispatches `connected` and `lost` when the connection that waits for searches comes and goes. */
export class Cutaway extends EventTarget {
	#idle;

	/** @param {string | URL} server Its address; if none, the server that this file came from. */
	constructor(server = new URL(".", import.meta.url)) {
		super();
		this.server = new URL(server, globalThis.location?.href);
		this.server.protocol = this.server.protocol.replace("ws", "http");
		this.server.pathname = this.server.pathname.replace(/\/*$/, "/");
	}

	url(path) {
		return new URL(`.${path}`, this.server);
	}

	#socketUrl(path) {
		const url = this.url(path);
		url.protocol = url.protocol.replace("http", "ws");
		return url;
	}

	/**
	 * The moments of a video, each as soon as it is cut. Leaving the loop, or aborting, ends the server's work.
	 *
	 * @param {string} videoUrl
	 * @param {object} [options] Parameters of the protocol; with `progress: true`, progress comes in between.
	 * @param {AbortSignal} [options.signal] Ends the iteration with its reason.
	 * @returns {AsyncGenerator<Snippet | Progress, void>}
	 * @throws {CutawayError | ConnectionLost}
	 */
	async *snippets(videoUrl, { signal, ...options } = {}) {
		signal?.throwIfAborted();
		const url = this.#socketUrl("/ws/video-snippets");
		url.searchParams.set("video_url", videoUrl);
		for (const [name, value] of Object.entries(options)) {
			if (value != null) url.searchParams.set(name, typeof value === "boolean" ? Number(value) : value);
		}
		const line = new Line(url, signal);
		const read = (message) => (message.type === "snippet" ? this.#snippet(message) : message);
		try {
			for (;;) {
				const message = await line.next(read);
				if (message.type === "snippet_complete") return;
				if (message.type === "error") throw new CutawayError(message.message);
				if (["snippet", "progress"].includes(message.type)) yield message;
			}
		} finally {
			line.close();
		}
	}

	/** @returns {Snippet} */
	#snippet({ data: { video_data, metadata } }) {
		const { poster, video_path, ...known } = metadata;
		return {
			...known,
			type: "snippet",
			video: new Blob(bytesOf(video_data), { type: "video/mp4" }),
			url: video_path && this.url(video_path).href,
			poster: poster && `data:image/jpeg;base64,${poster}`,
		};
	}

	/**
	 * Ask a question: articles, pieces of a summary and images arrive mixed, until all is said.
	 *
	 * @param {{text?: string, image?: string, source?: "home" | "stumber"}} request `image` is base64 or a `data:` URL.
	 * @param {object} [options]
	 * @param {AbortSignal} [options.signal] Ends the iteration with its reason, and the server's work.
	 * @returns {AsyncGenerator<SearchMessage, void>} A message `error` says that one agent failed; the others go on.
	 * @throws {CutawayError | ConnectionLost} The former when the request is at fault.
	 */
	async *search(request, { signal } = {}) {
		signal?.throwIfAborted();
		let line = this.#idle;
		this.#idle = undefined;
		const read = (message) => (message.type === "image" ? { ...message, url: this.url(message.path).href } : message);
		const ask = async () => {
			await line.open();
			line.socket.send(JSON.stringify(request));
			return await line.next(read);
		};
		let fault;
		try {
			line?.use(signal);
			let message;
			try {
				message = line && (await ask());
			} catch (error) {
				// A connection that waited may have died unnoticed, as when a laptop sleeps.
				if (!(error instanceof ConnectionLost)) throw error;
				line.close();
			}
			if (!message) {
				line = new Line(this.#socketUrl("/ws/search"), signal);
				message = await ask();
			}
			for (; message.type !== "done"; message = await line.next(read)) {
				if (message.type === "error" && !message.agent) {
					fault = Object.assign(new CutawayError(message.message), { field: message.metadata?.field });
				} else yield message;
			}
			this.#wait(line);
			line = undefined;
			if (fault) throw fault;
		} finally {
			line?.close();
		}
	}

	/** Connect now, so that the next search need not. @throws {ConnectionLost} */
	async connect() {
		if (this.#idle) return;
		const line = new Line(this.#socketUrl("/ws/search"));
		await line.open();
		this.#wait(line);
	}

	#wait(line) {
		if (this.#idle || line.lost) return line.close();
		line.use();
		this.#idle = line;
		line.onlost = () => {
			if (this.#idle !== line) return;
			this.#idle = undefined;
			this.dispatchEvent(new Event("lost"));
		};
		this.dispatchEvent(new Event("connected"));
	}

	/** Close the connection that waits. */
	close() {
		const line = this.#idle;
		this.#idle = undefined;
		line?.close();
	}
}

/** Base64 as parts of a Blob: a whole film as one string would take its size three times. */
function bytesOf(base64) {
	if (Uint8Array.fromBase64) return [Uint8Array.fromBase64(base64)]; // faster
	const parts = [];
	for (let at = 0; at < base64.length; at += 1 << 20) {
		const text = atob(base64.slice(at, at + (1 << 20)));
		const bytes = new Uint8Array(text.length);
		for (let n = 0; n < text.length; n++) bytes[n] = text.charCodeAt(n);
		parts.push(bytes);
	}
	return parts;
}
