"""One article, one name: URLs without what only tracks readers, and the keys that are made of them.

Comes in: whatever stands in a feed, a row or a search engine's answer. Goes out: an http(s) URL that can be shown,
``""`` for anything else, and the text that tells this article from all others. Nothing may be fetched because of it:
that is judged at the door.
"""

from __future__ import annotations

import hashlib
import re
from ipaddress import IPv6Address
from urllib.parse import quote, urljoin, urlsplit

MAX_CHARACTERS = 2048
"""Longest URL that is kept."""

_TRACKING = re.compile(
    r"utm_\w*|fbclid|gclid|gclsrc|gad_\w+|dclid|wbraid|gbraid|msclkid|yclid|ysclid|twclid|ttclid|li_fat_id|igsh|igshid"
    r"|mc_[ce]id|_hs(enc|mi)|__hs\w*|vero_(id|conv)|oly_(anon|enc)_id|mkt_tok|ref_(src|url)|spm|_ga|_gl|cmpid|s_cid"
    r"|wt_mc|wt\.mc_\w+|ns_(campaign|source|mchannel)|at_(medium|campaign)|ga_\w+|pk_\w+|mtm_\w+|piwik_\w+|trk"
    r"|guccounter|guce_\w+",
    re.IGNORECASE,
)
_UNSAFE = re.compile(r"[^\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+")
"""What a URL may not hold as it is: spaces, controls, quotes, brackets of markup, everything outside ASCII."""
_HOST = re.compile(r"[a-z0-9_-]([a-z0-9._-]*[a-z0-9_-])?\.?")
_USUAL = re.compile(
    r"https?://[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+"
    r"(/[\x21\x23-\x2e\x30-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+)*/?"
)
"""URLs that are as they shall be."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


def web_url(text: object, base: str = "") -> str:
    """The absolute http(s) URL behind `text`, in ASCII; ``""`` when there is none.

    Parameters
    ----------
    text
        A URL or a reference, as found.
    base
        What a reference is relative to.
    """
    if not isinstance(text, str) or not text or len(text) > 2 * MAX_CHARACTERS:
        return ""
    if len(text) <= MAX_CHARACTERS and _USUAL.fullmatch(text):
        return text
    try:
        parts = urlsplit(urljoin(base, text.strip()))
        host, port = parts.hostname or "", parts.port
        if parts.scheme not in _DEFAULT_PORTS or "@" in parts.netloc:
            return ""
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
        if ":" in host:
            host = f"[{IPv6Address(host)}]"
        elif not _HOST.fullmatch(host):
            return ""
    except (ValueError, UnicodeError):
        return ""
    netloc = host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    url = _UNSAFE.sub(lambda found: quote(found[0], errors="replace"), parts._replace(netloc=netloc).geturl())
    return url if len(url) <= MAX_CHARACTERS else ""


def canonical_url(text: str) -> str:
    """The name of what is behind a URL: ``example.org/a?b=1``, the same for all the ways to write it.

    Without scheme, ``www.``, default port, fragment, tracking parameters and final slash; parameters sorted. ``""``
    for what is no http(s) URL. It is a name, not to be fetched.
    """
    url = web_url(text)
    if not url:
        return ""
    parts = urlsplit(url)
    host = parts.netloc.partition(":")[0] if not parts.netloc.startswith("[") else parts.netloc.partition("]")[0] + "]"
    host = host.rstrip(".")
    while host.startswith("www.") and host.count(".") > 1:
        host = host[4:]
    # Either scheme's, because the scheme goes: what listens on https://example.org:80 is that site all the same.
    port = "" if parts.port in (None, *_DEFAULT_PORTS.values()) else f":{parts.port}"
    path = re.sub(r"%[0-9a-f]{2}", lambda found: found[0].upper(), parts.path, flags=re.IGNORECASE).rstrip("/")
    kept = sorted(
        each for each in parts.query.split("&") if each and not _TRACKING.fullmatch(each.partition("=")[0].lower())
    )
    return f"{host}{port}{path}{'?' if kept else ''}{'&'.join(kept)}"


def short_hash(*texts: str) -> str:
    """16 hexadecimal digits that stand for some texts."""
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "replace"), digest_size=8).hexdigest()
