/**
 * A picture to search with. What the server takes goes as it is, because the words in it (title, caption, keywords) are
 * searched for; another picture is drawn anew, and anything else refused in words.
 */

const TAKEN = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const MOST_BYTES = 10 * 2 ** 20;
const MOST_READ = 64 * 2 ** 20;
const MOST_PIXELS = 1e8;
const LONGEST_SIDE = 2048;
const PREVIEW = 160;

/** A File as `data:` URL, small preview, and name. */
export async function readPicture(file) {
	const name = file.name || "Pasted picture";
	if (file.size > MOST_READ) throw new Error(`${name} is too large: a picture may have up to 64 MB.`);
	let bitmap;
	try {
		bitmap = await createImageBitmap(file);
	} catch {
		throw new Error(`${name} is not a picture that this browser can read. Choose a PNG, JPEG, GIF or WebP.`);
	}
	try {
		const { width, height } = bitmap;
		const fits = TAKEN.includes(file.type) && file.size <= MOST_BYTES && width * height <= MOST_PIXELS;
		const data = fits ? file : await blobOf(drawn(bitmap, LONGEST_SIDE));
		const preview = drawn(bitmap, PREVIEW);
		return { data: await dataUrl(data), preview, name: fits ? name : `${name} (made smaller)` };
	} finally {
		bitmap.close();
	}
}

function drawn(bitmap, longest) {
	const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
	const canvas = document.createElement("canvas");
	canvas.width = Math.max(1, Math.round(bitmap.width * scale));
	canvas.height = Math.max(1, Math.round(bitmap.height * scale));
	const context = canvas.getContext("2d");
	context.fillStyle = "white"; // behind what is transparent
	context.fillRect(0, 0, canvas.width, canvas.height);
	context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
	return canvas;
}

function blobOf(canvas) {
	return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
}

function dataUrl(blob) {
	return new Promise((resolve) => {
		const reader = new FileReader();
		reader.onload = () => resolve(reader.result);
		reader.readAsDataURL(blob);
	});
}
