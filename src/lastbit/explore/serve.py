"""The explorer's server. It answers this machine only, and only with the token in the address."""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from importlib import resources
from urllib.parse import urlencode

import marimo
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount

from lastbit.errors import LastbitError

HOST = "127.0.0.1"


def listen(port: int) -> socket.socket:
    """A socket that listens on the loopback address.

    Args:
        port: 0 for any free port.

    Raises:
        LastbitError: the port is in use, reserved or out of range.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # So that a port which an explorer has just left can be used at once; a port in use stays refused.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or "a port is a number from 0 to 65535"
        raise LastbitError(
            f"--port {port}: {reason[0].lower()}{reason[1:]}; give another, or 0 for any that is free"
        ) from None
    return listening


def serve(listening: socket.socket, ready: Callable[[str], None], *, study: str = "") -> None:
    """Serve the page until Ctrl-C.

    Args:
        listening: as `listen` gives it; closed at the end.
        ready: called with the page's address, token included, once the page is served.
        study: directory of a study, or a folder of studies, that the page opens first; empty for none.
    """
    token = secrets.token_urlsafe(24)
    asked = {"access_token": token} | ({"study": study} if study else {})
    address = f"http://{HOST}:{listening.getsockname()[1]}/?{urlencode(asked)}"
    with closing(listening):
        asyncio.run(_serve(_page(token), listening, lambda: ready(address)))


def _page(token: str) -> Starlette:
    """The page as an ASGI application that asks for the token."""
    place = resources.files("lastbit.explore") / "app.py"
    built = marimo.create_asgi_app(quiet=True, token=token).with_app(path="", root=str(place)).build()
    assert isinstance(built, Starlette)
    return built


async def _serve(page: Starlette, listening: socket.socket, ready: Callable[[], None]) -> None:
    config = uvicorn.Config(
        # Only this machine's own names are answered, against DNS rebinding by a page of another host.
        TrustedHostMiddleware(page, allowed_hosts=[HOST, "localhost"]),
        log_level="error",
        ws_ping_interval=1,  # as marimo's own server does, to notice lost connections
        ws_ping_timeout=60,
        timeout_keep_alive=300,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not (server.started or serving.done()):
        await asyncio.sleep(0.02)
    # Replaces uvicorn's handler, which would raise KeyboardInterrupt at the end: Ctrl-C is the normal way to leave.
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, _stop, server)
    ready()
    await serving
    # A mounted application does not hear of the shutdown, and its threads would keep the process alive.
    for mounted in page.routes:
        if isinstance(mounted, Mount) and isinstance(mounted.app, Starlette):
            await mounted.app.state.session_manager.shutdown()


def _stop(server: uvicorn.Server) -> None:
    """End the server; when asked again, at once."""
    server.force_exit, server.should_exit = server.should_exit, True
