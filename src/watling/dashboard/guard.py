"""Receives every request before the page does; refuses those that a foreign site could have caused.

A page on loopback is reachable by any web site that the user visits (DNS rebinding, WebSockets across origins). So:
the Host must be this machine's, the Origin, where one is sent, must be the page itself, and the answers carry a
Content-Security-Policy that lets nothing in or out but the page's own files.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine reaches."""
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware. `host` is the address that the page listens on."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        self.loopback_only = is_loopback(host)
        self.names = LOOPBACK | {host.lower()} | (set() if self.loopback_only else {socket.gethostname().lower()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        problem = self._problem(scope)
        if problem is not None:
            if scope["type"] == "websocket":
                await WebSocketClose(1008, problem)(scope, receive, send)
            else:
                await PlainTextResponse(problem + "\n", status_code=403, headers=HEADERS)(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_guarded)

    def _problem(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            name = ""
        if not self._own(name):
            return f"refused: the Host {host!r} is not this page's. Open it by the address that `watling up` printed."
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
            return f"refused: a request from {origin!r} is not the page's own."
        if headers.get("sec-fetch-site") == "cross-site" and not (
            scope["type"] == "http" and scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
        ):
            return "refused: another site asked for this."
        return None

    def _own(self, name: str) -> bool:
        if name in self.names:
            return True
        if self.loopback_only:
            return is_loopback(name)
        try:  # a rebinding attack needs a name; whoever types the address means it
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
