"""Fetching a file by its address: resumed where it broke off, verified, and never from inside the local network.

What has arrived so far lies beside the target as `.part`, with the server's mark of that version of the file as
`.tag`, so that a later call goes on with the same version or starts anew. Addresses are judged after the name is
resolved, and the connection goes to the very address that was judged; the same for every redirect. Behind a proxy
the proxy connects, so there only what the name resolves to here can be judged.
"""

from __future__ import annotations

import contextlib
import email.message
import http
import http.client
import ipaddress
import os
import re
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from sightline.core.errors import UserError, first_line, named
from sightline.core.hashing import has_sha256
from sightline.core.progress import SILENT, Progress

TIMEOUT_S = 30.0
PAUSE_S = 1.0
BLOCK = 1 << 18
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def download(
    url: str, target: Path, *, sha256: str | None = None, allow_private: bool = False, progress: Progress = SILENT
) -> None:
    """Fetch the http or https address `url` into the file `target`, whole or not at all.

    Goes on by itself as long as each try brings something, and on the next call where the last one broke off. Raises
    UserError when there is no such file or network, when the address leads to a private, loopback or link-local
    place (unless `allow_private`), and when the content does not hash to `sha256` (whole, or its first digits); that
    content is then removed.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(url, target, sha256, allow_private, progress)
    except OSError as error:
        raise UserError(f"cannot keep the download in {named(target.parent)}: {error.strerror}") from None


def _download(url: str, target: Path, sha256: str | None, allow_private: bool, progress: Progress) -> None:
    part = target.with_name(target.name + ".part")
    if urllib.parse.urlsplit(url).scheme.lower() not in ("http", "https"):
        raise UserError(f"{named(url)} is no address we can fetch: use http or https")
    _fetch_all(url, part, allow_private, progress)
    if sha256 and not has_sha256(part, sha256):
        part.unlink()
        _tag(part).unlink(missing_ok=True)
        raise UserError(f"{named(url)} does not have the SHA-256 {named(sha256)}: it is damaged or another file")
    os.replace(part, target)
    _tag(part).unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where downloads are kept: $SIGHTLINE_CACHE, or ~/.cache/sightline."""
    return Path(os.environ.get("SIGHTLINE_CACHE") or Path.home() / ".cache" / "sightline")


def is_public(address: str) -> bool:
    """Whether a numeric address belongs to the open internet, also when an IPv6 address wraps an IPv4 one."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = (
            ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)
        )
        ip = wrapped or ip
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or getattr(ip, "is_site_local", False))


def _fetch_all(url: str, part: Path, allow_private: bool, progress: Progress) -> None:
    """Try until all is there, as long as each try brings something."""
    opener = _opener(allow_private)
    while True:
        before = _size(part)
        try:
            if _fetch(opener, url, part, progress):
                return
            reason = "the connection broke off"
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                if error.headers.get("Content-Range") == f"bytes */{before}":
                    return  # stopped between the last byte and the new name
                part.unlink()
                continue
            raise UserError(f"{named(url)} cannot be had: the server answers {error.code} {named(error.msg)}") from None
        except urllib.error.URLError as error:
            reason = _why(error.reason)
        except (http.client.HTTPException, ConnectionError, TimeoutError, ValueError) as error:
            reason = _why(error)
        if _size(part) <= before:
            kept = f" ({_size(part):,} bytes are kept; the next try goes on from there)" if _size(part) else ""
            raise UserError(f"cannot fetch {named(url)}: {reason}{kept}; are you offline?")
        time.sleep(PAUSE_S)


def _fetch(opener: urllib.request.OpenerDirector, url: str, part: Path, progress: Progress) -> bool:
    """One try; whether all of the file is there afterwards."""
    have, tag = _size(part), _read_tag(part)
    headers = {"User-Agent": "sightline", "Accept-Encoding": "identity"}
    if have and tag:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    with opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as answer:
        start = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        resumed = answer.status == 206 and start is not None and int(start[1]) == have
        if answer.status == 206 and not resumed:
            raise http.client.HTTPException("the server sent another part than asked for")
        _tag(part).write_text(_mark(answer.headers))
        length = answer.headers.get("Content-Length")
        have = have if resumed else 0
        total = have + int(length) if length else None
        title = "Downloading " + (Path(urllib.parse.urlsplit(url).path).name or "file")
        with progress.task(title, total, "bytes") as advance, part.open("ab" if resumed else "wb") as file:
            advance(have)
            while block := _read(answer):
                file.write(block)
                have += len(block)
                advance(len(block))
    return total is None or have == total


def _read(answer: http.client.HTTPResponse) -> bytes:
    """The next block; a failure of the connection is told apart from one of the disk."""
    try:
        return answer.read(BLOCK)
    except OSError as error:
        raise http.client.HTTPException(_why(error)) from None


def _mark(headers: email.message.Message) -> str:
    """What names this version of the file in a later request; a weak mark does not."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def _tag(part: Path) -> Path:
    return part.with_suffix(".tag")


def _read_tag(part: Path) -> str:
    try:
        return _tag(part).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _why(reason: BaseException | str) -> str:
    if isinstance(reason, socket.gaierror):
        return "its host's name is not known here"
    return first_line(reason)


def _opener(allow_private: bool) -> urllib.request.OpenerDirector:
    """Only http and https, also after a redirect; nothing of what urllib adds by itself (ftp, file, data)."""
    opener = urllib.request.OpenerDirector()
    handlers = (
        urllib.request.ProxyHandler(),
        _Http(allow_private),
        _Https(allow_private),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    )
    for handler in handlers:
        opener.add_handler(handler)
    return opener


class _Http(urllib.request.HTTPHandler):
    def __init__(self, allow_private: bool) -> None:
        super().__init__()
        self.allow_private = allow_private

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_connection(http.client.HTTPConnection, req, self.allow_private), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, allow_private: bool) -> None:
        super().__init__()
        self.allow_private = allow_private

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_connection(http.client.HTTPSConnection, req, self.allow_private), req)


def _connection(kind: type[http.client.HTTPConnection], req: urllib.request.Request, allow_private: bool) -> Any:
    """What makes the connection for `req`: to a judged address, or to the proxy once the address is judged."""
    proxied = req.has_proxy() or bool(getattr(req, "_tunnel_host", None))
    if proxied and not allow_private:
        host = urllib.parse.urlsplit(req.full_url).hostname or ""
        with contextlib.suppress(socket.gaierror):  # a name that only the proxy knows
            _judged(host, None)

    def make(host: str, **options: Any) -> http.client.HTTPConnection:
        connection = kind(host, **options)
        if not proxied and not allow_private:
            connection._create_connection = _connect  # type: ignore[attr-defined]
        return connection

    return make


def _connect(address: tuple[str, int], timeout: float, source: Any = None) -> socket.socket:
    """As socket.create_connection, to judged addresses only."""
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, place in _judged(*address):
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(timeout)
        try:
            connection.connect(place)
            return connection
        except OSError as error:
            connection.close()
            failure = error
    raise failure


def _judged(host: str, port: int | None) -> list[Any]:
    """The addresses of `host`; UserError when one of them is not public."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, place in found:
        if not is_public(str(place[0])):
            raise UserError(
                f"{named(host)} is in the local network ({place[0]}): allow private addresses if you mean it "
                "(--allow-private)"
            )
    return found
