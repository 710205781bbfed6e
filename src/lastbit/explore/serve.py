"""The explorer's server: on this machine only, behind a token in the address."""

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
    """A socket that listens on this machine's own address.

    Args:
        port: 0 for any that is free.

    Raises:
        LastbitError: the port is in use, may not be used, or is none.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # A port that an explorer has just left is free again; one that is in use stays so.
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
        ready: called with the page's address, token included, once it is there.
        study: directory of a study, or a folder of studies, that the page opens; empty for none.
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
        # Only for this machine's own names: against a foreign page whose host name is made to point here.
        TrustedHostMiddleware(page, allowed_hosts=[HOST, "localhost"]),
        log_level="error",
        ws_ping_interval=1,  # as marimo's own server does, against connections that are lost unnoticed
        ws_ping_timeout=60,
        timeout_keep_alive=300,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not (server.started or serving.done()):
        await asyncio.sleep(0.02)
    # In place of uvicorn's own, which would raise KeyboardInterrupt at the end: Ctrl-C is how one leaves.
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, _stop, server)
    ready()
    await serving
    # A mounted application is not told that the server ends, and its threads would keep the process.
    for mounted in page.routes:
        if isinstance(mounted, Mount) and isinstance(mounted.app, Starlette):
            await mounted.app.state.session_manager.shutdown()


def _stop(server: uvicorn.Server) -> None:
    """End the server; when asked again, at once."""
    server.force_exit, server.should_exit = server.should_exit, True
