"""What texts are about, as vectors: static word vectors (wordllama), averaged. Comes in: plain texts; goes out: one
unit row for each. No network, about 0.1 ms a short text; import it where the work is done, never in the event loop's
process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 256
MAX_CHARACTERS = 4000
"""A text is about what its beginning is about."""


@cache
def _model() -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive a fork, and are no help
    import wordllama  # it takes a second, and calls logging.basicConfig

    # Its default would ask the network for what is in the wheel.
    folder = Path(str(wordllama.__file__)).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)


def load() -> None:
    """Load the vectors, 1.5 s, now rather than with the first text: before workers are forked."""
    _model()


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """One row of 256 for each text, of length 1; all zeros for a text without a known word."""
    rows = np.zeros((len(texts), DIMENSIONS), np.float32)
    known = [n for n, text in enumerate(texts) if text.strip()]
    if known:
        # Half a surrogate pair, which JSON can carry, is no text to the tokenizer.
        found = _model().embed([texts[n][:MAX_CHARACTERS].encode(errors="replace").decode() for n in known])
        found = np.nan_to_num(found)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        rows[known] = np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0)
    return rows
