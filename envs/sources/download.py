"""Downloads: from one server, resumed where they were cut, checked, put in place in one move."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from io import BufferedRandom
from pathlib import Path
from queue import Empty, Queue
from time import monotonic, sleep
from typing import Any, NoReturn
from urllib.parse import urlsplit

import h5py

from envs import files
from envs.errors import InputError

NUM_TRIES = 5  # in a row that bring fewer than MIN_RATE bytes a second
TIMEOUT = 30.0  # seconds without a byte
BLOCK = 1 << 18  # bytes at most between two reports
MIN_RATE = 1000  # bytes a second, over any RATE_SECONDS of a connection
RATE_SECONDS = 60.0
# The bound where no size is published; the largest file of D4RL has half as many bytes.
MAX_BYTES = 1_000_000_000

_BOUND = f"the {MAX_BYTES:,} that are taken of a file whose size is not published"

Progress = Callable[[int, int], None]


class _Cut(Exception):
    """The connection ended, or never came about; what has come so far is good."""


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Redirects that stay on the server that was named."""

    def redirect_request(
        self,
        request: urllib.request.Request,
        response: Any,
        code: int,
        reason: str,
        headers: Any,
        address: str,
    ) -> urllib.request.Request | None:
        """The request for ``address``; an error status if another server or no encryption."""
        old, new = urlsplit(request.full_url), urlsplit(address)
        if new.hostname != old.hostname or new.scheme not in (old.scheme, "https"):
            reason = f"{reason}, to {new.scheme}://{new.netloc}"
            raise urllib.error.HTTPError(request.full_url, code, reason, headers, response)
        return super().redirect_request(request, response, code, reason, headers, address)


_OPENER = urllib.request.build_opener(_SameHost)


class Download:
    """One file from one address into one place.

    Beside ``target`` a file ``.<name>.part`` holds what has come so far; it outlives this process
    and is locked while one works on it.
    """

    def __init__(
        self,
        address: str,
        target: Path,
        *,
        num_bytes: int | None,
        sha256: str | None,
    ) -> None:
        """Prepare; ``num_bytes`` and ``sha256`` are the published ones, None where unknown.

        Args:
            address: ``http://``, ``https://`` or ``file://``.
            target: where the whole file will be.
            num_bytes: its size.
            sha256: its checksum in hexadecimal.
        """
        self._address, self._target = address, target
        self._num_bytes, self._sha256 = num_bytes, sha256
        self._partial = target.with_name(f".{target.name}.part")

    def run(self, progress: Progress) -> None:
        """Download, check, move into place.

        Args:
            progress: told (bytes so far, bytes in all or 0 where that is unknown).

        Raises:
            InputError: the server has no such file, serves another one, or cannot be reached; the
                message says which file to put where by hand.
        """
        with self._locked() as file:
            if file is None:
                return
            try:
                self._receive(file, progress)
            finally:
                if not file.seek(0, os.SEEK_END):
                    self._partial.unlink()  # nothing to go on with
            os.fsync(file.fileno())
            self._check(file)
            os.replace(self._partial, self._target)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[BufferedRandom | None]:
        """The part that has come so far, for this process alone; None if another just finished."""
        while True:
            try:
                file = os.fdopen(files.open_own(self._partial), "a+b")
            except OSError as error:
                reason = error.strerror
                raise InputError(f"cannot write to {self._target.parent}: {reason}") from None
            with file:
                files.acquire(file.fileno(), str(self._target))
                try:
                    ours = os.path.samestat(os.fstat(file.fileno()), self._partial.stat())
                except FileNotFoundError:
                    ours = False
                if ours or self._target.exists():
                    yield file if ours else None
                    return
            # Whoever had the lock threw away what had come: this file is no longer the one named.

    def _receive(self, file: BufferedRandom, progress: Progress) -> None:
        """Try until the file is whole; give up when nothing comes any more."""
        tries = 0
        while True:
            before = file.seek(0, os.SEEK_END)
            if before == self._num_bytes:
                return
            if self._num_bytes is not None and before > self._num_bytes:
                before = file.truncate(0)
            try:
                start = monotonic()
                self._receive_rest(file, before, progress)
            except _Cut as cut:
                received = file.seek(0, os.SEEK_END) - before
                useful = received > MIN_RATE * max(1.0, monotonic() - start)
                tries = 0 if useful else tries + 1
                if tries == NUM_TRIES:
                    file.flush()
                    self._fail(f"{self._address} cannot be reached ({cut})")
                sleep(2.0**tries / 2)
            else:
                return

    def _receive_rest(self, file: BufferedRandom, offset: int, progress: Progress) -> None:
        """One request for what lies behind ``offset``; returns when the file is whole."""
        request = urllib.request.Request(self._address)
        if offset:
            request.add_header("Range", f"bytes={offset}-")
        try:
            response = _open(request)
        except urllib.error.HTTPError as error:
            self._refused(error, file)
            return
        except (http.client.HTTPException, OSError) as error:  # URLError is an OSError
            if request.type == "file":  # which is there now or not at all
                self._fail(f"{self._address} cannot be read ({_cut(error)})")
            raise _cut(error) from None
        with response:
            if offset and response.status != http.HTTPStatus.PARTIAL_CONTENT:
                offset = file.truncate(0)  # the server cannot resume and starts again
            total = self._total(response, offset)
            rate = _Rate()
            while block := _read(response):
                file.write(block)
                offset += len(block)
                progress(offset, total or 0)
                if total is not None and offset > total:
                    file.truncate(0)
                    self._fail(f"{self._address} sends more than {total:,} bytes")
                if total is None and offset > MAX_BYTES:
                    file.truncate(0)
                    self._fail(f"{self._address} sends more than {_BOUND}")
                if rate.is_low(len(block)):
                    file.flush()
                    self._fail(
                        f"{self._address} sends fewer than {MIN_RATE:,} bytes a second; the "
                        f"{offset:,} bytes that came are kept: run the same command to go on"
                    )
        if total is not None and offset < total:
            raise _Cut(f"the connection ended at byte {offset:,} of {total:,}")

    def _total(self, response: Any, offset: int) -> int | None:
        """Bytes of the whole file as published, which the server must agree with, or as it says."""
        if response.headers.get_content_type() == "text/html":
            self._fail(f"{self._address} answers with a web page instead of the file")
        said = response.headers.get("Content-Length")
        total = offset + int(said) if said is not None and said.isdigit() else None
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            given = response.headers.get("Content-Range", "")
            if not given.startswith(f"bytes {offset}-"):
                self._fail(f"{self._address} was asked for byte {offset:,} on and sends {given!r}")
        if self._num_bytes is not None and total not in (None, self._num_bytes):
            self._fail(
                f"{self._address} serves {total:,} bytes, the published file has "
                f"{self._num_bytes:,}: it is another file"
            )
        if self._num_bytes is None and total is not None and total > MAX_BYTES:
            self._fail(f"{self._address} has {total:,} bytes, more than {_BOUND}")
        return self._num_bytes if self._num_bytes is not None else total

    def _refused(self, error: urllib.error.HTTPError, file: BufferedRandom) -> None:
        """Raise what an error status calls for; returns if the file turns out to be whole."""
        with error:
            size = file.seek(0, os.SEEK_END)
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and size:
                # Nothing lies behind what is here: either that was all, or it is of another file.
                if error.headers.get("Content-Range") == f"bytes */{size}" and not self._num_bytes:
                    return
                file.truncate(0)
                raise _Cut("the partial file did not fit; starting again")
            reason = f"{error.code} {error.reason}"
            if error.code >= 500 or error.code == http.HTTPStatus.TOO_MANY_REQUESTS:
                raise _Cut(reason)
            self._fail(f"{self._address} answers {reason}")

    def _check(self, file: BufferedRandom) -> None:
        """Compare with the published checksum; throw away what is wrong, so that it is not kept."""
        file.seek(0)  # which writes what is still in memory
        if self._sha256 is None:
            try:
                h5py.File(self._partial, "r", locking=False).close()
            except OSError:
                wrong = "sends what is no whole HDF5 file"
            else:
                return
        else:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found == self._sha256:
                return
            wrong = f"sends a file of SHA-256 {found[:8]}..., published is {self._sha256[:8]}..."
        with contextlib.suppress(OSError):
            self._partial.unlink()
        self._fail(f"{self._address} {wrong}; nothing was kept")

    def _fail(self, reason: str) -> NoReturn:
        raise InputError(
            f"{reason}; name another server with --mirror, or put the file at {self._target}"
        )


