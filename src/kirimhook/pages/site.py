"""The pages of one half: its templates over the shared ones, its stylesheet and module, its live regions."""

from __future__ import annotations

import hashlib
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from kirimhook.pages import moments
from kirimhook.pages.charts import figure, series_class

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request

    from kirimhook.pages.live import Live

    Load = Callable[[], Awaitable[Mapping[str, object]]]

_HERE = "kirimhook.pages"
_KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}


class NavItem(NamedTuple):
    """A link of the navigation. `key` is for the tests and the stylesheet."""

    label: str
    path: str
    key: str


class Site:
    """The templates of one half over the shared ones: everything is escaped, and an unknown name is an error.

    Every template gets `site`, `prefix`, `path` (of the request), `csrf` and `who` (of `request.state`, "" and None
    where nobody set them), `now` (seconds since the epoch), and the macros of `macros.html` as `m`.
    """

    def __init__(
        self,
        package: str,
        *,
        prefix: str,
        name: str,
        nav: Sequence[NavItem],
        clock: Callable[[], float] = time.time,
        account: str | None = None,
    ) -> None:
        """`package`'s folder `templates` is looked into first. `prefix` begins with a slash and ends without one.

        `account`: the path of a page about who is signed in, where there is one.
        """
        self.prefix = prefix
        self.name = name
        self.nav = tuple(nav)
        self.account = account
        self._clock = clock
        self._env = _environment(package, clock)
        self._files = _static_files()

    def warm(self) -> None:
        """Compile every template, in whatever thread: or the loop that shows the first page does."""
        for name in self._env.list_templates(extensions=["html"]):
            self._env.get_template(name)

    def render(self, template: str, request: Request | None = None, **values: object) -> str:
        """The whole page. Raises jinja2's TemplateError."""
        return self._env.get_template(template).render(self._values(request, values))

    def region(self, template: str, region: str, request: Request | None = None, **values: object) -> str:
        """One block of a template, alone. What the template sets or imports outside of it is not there.

        Raises KeyError where it has no such block.
        """
        found = self._env.get_template(template)
        return "".join(found.blocks[region](found.new_context(self._values(request, values))))

    async def show(  # what a page is made of
        self,
        request: Request,
        template: str,
        load: Load,
        *,
        regions: Sequence[str] = (),
        status: int = 200,
        live: Live | None = None,
    ) -> Response:
        """The page that `load` gives the values of; with `?live=1`, the stream of what changes in its regions.

        What `load` raises at first comes out here; later it ends the stream.
        """
        values = await load()
        if live is None or not regions:
            return HTMLResponse(self.render(template, request, **values), status)
        if request.query_params.get("live") != "1" or request.method not in {"GET", "HEAD"}:
            return HTMLResponse(self.render(template, request, live=True, **values), status)

        def told(values: Mapping[str, object]) -> dict[str, str]:
            return {name: self.region(template, name, request, **values) for name in regions}

        async def tell() -> dict[str, str]:
            return told(await load())

        return live.stream(tell, told(values))

    def problem(  # what an error page says
        self,
        request: Request,
        status: int,
        title: str,
        text: str,
        *,
        code: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """A page that says what went wrong, and what to do. `code` is the machine's word for it."""
        page = self.render("error.html", request, status=status, title=title, text=text, code=code)
        return HTMLResponse(page, status, dict(headers or {}))

    def asset(self, name: str) -> str:
        """The path of a file of `static/`, with its hash: `/dashboard/static/style.0123456789ab.css`."""
        return f"{self.prefix}/static/{next(hashed for hashed, (plain, _) in self._files.items() if plain == name)}"

    def static(self) -> Route:
        """Serves `asset`s, to be kept for ever by whoever asks."""

        async def serve(request: Request) -> Response:
            found = self._files.get(request.path_params["name"])
            if found is None:
                return PlainTextResponse("no such file\n", 404)
            return Response(found[1], headers=_FOR_EVER, media_type=_KINDS[found[0].rpartition(".")[2]])

        return Route(f"{self.prefix}/static/{{name}}", serve, methods=["GET"])

    def current(self, path: str) -> str:
        """The path of the navigation's link that a page is under: the longest one. "" where it is under none."""
        under = [item.path for item in self.nav if path == item.path or self._is_under(path, item)]
        return max(under, key=len, default="")

    def _is_under(self, path: str, item: NavItem) -> bool:
        """Nothing is under the first page: else everything would be."""
        return item.path != self.prefix and path.startswith(f"{item.path}/")

    def _values(self, request: Request | None, values: Mapping[str, object]) -> dict[str, Any]:
        state = getattr(request, "state", None)
        return {
            "site": self,
            "prefix": self.prefix,
            "path": request.url.path if request is not None else "",
            "csrf": getattr(state, "csrf", ""),
            "who": getattr(state, "who", None),
            "now": self._clock(),
            "live": False,
            **values,
        }


def _environment(package: str, clock: Callable[[], float]) -> Environment:
    env = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(_HERE)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    plain = ("iso", "exact", "duration", "duration_ms", "count", "percent", "size", "short", "from_ms")
    env.filters.update({name: getattr(moments, name) for name in plain})
    env.filters["figure"] = figure
    env.globals["series_class"] = series_class
    env.filters["ago"] = lambda moment: moments.ago(moment, clock())
    module: Any = env.get_template("macros.html").module
    env.globals["m"] = module
    return env


def _static_files() -> dict[str, tuple[str, bytes]]:
    """Of the package's folder `static`: by the name with its hash, the plain name and the content."""
    found = {}
    for file in files(_HERE).joinpath("static").iterdir():
        stem, _, kind = file.name.rpartition(".")
        if kind in _KINDS:
            content = file.read_bytes()
            found[f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{kind}"] = (file.name, content)
    return found
