"""From a search request to what three agents find: articles, a summary, images."""
