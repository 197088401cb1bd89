/**
 * Markdown that grows, as DOM nodes: paragraphs, headings, lists, quotes, code, bold, italics, http(s) links and `[1]`
 * marks. All else, raw HTML included, stays text.
 */
import { h, link } from "./dom.js";

const LONGEST = 20_000; // characters of a text with marks; a longer one is shown as it is
const DEEPEST = 4;
const FENCE = /^\s*(```|~~~)/;
const HEADING = /^(#{1,6})\s+(.*?)[\s#]*$/;
const ITEM = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const QUOTE = /^>\s?/;
const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/;
const INLINE = new RegExp(
	[
		/\\([\\`*_{}[\]()#+\-.!>~|])/, // 1: escaped
		/(`+)([^`]+)\2(?!`)/, // 2, 3: code
		/\*\*(?=\S)([^]+?)\*\*/, // 4: bold
		/\*(?=[^\s*])([^*]+)\*/, // 5: italics
		/(?<!\w)_(?=[^\s_])([^_]+)_(?!\w)/, // 6
		/\[([^[\]]{1,500})\]\(\s*(https?:\/\/(?:[^\s<>()]|\([^\s<>()]*\)){1,2000})\s*(?:"[^"]*")?\s*\)/, // 7, 8: link
		/\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?!\()/, // 9: marks
		/(https?:\/\/[^\s<>"'()[\]]*[^\s<>"'()[\].,;:!?*_])/, // 10: address
	]
		.map((each) => each.source)
		.join("|"),
	"g",
);

/** Keeps an element showing a text; only the blocks that changed are made anew. */
export class Markdown {
	#shown = [];

	/** `mark(number)` gives what to show for `[number]`; null leaves the text. */
	constructor(root, mark) {
		Object.assign(this, { root, mark });
	}

	show(text) {
		const blocks = [...parse(text.split(/\r?\n/))];
		for (const [n, [kind, lines]] of blocks.entries()) {
			const source = `${kind} ${lines.join("\n")}`;
			if (this.#shown[n]?.source === source) continue;
			const node = render(kind, lines, this.mark, 0);
			if (this.#shown[n]) this.#shown[n].node.replaceWith(node);
			else this.root.append(node);
			this.#shown[n] = { source, node };
		}
		for (const { node } of this.#shown.splice(blocks.length)) node.remove();
	}

	clear() {
		this.#shown = [];
		this.root.replaceChildren();
	}
}

/** Blocks: their kind and their lines. */
function* parse(lines) {
	for (let n = 0, end; n < lines.length; n = end) {
		const first = lines[n];
		end = n + 1;
		if (!first.trim()) continue;
		const take = (fits) => {
			while (end < lines.length && fits(lines[end])) end++;
		};
		let kind = "text";
		if (FENCE.test(first)) {
			kind = "code";
			take((line) => !FENCE.test(line));
			end++;
		} else if (RULE.test(first)) kind = "rule";
		else if (HEADING.test(first)) kind = "heading";
		else if (QUOTE.test(first)) {
			kind = "quote";
			take((line) => QUOTE.test(line));
		} else if (ITEM.test(first)) {
			kind = "list";
			const [, indent, number] = ITEM.exec(first);
			take((line) => {
				const item = ITEM.exec(line);
				return item ? item[1] > indent || !item[2] === !number : /^(\s|$)/.test(line);
			});
		} else take((line) => line.trim() && ![FENCE, RULE, HEADING, QUOTE, ITEM].some((each) => each.test(line)));
		yield [kind, lines.slice(n, end)];
	}
}

function render(kind, lines, mark, depth) {
	const inner = (some) => [...parse(some)].map(([kind, lines]) => render(kind, lines, mark, depth + 1));
	if (depth > DEEPEST) kind = "text";
	if (kind === "code") {
		const end = lines.length > 1 && FENCE.test(lines.at(-1)) ? -1 : undefined;
		return h("pre", { tabindex: 0 }, h("code", null, lines.slice(1, end).join("\n")));
	}
	if (kind === "rule") return h("hr");
	if (kind === "heading") {
		const [, hashes, text] = HEADING.exec(lines[0]);
		return h(`h${Math.min(6, hashes.length + 2)}`, { dir: "auto" }, inline(text, mark, 0));
	}
	if (kind === "quote") return h("blockquote", null, inner(lines.map((line) => line.replace(QUOTE, ""))));
	if (kind === "text") return h("p", { dir: "auto" }, inline(lines.join("\n"), mark, 0));
	const [, indent, number] = ITEM.exec(lines[0]);
	const items = [];
	for (const line of lines) {
		const found = ITEM.exec(line);
		if (found && found[1].length <= indent.length + 1) items.push([found[3]]);
		else items.at(-1).push(line.slice(indent.length).replace(/^ {2,4}/, ""));
	}
	const made = items.map(([text, ...below]) => h("li", { dir: "auto" }, inline(text, mark, 0), inner(below)));
	return h(number ? "ol" : "ul", { start: number }, made);
}

function inline(text, mark, depth) {
	if (depth > DEEPEST || text.length > LONGEST) return [text];
	const nodes = [];
	let at = 0;
	for (const found of text.matchAll(INLINE)) {
		if (found.index > at) nodes.push(text.slice(at, found.index));
		at = found.index + found[0].length;
		const [whole, escaped, , code, bold, italic, italic2, words, href, marks, address] = found;
		const inner = (content) => inline(content, mark, depth + 1);
		if (escaped) nodes.push(escaped);
		else if (code) nodes.push(h("code", null, code));
		else if (bold) nodes.push(h("strong", null, inner(bold)));
		else if (italic ?? italic2) nodes.push(h("em", null, inner(italic ?? italic2)));
		else if (href) nodes.push(link(href, { title: href }, inner(words)));
		else if (address) nodes.push(link(address, null, address));
		else {
			const made = marks.split(",").map((each) => mark(Number(each)));
			nodes.push(...(made.every(Boolean) ? made : [whole]));
		}
	}
	if (at < text.length) nodes.push(text.slice(at));
	return nodes;
}
