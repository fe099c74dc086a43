"""Find the pinned third-party sources, check them and unpack them into the user's cache."""

from nodemcu_tls_build.sources.find import SourceTree, default_cache_dir, find_source
from nodemcu_tls_build.sources.lock import AptOrigin, Archive, Lock, PipOrigin, Source, load_lock

__all__ = [
    "AptOrigin",
    "Archive",
    "Lock",
    "PipOrigin",
    "Source",
    "SourceTree",
    "default_cache_dir",
    "find_source",
    "load_lock",
]
