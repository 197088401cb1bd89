"""HLS and DASH: from a playlist to an open video."""