def address_below(mirror: str, path: str) -> str:
    """The address of ``path`` on the server ``mirror``.

    Raises:
        InputError: ``mirror`` is no address.
    """
    if not mirror.startswith(("http://", "https://", "file://")):
        raise InputError(f"mirror {mirror!r} does not begin with http://, https:// or file://")
    try:
        urlsplit(mirror)
        mirror.encode("ascii")
    except ValueError as error:  # UnicodeEncodeError is one
        raise InputError(f"mirror {mirror!r} is no address: {error}") from None
    return f"{mirror.rstrip('/')}/{path}"


class _Rate:
    """True if a connection is too slow to be waited for."""

    def __init__(self) -> None:
        """Start to measure."""
        self._since, self._received = monotonic(), 0

    def is_low(self, num_bytes: int) -> bool:
        """Add ``num_bytes`` that have just come; looked at each ``RATE_SECONDS``."""
        self._received += num_bytes
        seconds = monotonic() - self._since
        if seconds < RATE_SECONDS:
            return False
        low = self._received < MIN_RATE * seconds
        self._since, self._received = monotonic(), 0
        return low


def _open(request: urllib.request.Request) -> Any:
    """The server's answer with its headers, which must come within ``RATE_SECONDS``.

    In a thread of its own, because a timeout of the connection starts again with every byte.
    """
    answers: Queue[Any] = Queue()

    def ask() -> None:
        try:
            answers.put(_OPENER.open(request, timeout=TIMEOUT))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=RATE_SECONDS)
    except Empty:
        raise TimeoutError(f"no answer within {RATE_SECONDS:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _read(response: Any) -> bytes:
    """The bytes that are there, at least one; empty at the end."""
    try:
        block: bytes = response.read1(BLOCK)
    except (http.client.HTTPException, OSError) as error:
        raise _cut(error) from None
    return block


def _cut(error: BaseException) -> _Cut:
    """The end of a connection in words."""
    reason = getattr(error, "reason", error)
    return _Cut(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__)
