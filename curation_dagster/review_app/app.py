"""The reviewers' page as an ASGI application."""

from __future__ import annotations

import contextlib
import html
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from curation_dagster.core.criteria.protocol import load_protocol
from curation_dagster.core.registry.keys import ArchiveVersionKey, KeyFormatError, parse_key
from curation_dagster.core.review.reasons import reasons_for
from curation_dagster.review_app.accounts import AccountError, Accounts
from curation_dagster.review_app.desk import Desk, Refused
from curation_dagster.review_app.guard import COOKIE, Guard, has_token, int_of
from curation_dagster.review_app.items import Item, Queue
from curation_dagster.review_app.pictures import LONG_SIDE, NotShown, Pictures
from curation_dagster.review_app.sessions import Brake, Session, Sessions
from curation_dagster.trail import ClockError, HalfRecordedError
from curation_dagster.workspace import Workspace

_FOLDER = Path(__file__).parent
_LOG = logging.getLogger(__name__)
_MOST_AHEAD = 6
_PROBLEM = "<!doctype html><title>Review</title><p>{}</p>"


def create_app(
    open_workspace: Callable[[], Workspace], accounts: Accounts, secure: bool = False, prefix: str = ""
) -> Starlette:
    """Return the application.

    Parameters
    ----------
    open_workspace : callable
        Opens the installation whose queues are shown.
    accounts : Accounts
        Who may sign in.
    secure : bool
        True behind TLS: browsers then send the cookie over TLS only.
    prefix : str
        Path below which a proxy shows the page, such as ``/review``.
    """
    page = ReviewPage(accounts, secure, prefix)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        page.desk = await run_in_threadpool(Desk, open_workspace)
        yield
        await run_in_threadpool(page.desk.close)

    queue = "/queues/{key}/{criterion}"
    routes = [
        Route("/", page.queues),
        Route("/health", page.health),
        Route("/sign-in", page.sign_in, methods=["GET", "POST"]),
        Route("/sign-out", page.sign_out, methods=["POST"]),
        Route("/agreement", page.agreement),
        Route(queue, page.queue),
        Route(f"{queue}/next", page.next_items),
        Route(f"{queue}/verdicts", page.judge, methods=["POST"]),
        Route(f"{queue}/pictures/{{image_id}}", page.picture),
        Mount("/static", StaticFiles(directory=_FOLDER / "static")),
    ]
    if prefix:
        routes = [Mount(prefix, routes=routes)]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard, prefix=prefix)],
        exception_handlers={HTTPException: _http_problem, Exception: _any_problem},
    )
    app.state.sessions = page.sessions
    return app


