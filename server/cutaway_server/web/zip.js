/** Many files as one: a ZIP archive of stored (not packed) entries, made around the Blobs without copying them. */

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
	for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
	return n;
});

async function crcOf(blob) {
	let crc = -1;
	for (let at = 0; at < blob.size; at += 1 << 22) {
		const bytes = new Uint8Array(await blob.slice(at, at + (1 << 22)).arrayBuffer());
		for (let n = 0; n < bytes.length; n++) crc = TABLE[(crc ^ bytes[n]) & 255] ^ (crc >>> 8);
	}
	return ~crc >>> 0;
}

/** A number of four bytes as two of two, little-endian as all machines are that have browsers. */
const long = (number) => [number & 0xffff, number >>> 16];

/** Files `{name, blob}`, together less than 4 GB, as one Blob. */
export async function zip(files) {
	const parts = [];
	const directory = [];
	let at = 0;
	let directorySize = 0;
	for (const { name, blob } of files) {
		const path = new TextEncoder().encode(name);
		const size = long(blob.size);
		// Version 2.0, names in UTF-8, stored, the first of January 1980.
		const about = [20, 0x800, 0, 0, 33, ...long(await crcOf(blob)), ...size, ...size, path.length, 0];
		const head = Uint16Array.of(...long(0x04034b50), ...about);
		const entry = Uint16Array.of(...long(0x02014b50), 20, ...about, 0, 0, 0, 0, 0, ...long(at));
		parts.push(head, path, blob);
		directory.push(entry, path);
		at += head.byteLength + path.length + blob.size;
		directorySize += entry.byteLength + path.length;
	}
	const number = files.length;
	const end = Uint16Array.of(...long(0x06054b50), 0, 0, number, number, ...long(directorySize), ...long(at), 0);
	return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
