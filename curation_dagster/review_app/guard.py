"""What keeps strangers out, and other sites' pages from acting for a reviewer.

Every answer may be seen by the one who asked and be kept by nobody. Scripts, styles and pictures come from this server
only. Nothing but the sign-in page and its style is served without a session.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from curation_dagster.review_app.sessions import Session, same

COOKIE = "curation_review"
OPEN_PATHS = ("/sign-in", "/static/review.css", "/health")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_LONGEST_BODY = 64 * 1024


class Guard:
    """ASGI middleware: headers on every answer, and no way past the sign-in page.

    Parameters
    ----------
    prefix : str
        Path below which a proxy shows the page, such as ``/review``; empty without one.
    """

    def __init__(self, app: ASGIApp, prefix: str = "") -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        request = Request(scope)
        refusal = self._refusal(request)
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        path = request.url.path.removeprefix(self._prefix) if self._prefix else request.url.path
        if int_of(request.headers.get("content-length")) > _LONGEST_BODY:
            return JSONResponse({"problem": "The request is too large."}, 413)
        if request.method not in ("GET", "HEAD", "POST"):
            return JSONResponse({"problem": "Not allowed."}, 405)
        session = (
            request.app.state.sessions.of(request.cookies.get(COOKIE)) if "app" in request.scope else None
        )
        request.scope.setdefault("state", {})["session"] = session
        if request.method == "POST" and not is_same_site(request):
            return JSONResponse({"problem": "The request comes from another site."}, 403)
        if session is not None or path in OPEN_PATHS:
            return None
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"{self._prefix}/sign-in", 303)
        return JSONResponse({"problem": "Sign in first."}, 401)


def is_same_site(request: Request) -> bool:
    """Return whether a browser sent the request from a page of this server, as far as it says."""
    fetched = request.headers.get("sec-fetch-site")
    if fetched is not None and fetched not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def has_token(session: Session, token: object) -> bool:
    """Return whether a request carries the token that only a page of this session knows."""
    return isinstance(token, str) and same(session.csrf, token)


def int_of(text: str | None) -> int:
    """Return a header's number, 0 without one."""
    return int(text) if text and text.isdigit() else 0