class ReviewPage:
    """The handlers of one server."""

    desk: Desk

    def __init__(self, accounts: Accounts, secure: bool, prefix: str) -> None:
        self.accounts, self.secure, self.prefix = accounts, secure, prefix
        self.sessions = Sessions(account_of=self._account_of)
        self.brake, self.pictures = Brake(), Pictures()
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
        )  # fmt: skip

    # -- signing in -------------------------------------------------------------------------------

    async def sign_in(self, request: Request) -> Response:
        """Show the form, or open a session."""
        if request.method == "GET":
            if _session(request, required=False):
                return RedirectResponse(f"{self.prefix}/", 303)
            return self._show("sign_in.html.j2", problem=None)
        form = await request.form()
        name, password = str(form.get("name", ""))[:200], str(form.get("password", ""))[:1000]
        who = (f"name {name.casefold()}", f"address {request.client.host if request.client else ''}")
        wait = self.brake.seconds_to_wait(*who)
        if wait > 0:
            problem = f"Too many tries. Wait {wait:.0f} seconds and try again."
            return self._show("sign_in.html.j2", 429, problem=problem)
        try:
            reviewer = await run_in_threadpool(self.accounts.verify, name, password)
        except AccountError as error:
            _LOG.error("%s", error)
            return self._show(
                "sign_in.html.j2", 503, problem="Nobody can sign in: the accounts can't be read."
            )
        if reviewer is None:
            self.brake.failed(*who)
            return self._show("sign_in.html.j2", 401, problem="Name and password don't belong together.")
        self.brake.succeeded(who[0])
        self.sessions.end(request.cookies.get(COOKIE))
        token, _ = self.sessions.begin(reviewer)
        answer = RedirectResponse(f"{self.prefix}/", 303)
        answer.set_cookie(
            COOKIE, token, path=f"{self.prefix}/", httponly=True, samesite="strict", secure=self.secure
        )
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        form = await request.form()
        if not has_token(_session(request), form.get("token")):
            raise HTTPException(403, "The page is out of date. Load it again.")
        self.sessions.end(request.cookies.get(COOKIE))
        answer = RedirectResponse(f"{self.prefix}/sign-in", 303)
        answer.delete_cookie(COOKIE, path=f"{self.prefix}/")
        return answer

    # -- pages ------------------------------------------------------------------------------------

    async def health(self, request: Request) -> Response:
        """Say that the server answers."""
        return JSONResponse({"state": "ok"})

    async def queues(self, request: Request) -> Response:
        """Show all queues with their progress."""
        session = _session(request)
        progress = await run_in_threadpool(self.desk.progress, session.reviewer)
        return self._show(
            "queues.html.j2", session=session, progress=progress, criteria=self.desk.workspace.criteria
        )

    async def agreement(self, request: Request) -> Response:
        """Show how far reviewers agree."""
        rows = await run_in_threadpool(self.desk.agreements)
        return self._show("agreement.html.j2", session=_session(request), rows=rows)

    async def queue(self, request: Request) -> Response:
        """Show the page on which images are judged."""
        session, (key, name) = _session(request), _named(request)
        queue = await self._queue(key, name)
        return self._show(
            "queue.html.j2",
            session=session,
            queue=queue,
            criterion=queue.criterion,
            clause=load_protocol().clauses[queue.criterion.clause_id],
            criteria=self.desk.workspace.criteria,
            progress=await run_in_threadpool(self.desk.progress_of, key, name, session.reviewer),
            reasons=reasons_for(queue.criterion),
        )

    # -- what the page asks for -------------------------------------------------------------------

    async def next_items(self, request: Request) -> Response:
        """Return the next images, and how far the queue is."""
        session, (key, name) = _session(request), _named(request)
        await self._queue(key, name)
        most = min(int_of(request.query_params.get("most")), _MOST_AHEAD)
        holding = [i for i in request.query_params.get("holding", "").split(",") if i][:20]
        items = await run_in_threadpool(self.desk.next_items, key, name, session.reviewer, most, holding)
        progress = await run_in_threadpool(self.desk.progress_of, key, name, session.reviewer)
        return JSONResponse(
            {
                "items": [_shown(i) for i in items],
                "progress": {
                    "images": progress.images,
                    "settled": progress.settled,
                    "mine": progress.mine,
                    "waiting": progress.waiting,
                },
            }
        )

    async def judge(self, request: Request) -> Response:
        """Take a verdict; the answer comes once it is in the table."""
        session, (key, name) = _session(request), _named(request)
        if not has_token(session, request.headers.get("x-token")):
            raise HTTPException(403, "The page is out of date. Load it again.")
        try:
            said: Any = await request.json()
        except ValueError as error:
            raise HTTPException(400, "The verdict is no JSON.") from error
        fields = ("image_id", "outcome", "digest")
        if not isinstance(said, dict) or not all(isinstance(said.get(f), str) for f in fields):
            raise HTTPException(400, f"A verdict has the texts {', '.join(fields)} and comment.")
        if said["outcome"] not in ("pass", "fail", "withdrawn"):
            raise HTTPException(400, "The outcome is pass, fail or withdrawn.")
        comment = said.get("comment")
        if comment is not None and not isinstance(comment, str):
            raise HTTPException(400, "The comment is a text.")
        await self._queue(key, name)
        try:
            await run_in_threadpool(
                self.desk.judge, key, name, said["image_id"], session.reviewer, said["outcome"], comment, said["digest"]
            )  # fmt: skip
        except (Refused, ClockError) as error:
            raise HTTPException(409, str(error)) from error
        except HalfRecordedError as error:
            # the verdict counts: to ask for it again would make a second one
            _LOG.error("%s", error)
            problem = "The verdict counts, but the audit trail could not be written. Tell the data team."
            return JSONResponse({"state": "recorded", "problem": problem})
        return JSONResponse({"state": "recorded"})

    async def picture(self, request: Request) -> Response:
        """Return the picture of an image of the queue, or of one that stands beside it."""
        key, name = _named(request)
        queue = await self._queue(key, name)
        size = request.query_params.get("size", "fit")
        try:
            item = queue.picture(request.path_params["image_id"])
        except KeyError as error:
            raise HTTPException(404, "This image is not shown in this queue.") from error
        if size not in LONG_SIDE:
            raise HTTPException(400, f"The size is one of {', '.join(LONG_SIDE)}.")
        if item is None:
            raise HTTPException(404, "This image has no file that can be shown.")
        try:
            jpeg = await run_in_threadpool(self.pictures.jpeg, item, size)
        except NotShown as error:
            raise HTTPException(404, f"The picture can't be shown: {error}.") from error
        return Response(jpeg, media_type="image/jpeg")

    # -- inside -----------------------------------------------------------------------------------

    def _account_of(self, reviewer: str) -> str | None:
        try:
            return self.accounts.known(reviewer)
        except AccountError as error:
            _LOG.error("%s", error)
            return None  # who can't sign in any more is out as well

    async def _queue(self, key: ArchiveVersionKey, criterion: str) -> Queue:
        try:
            return await run_in_threadpool(self.desk.queue, key, criterion)
        except KeyError as error:
            raise HTTPException(404, "There is no such queue, or it is not open any more.") from error

    def _show(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        page = self._templates.get_template(template).render(prefix=self.prefix, **values)
        return HTMLResponse(page, status)


def _session(request: Request, required: bool = True) -> Session:
    session = request.state.session
    if session is None and required:
        raise HTTPException(401, "Sign in first.")
    return session  # type: ignore[no-any-return]


def _named(request: Request) -> tuple[ArchiveVersionKey, str]:
    try:
        return parse_key(request.path_params["key"]), request.path_params["criterion"]
    except KeyFormatError as error:
        raise HTTPException(404, "There is no such queue.") from error


def _shown(item: Item) -> dict[str, Any]:
    return {
        "image_id": item.image_id,
        "rank": item.rank,
        "others": [other for other, _ in item.others],
        "facts": [list(f) for f in item.facts],
    }


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_PROBLEM.format(html.escape(error.detail)), error.status_code)
    return JSONResponse({"problem": error.detail}, error.status_code)


async def _any_problem(request: Request, error: Exception) -> Response:
    # the log has the details; the answer says nothing that could name a file
    _LOG.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
    return JSONResponse(
        {
            "problem": "The server could not do this. Nothing was recorded. Try again; if it stays, see its log."
        },
        500,
    )
