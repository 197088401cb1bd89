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

/** Little-endian numbers: [[bytes, value], ...]. */
function record(...fields) {
	const view = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
	let at = 0;
	for (const [size, value] of fields) {
		if (size === 2) view.setUint16(at, value, true);
		else view.setUint32(at, value, true);
		at += size;
	}
	return view.buffer;
}

/** Files `{name, blob}`, together less than 4 GB, as one Blob. */
export async function zip(files) {
	const parts = [];
	const directory = [];
	let at = 0;
	let directorySize = 0;
	for (const { name, blob } of files) {
		const path = new TextEncoder().encode(name);
		// Version 2.0, names in UTF-8, stored, the first of January 1980.
		const about = [[2, 20], [2, 0x800], [2, 0], [2, 0], [2, 33], [4, await crcOf(blob)], [4, blob.size], [4, blob.size]];
		const head = record([4, 0x04034b50], ...about, [2, path.length], [2, 0]);
		const entry = record(
			...[[4, 0x02014b50], [2, 20], ...about, [2, path.length], [2, 0], [2, 0], [2, 0], [2, 0], [4, 0], [4, at]],
		);
		parts.push(head, path, blob);
		directory.push(entry, path);
		at += head.byteLength + path.length + blob.size;
		directorySize += entry.byteLength + path.length;
	}
	const number = files.length;
	const end = record([4, 0x06054b50], [2, 0], [2, 0], [2, number], [2, number], [4, directorySize], [4, at], [2, 0]);
	return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
