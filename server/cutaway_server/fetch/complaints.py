"""Why a page's video cannot be had, in words.

Comes in: what yt-dlp raised, and whether the door refused something meanwhile. Goes out: a
:class:`~cutaway_server.fetch.sites.SiteFailed`. yt-dlp says most things in English prose, which is for its users at a
terminal, quotes URLs and pages, and changes; so it is searched for what it is about and never repeated.
"""

from __future__ import annotations

import re

from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, TransportError
from yt_dlp.utils import ExtractorError, GeoRestrictedError, UnsupportedError, UserNotLive

from cutaway_server.fetch.sites import NoVideo, SiteFailed

LIVE = "This is a live stream, or one that has not begun: only videos that are over can be shown."
PROTECTED = "This video is protected against copying (DRM)."
REGION = "This video is not available in the region that this server is in."
PRIVATE = "This video is private."
LOGIN = "This video is only for those who are logged in or have paid, which is not supported."
AGE = "This video is restricted by age: it needs a login, which is not supported."
ROBOT = "The site takes this server for a robot and refuses to show the video. Try again later."
GONE = "There is no such video any more, or the site does not show it: it was removed, or never existed."
CHANGED = "The video on this page could not be found, because the site is not built as expected."
UNREACHED = "The page, or what it leads to, could not be reached, or did not answer in time."
CERTIFICATE = "The page, or what it leads to, has a TLS certificate that cannot be verified."
REFUSED = "This page leads to an address that is not public: only the public internet can be fetched from."
NO_SCRIPTS = "YouTube needs a JavaScript runtime, and this server has none: deno has to be installed on it."
UNEXPLAINED = (CHANGED, GONE, NoVideo().message)
"""What may be said when the site was merely not understood."""

_MEMBERS = (
    r"\b(log|sign)(ged)?.?in\b|login|registered|your account|\bmembers?\b|membership|subscri(be|ption)|premium|purchase"
    r"|\brent(al|ed)?\b|password|authenti|\bpaid\b|\bpay(ing|ment|wall|.per.view)?\b"
)
_REMOVED = (
    r"removed|deleted|terminated|unavailable|not available|no longer|does ?n.t exist|not exist|not found|\bgone\b"
    r"|expired|taken down|closed|blocked|violat|copyright"
)
_LIVE = r"\blive.?(stream|event|broadcast|video|show|channel)|\b(is|are|be|currently|still|yet|goes|going) live\b"
_UNREAD = r"(^|: )(unable|failed) to (extract|parse)\b"
"""What is not found there are the library's own terms, in words that may be any."""
_ABOUT = (
    (r"\bdrm\b|widevine|fairplay", PROTECTED),
    (r"not a bot|captcha|cloudflare|anti-?bot|bot detection|too many requests|\brate.?limit|unusual traffic", ROBOT),
    (r"\bage\b|age.?restricted|inappropriate|\bmature\b|\badults?\b|under.?age", AGE),
    (r"\bprivate\b", PRIVATE),
    (_MEMBERS, LOGIN),
    (
        r"\bgeo.?(block|restrict|lock|fenc|filter|graphic|locat)|countr(y|ies)|\bregions?\b|your location|territor",
        REGION,
    ),
    (_LIVE + r"|premieres? (in|will)|upcoming|has not (yet )?(started|begun)|is offline", LIVE),
    (_REMOVED, GONE),
)
_STATUSES = {401: LOGIN, 402: LOGIN, 404: GONE, 410: GONE, 429: ROBOT, 451: REGION}


def explain_site(error: BaseException, refused: str) -> SiteFailed:
    """Return the failure in words.

    Parameters
    ----------
    error
        What yt-dlp raised.
    refused
        The door's word for what it refused last, "" if it refused nothing.
    """
    # A DownloadError is raised while the extractor's own error is handled.
    cause = error.__context__ if isinstance(error.__context__, ExtractorError) else error
    if isinstance(cause, GeoRestrictedError):
        return SiteFailed(REGION)
    if isinstance(cause, UserNotLive):
        return SiteFailed(LIVE)
    if refused in ("address", "host"):
        return SiteFailed(REFUSED if refused == "address" else UNREACHED)
    if isinstance(cause, UnsupportedError):
        return NoVideo()
    network = _network(cause) or _network(error)
    # Whether it was expected says little; what the site itself told comes with it, though.
    text = str(getattr(cause, "orig_msg", "") or cause)
    text = re.sub(r"https?://\S+|\(caused by .*", " ", text).lower()
    missing = re.search(r"no video|unsupported|requested format|only images", text)
    if network is None and re.search(_UNREAD, text):
        return SiteFailed(CHANGED)
    if network is None and not missing:
        for about, words in _ABOUT:
            if re.search(about, text):
                return SiteFailed(words)
    if isinstance(network, HTTPError):
        status = network.status
        return SiteFailed(_STATUSES.get(status, f"The site answered {status} when it was asked for the video."))
    if network is not None:
        return SiteFailed(CERTIFICATE if isinstance(network, CertificateVerifyError) else UNREACHED)
    return NoVideo() if missing else SiteFailed(CHANGED)


def _network(error: BaseException) -> HTTPError | TransportError | None:
    """The failed request behind an error, if there is one."""
    for each in (error, getattr(error, "cause", None), error.__cause__, error.__context__):
        if isinstance(each, HTTPError | TransportError):
            return each
        if isinstance(each, ExtractorError) and isinstance(each.cause, HTTPError | TransportError):
            return each.cause
    return None
