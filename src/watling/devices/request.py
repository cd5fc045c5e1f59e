"""Receives the address of a feed; gives polling its body, or says what came instead.

A request is bounded in time, in bytes received and in bytes unpacked. Redirects are followed by hand: one to an address
that is not public is refused unless allowed, and the key is not sent to another host.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import time
import zlib
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version

import httpx

from watling.errors import UsageError, WatlingError

MIB = 1024 * 1024
USER_AGENT = f"watling/{version('watling')}"
MAX_REDIRECTS = 5
REDIRECTS = {301, 302, 303, 307, 308}
KEY_PARAMETERS = {"key", "api_key", "apikey", "app_key", "appkey", "token", "access_token", "subscription-key"}


class PollError(WatlingError):
    """A feed that cannot be polled: refused, missing, or redirected to where it must not go."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key for the feed. Its value is read from the environment variable `env` and sent as the header `header` or as
    the query parameter `parameter`."""

    env: str
    header: str | None = None
    parameter: str | None = None

    def value(self) -> str:
        """The key. Raises UsageError when the variable is not set."""
        found = os.environ.get(self.env, "")
        if not found:
            raise UsageError(
                f"environment variable {self.env} is not set: put the feed's key there.", variable=self.env
            )
        return found


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes that one request may take. `body` bounds what is received and what it unpacks to."""

    connect_s: float = 10.0
    read_s: float = 15.0
    total_s: float = 60.0
    body: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class Answer:
    """What came. `body` is None unless the status is 200. `retry_after_s` is what the server asks for, if it does."""

    status: int
    body: bytes | None = None
    etag: str | None = None
    modified: str | None = None
    retry_after_s: float | None = None


class Failed(Exception):
    """This attempt gave nothing usable; the next may."""


