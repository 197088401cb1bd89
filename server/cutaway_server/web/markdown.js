/**
 * Markdown that grows, as DOM nodes: paragraphs, headings, lists, quotes, code, bold, italics, http(s) links and `[1]`
 * marks. All else, raw HTML included, stays the text that it is. The text comes from models and articles.
 */
import { h, link } from "./dom.js";

const LONGEST = 20_000; // characters of one block; a longer one is shown as it is
const DEEPEST = 4;
const BLOCK = /^(?:(#{1,6})\s+(.*?)\s*#*|\s*(?:[-*+]|(\d{1,9})[.)])\s+(.*)|>\s?(.*)|((?:-\s*){3,}|(?:\*\s*){3,}))$/;
const INLINE = new RegExp(
  [
    /\\([\\`*_{}[\]()#+\-.!>~|])/, // 1: escaped
    /(`+)([^`]+)\2(?!`)/, // 2, 3: code
    /\*\*(?=\S)([^]+?)\*\*/, // 4: bold
    /(?<!\w)__(?=\S)([^]+?)__(?!\w)/, // 5
    /\*(?=[^\s*])([^*]+)\*/, // 6: italics
    /(?<!\w)_(?=[^\s_])([^_]+)_(?!\w)/, // 7
    /\[([^[\]]{1,500})\]\(\s*(https?:\/\/[^\s<>()]{1,2000}(?:\([^\s<>()]*\))?)\s*(?:"[^"]*")?\s*\)/, // 8, 9: link
    /\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?!\()/, // 10: marks
    /(https?:\/\/[^\s<>"'()[\]]*[^\s<>"'()[\].,;:!?*_])/, // 11: address
  ]
    .map((each) => each.source)
    .join("|"),
  "g",
);

/** Keeps an element showing a text; only the blocks that changed are made anew. */
export class Markdown {
  #blocks = [];

  /**
   * @param {Element} root
   * @param {(number: number) => Node | null} mark What to show for `[number]`; null leaves the text.
   */
  constructor(root, mark) {
    this.root = root;
    this.mark = mark;
  }

  show(text) {
    const sources = blocksOf(text);
    for (const [n, source] of sources.entries()) {
      const shown = this.#blocks[n];
      if (shown?.source === source) continue;
      const node = render(source, this.mark, 0);
      if (shown) shown.node.replaceWith(node);
      else this.root.append(node);
      this.#blocks[n] = { source, node };
    }
    for (const { node } of this.#blocks.splice(sources.length)) node.remove();
  }

  /** Make all anew: what marks mean has changed. */
  refresh() {
    for (const block of this.#blocks) {
      const node = render(block.source, this.mark, 0);
      block.node.replaceWith(node);
      block.node = node;
    }
  }
}

/** Blocks are parted by empty lines; a fence holds its own. */
function blocksOf(text) {
  const blocks = [];
  let lines = [];
  let fenced = false;
  const end = () => {
    if (lines.length) blocks.push(lines.join("\n"));
    lines = [];
  };
  for (const line of text.replace(/\r\n?/g, "\n").split("\n")) {
    const fence = /^\s*(```|~~~)/.test(line);
    if (fence && !fenced) end();
    if (!fenced && !fence && !line.trim()) {
      // Items of a list may stand apart.
      if (!/^\s*([-*+]|\d+[.)])\s/.test(lines.at(-1) ?? "")) end();
      continue;
    }
    if (!fenced && lines.length && listed(lines[0]) && !listed(line) && !/^\s/.test(line) && !fence) end();
    lines.push(line);
    if (fence && fenced) end();
    if (fence) fenced = !fenced;
  }
  end();
  return blocks;
}

const listed = (line) => /^\s*([-*+]|\d{1,9}[.)])\s/.test(line);

function render(source, mark, depth) {
  if (source.length > LONGEST || depth > DEEPEST) return h("p", null, source);
  if (/^\s*(```|~~~)/.test(source)) {
    const lines = source.split("\n").slice(1);
    if (/^\s*(```|~~~)\s*$/.test(lines.at(-1))) lines.pop();
    return h("pre", { tabindex: 0 }, h("code", null, lines.join("\n")));
  }
  const parts = h("div", { class: "block" });
  let plain = [];
  const flush = () => {
    if (plain.length) parts.append(h("p", { dir: "auto" }, inline(plain.join("\n"), mark, 0)));
    plain = [];
  };
  const lines = source.split("\n");
  for (let n = 0; n < lines.length; n++) {
    const found = BLOCK.exec(lines[n]);
    if (!found) {
      plain.push(lines[n]);
      continue;
    }
    flush();
    const [, hashes, heading, , item, quote] = found;
    if (hashes) parts.append(h(`h${Math.min(6, hashes.length + 2)}`, { dir: "auto" }, inline(heading, mark, 0)));
    else if (item !== undefined) {
      let end = n + 1;
      while (end < lines.length && (listed(lines[end]) || /^\s/.test(lines[end]))) end++;
      parts.append(list(lines.slice(n, end), mark, depth));
      n = end - 1;
    } else if (quote !== undefined) {
      let end = n;
      while (end < lines.length && lines[end].startsWith(">")) end++;
      const inner = lines.slice(n, end).map((line) => line.replace(/^>\s?/, ""));
      parts.append(h("blockquote", null, render(inner.join("\n"), mark, depth + 1)));
      n = end - 1;
    } else parts.append(h("hr"));
  }
  flush();
  return parts.childNodes.length === 1 ? parts.firstChild : parts;
}

/** Items, each with what is indented below it. */
function list(lines, mark, depth) {
  const first = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s/.exec(lines[0]);
  const start = first[2] && Number(first[2]) !== 1 ? Number(first[2]) : null;
  const items = [];
  for (const line of lines) {
    const found = /^(\s*)(?:[-*+]|\d{1,9}[.)])\s+(.*)$/.exec(line);
    if (found && found[1].length <= first[1].length + 1) items.push([found[2]]);
    else items.at(-1).push(line);
  }
  const made = items.map((item) => {
    const nested = item.findIndex((line, n) => n > 0 && listed(line));
    const [words, below] = nested < 0 ? [item, []] : [item.slice(0, nested), item.slice(nested)];
    const inner = below.length && (depth < DEEPEST ? list(below, mark, depth + 1) : below.join("\n"));
    return h("li", { dir: "auto" }, inline(words.map((line) => line.trim()).join("\n"), mark, 0), inner || null);
  });
  return h(first[2] ? "ol" : "ul", { start }, made);
}

function inline(text, mark, depth) {
  if (depth > DEEPEST) return [text];
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > at) nodes.push(text.slice(at, found.index));
    at = found.index + found[0].length;
    const [whole, escaped, , code, bold, bold2, italic, italic2, words, href, marks, address] = found;
    const inner = (content) => inline(content, mark, depth + 1);
    if (escaped) nodes.push(escaped);
    else if (code) nodes.push(h("code", null, code));
    else if (bold ?? bold2) nodes.push(h("strong", null, inner(bold ?? bold2)));
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
