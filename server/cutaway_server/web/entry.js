// Shows the HTML that comes with a grounded summary, in a frame of no origin, where no other script runs.
addEventListener("message", ({ source, data }) => {
	if (source !== parent || parent === self || typeof data !== "string") return;
	const made = new DOMParser().parseFromString(data, "text/html");
	document.body.replaceChildren(...made.head.querySelectorAll("style"), ...made.body.childNodes);
});