def check_url(url: str) -> httpx.URL:
    """The parsed address. Raises UsageError if it is no http(s) address, or holds a password or a key."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError(f"{url!r} is no address: {error}", url=url) from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise UsageError(f"{url!r} is no address that can be polled: it must begin with http:// or https://", url=url)
    secret = sorted({name for name in parsed.params if name.lower() in KEY_PARAMETERS})
    if parsed.userinfo or secret:
        what = f"the parameter {secret[0]}" if secret else "a user name or password"
        raise UsageError(
            f"the address holds {what}: keys come from the environment. Put it in a variable and name that with --key-env."
        )
    return parsed


def fetch(
    client: httpx.Client,
    url: httpx.URL,
    limits: Limits,
    *,
    key: Key | None = None,
    etag: str | None = None,
    modified: str | None = None,
    allow_private: bool = False,
) -> Answer:
    """Ask once, following redirects.

    Raises:
        Failed: no answer, not all of it, too much of it, or too slow.
        PollError: a redirect that is not followed.
    """
    headers = {"Accept-Encoding": "gzip"}
    if etag:
        headers["If-None-Match"] = etag
    if modified:
        headers["If-Modified-Since"] = modified
    target, pinned = url, None
    deadline = time.monotonic() + limits.total_s
    for _ in range(MAX_REDIRECTS + 1):
        keyed = key is not None and _origin(target) == _origin(url)
        request = _request(client, target, pinned, headers, key if keyed else None)
        try:
            response = client.send(request, stream=True)
            try:
                if response.status_code not in REDIRECTS:
                    return _answer(response, limits, deadline)
                target, pinned = _next(target, response, url, allow_private)
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise Failed(f"{type(error).__name__}: {_without_key(str(error), key)}") from None
        if time.monotonic() > deadline:
            raise Failed(f"no answer in {limits.total_s:g} s")
    raise PollError(f"{url}: more than {MAX_REDIRECTS} redirects. Give the address that they lead to.", url=str(url))


def _request(
    client: httpx.Client, target: httpx.URL, pinned: str | None, headers: dict[str, str], key: Key | None
) -> httpx.Request:
    headers = dict(headers)
    if key is not None and key.header:
        headers[key.header] = key.value()
    if key is not None and key.parameter:
        target = target.copy_merge_params({key.parameter: key.value()})
    extensions: dict[str, object] = {}
    if pinned is not None:  # the address that was checked is the one that is asked, whatever its name says by then
        headers["Host"] = target.netloc.decode()
        extensions["sni_hostname"] = target.host
        target = target.copy_with(host=pinned)
    return client.build_request("GET", target, headers=headers, extensions=extensions)


def _without_key(text: str, key: Key | None) -> str:
    return text.replace(key.value(), "…") if key is not None else text


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _next(
    at: httpx.URL, response: httpx.Response, given: httpx.URL, allow_private: bool
) -> tuple[httpx.URL, str | None]:
    """Where a redirect leads, and the address to connect to."""
    try:
        target = at.join(response.headers.get("location", ""))
    except httpx.InvalidURL as error:
        raise PollError(f"{given}: redirects to no address ({error}).", url=str(given)) from None
    if target.scheme not in {"http", "https"} or not target.host:
        raise PollError(f"{given}: redirects to {target}, which is no web address.", url=str(given))
    if at.scheme == "https" and target.scheme == "http":
        raise PollError(
            f"{given}: redirects from https to http, which anyone on the way can read. Ask its owner.", url=str(given)
        )
    if _origin(target) == _origin(given) or allow_private:
        return target, None
    return target, _public(target, given)


def _public(target: httpx.URL, given: httpx.URL) -> str:
    try:
        port = target.port or (443 if target.scheme == "https" else 80)
        found = [str(info[4][0]) for info in socket.getaddrinfo(target.host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise Failed(f"{target.host}: {error}") from None
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if not address.is_global or address.is_multicast:
            raise PollError(
                f"{given}: redirects to {target.host} ({address}), which is not a public address: not followed. "
                "Poll that address itself, or allow it with --allow-private.",
                url=str(given),
                target=str(target),
            )
    return found[0]


def _answer(response: httpx.Response, limits: Limits, deadline: float) -> Answer:
    status = response.status_code
    retry = _retry_after(response.headers.get("retry-after"))
    if status != 200:
        return Answer(status, retry_after_s=retry)
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"identity", "gzip", "x-gzip", "deflate", ""}:
        raise Failed(f"the body is {coding}, which was not asked for")
    unpack = zlib.decompressobj(47) if coding not in {"identity", ""} else None
    parts: list[bytes] = []
    received = size = 0
    for raw in response.iter_raw():
        received += len(raw)
        piece = _unpacked(unpack, raw, limits.body - size) if unpack else raw
        size += len(piece)
        parts.append(piece)
        if received > limits.body or size > limits.body:
            raise Failed(f"the body is larger than {limits.body / MIB:g} MiB")
        if time.monotonic() > deadline:
            raise Failed(f"the body did not come in {limits.total_s:g} s")
    if unpack is not None and not unpack.eof:
        raise Failed("the compressed body ends too early")
    headers = response.headers
    return Answer(200, _bare(b"".join(parts), limits.body), headers.get("etag"), headers.get("last-modified"), retry)


def _unpacked(unpack: zlib._Decompress, data: bytes, room: int) -> bytes:
    try:
        return unpack.decompress(data, room + 1)
    except zlib.error as error:
        raise Failed(f"the compressed body is damaged: {error}") from None


def _bare(body: bytes, limit: int) -> bytes:
    """A body that is itself a gzip file, unpacked."""
    if body[:2] != b"\x1f\x8b":
        return body
    unpack = zlib.decompressobj(47)
    bare = _unpacked(unpack, body, limit)
    if len(bare) > limit:
        raise Failed(f"the body is larger than {limit / MIB:g} MiB")
    if not unpack.eof:
        raise Failed("the compressed body ends too early")
    return bare


def _retry_after(text: str | None) -> float | None:
    """Seconds, from a number or an HTTP date; None if it says neither."""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
