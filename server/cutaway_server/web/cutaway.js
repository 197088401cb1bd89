/**
 * Cutaway's two sockets as async iterators, for web pages: the moments of a video, and the answers to a question.
 *
 *     import { Cutaway } from "./cutaway.js";
 *     const cutaway = new Cutaway("http://localhost:8000");
 *     for await (const snippet of cutaway.snippets("https://example.com/talk.mp4")) show(snippet.video);
 *     for await (const message of cutaway.search({ text: "space telescopes" })) console.log(message);
 *
 * This file needs no other one: copy it. Texts in messages may come from strangers: show them as text, never as HTML.
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

/** The server answered that it cannot do what was asked; `message` is for people. */
export class CutawayError extends Error {
	name = "CutawayError";
	/** @type {string | undefined} The field of a search at fault. */
	field;
}

const UNREACHED = "The server cannot be reached, or does not let this page connect.";

/** The connection ended before the answer did, or was never made. What had arrived is valid. */
export class ConnectionLost extends Error {
	name = "ConnectionLost";
	/** @param {{code: number, opened: boolean}} how */
	constructor({ code, opened }) {
		const words = opened ? "The connection to the server was lost before the end." : UNREACHED;
		super(code === 1013 ? "The server is busy: too many requests wait. Try again in a minute." : words);
		this.code = code;
	}
}

/** One WebSocket, whose frames wait here until they are asked for. */
class Line {
	#frames = [];
	#wake = () => {};
	/** @type {ConnectionLost | undefined} */
	lost;

	constructor(url) {
		this.socket = new WebSocket(url);
		let opened = false;
		this.socket.onopen = () => this.#wake((opened = true));
		this.socket.onmessage = ({ data }) => {
			this.#frames.push(data);
			this.#wake();
		};
		this.socket.onclose = ({ code }) => {
			this.lost = new ConnectionLost({ code, opened });
			this.#wake();
			this.onlost?.();
		};
	}

	/** Wait until `ready()` gives something, the connection ends, or `signal` is aborted. */
	async #until(ready, signal) {
		const wake = () => this.#wake();
		signal?.addEventListener("abort", wake);
		try {
			for (;;) {
				signal?.throwIfAborted();
				const value = ready();
				if (value !== undefined) return value;
				if (this.lost) throw this.lost;
				await new Promise((resolve) => (this.#wake = resolve));
			}
		} finally {
			signal?.removeEventListener("abort", wake);
		}
	}

	async open(signal) {
		await this.#until(() => this.socket.readyState === WebSocket.OPEN || undefined, signal);
	}

	/** The next message. */
	async next(signal) {
		const frame = await this.#until(() => this.#frames.shift(), signal);
		try {
			return JSON.parse(frame);
		} catch {
			throw new CutawayError("The server said something that is no message.");
		}
	}
}

/**
 * A Cutaway server. Dispatches `connected` and `lost` when the connection that waits for searches comes and goes.
 */
export class Cutaway extends EventTarget {
	/** @type {Line | undefined} The connection that waits for the next search. */
	#idle;

	/** @param {string | URL} server Its address; without one, the server that this file was loaded from. */
	constructor(server = new URL(".", import.meta.url)) {
		super();
		this.server = new URL(server, globalThis.location?.href);
		this.server.protocol = this.server.protocol.replace("ws", "http");
	}

	/** The URL of a path of the server, such as the `path` of an image. */
	url(path) {
		const folder = this.server.pathname.replace(/\/+$/, "");
		return new URL(`${this.server.origin}${folder}/${path.replace(/^\/+/, "")}`);
	}

	#socketUrl(path) {
		const url = this.url(path);
		url.protocol = url.protocol.replace("http", "ws");
		return url;
	}

	/**
	 * The moments of a video, each as soon as it is cut. Leaving the loop, or aborting, ends the server's work.
	 *
	 * @param {string} videoUrl An http or https address.
	 * @param {object} [options] Parameters of the protocol, such as `max_snippets`; with `progress: true`, messages of
	 *   type `progress` come in between.
	 * @param {AbortSignal} [options.signal] Ends the iteration with its reason.
	 * @returns {AsyncGenerator<Snippet | Progress, void>}
	 * @throws {CutawayError} The server cannot do it, or not to the end.
	 * @throws {ConnectionLost}
	 */
	async *snippets(videoUrl, { signal, ...options } = {}) {
		signal?.throwIfAborted();
		const url = this.#socketUrl("/ws/video-snippets");
		url.searchParams.set("video_url", videoUrl);
		for (const [name, value] of Object.entries(options)) {
			if (value != null) url.searchParams.set(name, typeof value === "boolean" ? Number(value) : value);
		}
		const line = new Line(url);
		try {
			for (;;) {
				const message = await line.next(signal);
				if (message.type === "snippet_complete") return;
				if (message.type === "error") throw new CutawayError(message.message);
				if (message.type === "snippet") yield this.#snippet(message);
				else if (message.type === "progress") yield message;
			}
		} finally {
			line.socket.close();
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
	 * @throws {CutawayError} The request is at fault.
	 * @throws {ConnectionLost}
	 */
	async *search(request, { signal } = {}) {
		signal?.throwIfAborted();
		let line = this.#idle;
		this.#idle = undefined;
		let fault;
		try {
			let message;
			try {
				message = line && (await ask(line, request, signal));
			} catch (error) {
				// A connection that waited may have died unnoticed, as when a laptop sleeps.
				if (!(error instanceof ConnectionLost)) throw error;
			}
			if (!message) {
				line = new Line(this.#socketUrl("/ws/search"));
				message = await ask(line, request, signal);
			}
			for (; message.type !== "done"; message = await line.next(signal)) {
				if (message.type === "error" && !message.agent) {
					fault = Object.assign(new CutawayError(message.message), { field: message.metadata?.field });
				} else {
					yield message.type === "image" ? { ...message, url: this.url(message.path).href } : message;
				}
			}
			this.#wait(line);
			line = undefined;
			if (fault) throw fault;
		} finally {
			line?.socket.close();
		}
	}

	/**
	 * Connect now, so that the next search need not; `lost` tells when that connection ends.
	 *
	 * @param {AbortSignal} [signal]
	 * @throws {ConnectionLost}
	 */
	async connect(signal) {
		if (this.#idle) return;
		const line = new Line(this.#socketUrl("/ws/search"));
		await line.open(signal);
		this.#wait(line);
	}

	#wait(line) {
		if (this.#idle || line.lost) return line.socket.close();
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
		line?.socket.close();
	}
}

/** Send a request and wait for the first message of its answer. */
async function ask(line, request, signal) {
	await line.open(signal);
	line.socket.send(JSON.stringify(request));
	return await line.next(signal);
}

/** Base64 as parts of a Blob. In pieces: a whole film as one string of characters would take its size three times. */
function bytesOf(base64) {
	const parts = [];
	for (let at = 0; at < base64.length; at += 1 << 20) {
		const text = atob(base64.slice(at, at + (1 << 20)));
		const bytes = new Uint8Array(text.length);
		for (let n = 0; n < text.length; n++) bytes[n] = text.charCodeAt(n);
		parts.push(bytes);
	}
	return parts;
}
