"""The fixtures themselves: a check that cannot fail is none."""

from __future__ import annotations

from playwright.sync_api import Page, Route

POLICY = "default-src 'none'; script-src 'unsafe-inline'"


def serve(route: Route, body: str) -> None:
    route.fulfill(body=body, headers={"Content-Type": "text/html", "Content-Security-Policy": POLICY})


def test_a_page_tells_on_what_goes_wrong_in_it(page: Page, complaints: list[str]) -> None:
    page.route("https://page.example/", lambda route: serve(route, "<title>All is well</title>"))
    page.goto("https://page.example/")
    assert page.title() == "All is well"
    assert not complaints
    bad = "<script>console.error('told', 1); setTimeout(() => { throw new Error('thrown') })</script><img src='/a.png'>"
    page.route("https://page.example/", lambda route: serve(route, bad))
    with page.expect_event("pageerror"):
        page.goto("https://page.example/")
    text = "\n".join(complaints)
    assert "told 1" in text
    assert "thrown" in text
    assert "Content Security Policy" in text
    complaints.clear()
