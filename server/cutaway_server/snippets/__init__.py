"""From a video URL to snippets: source, index, shots, moments, titles, cut, pipeline."""
