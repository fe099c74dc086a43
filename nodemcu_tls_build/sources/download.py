"""Download a file from upstream."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path

from nodemcu_tls_build.errors import SourceError
from nodemcu_tls_build.files import explain_write_error
from nodemcu_tls_build.sources.lock import Unavailable

_TIMEOUT = 30  # seconds without a byte
_CHUNK = 1 << 16
_MAX_SIZE = 64 << 20  # bytes: no pinned archive comes near it, and a disk is not filled by mistake


def download_file(url: str, name: str, directory: Path) -> Path:
    """Download `url` to the file `name` in `directory` and return its path.

    Raises Unavailable when the server cannot be reached or does not send the whole file. What
    it sent is not checked here.
    """
    path = directory / name
    try:
        # load_lock admits https alone.
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310
            _save(response, path)
    except urllib.error.HTTPError as error:
        raise Unavailable(f"the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        reason = error.reason.strerror if isinstance(error.reason, OSError) else error.reason
        raise Unavailable(f"cannot be reached: {reason or error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"the download broke off: {error or type(error).__name__}") from error
    return path


def _save(response: http.client.HTTPResponse, path: Path) -> None:
    expected = response.length  # None when the server does not say
    size = 0
    try:
        file = path.open("wb")
    except OSError as error:
        raise explain_write_error(path, error) from error
    with file:
        while chunk := response.read(_CHUNK):
            size += len(chunk)
            if size > _MAX_SIZE:
                raise SourceError(f"{response.url} is larger than {_MAX_SIZE} bytes")
            try:
                file.write(chunk)
            except OSError as error:
                raise explain_write_error(path, error) from error
    if expected is not None and size != expected:
        raise Unavailable(f"the download broke off after {size} of {expected} bytes")
