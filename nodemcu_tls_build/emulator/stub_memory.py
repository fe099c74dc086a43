"""How esptool's stubs take programs into RAM."""

from __future__ import annotations

from nodemcu_tls_build.emulator.bootloader_wire import DATA_HEADER, Refused, Request, StubError
from nodemcu_tls_build.emulator.target import Target


class MemoryUpload:
    """Store blocks one after the other; neither version looks at their checksums or numbers."""

    def __init__(self, target: Target, version: int) -> None:
        self._target = target
        self._version = version
        self._address: int | None = None  # of the next block, None: nothing is under way
        self._left = 0

    def begin(self, request: Request) -> None:
        """Start an upload, whatever is under way."""
        size, _, _, address = request.words(4, code=StubError.BAD_DATA_LEN)
        self._address = None
        self._target.start_upload(address, size)
        self._address, self._left = address, size

    def store(self, request: Request) -> None:
        """Store a block."""
        length = len(request.block)
        if len(request.data) < DATA_HEADER:
            raise Refused(StubError.NOT_ENOUGH_DATA)
        if self._address is None:
            raise Refused(StubError.NOT_IN_FLASH_MODE)
        if length > self._left or length != int.from_bytes(request.data[:4], "little"):
            raise Refused(StubError.TOO_MUCH_DATA)
        if self._version == 1 and length % 4:
            raise Refused(StubError.BAD_DATA_LEN)
        self._target.store(self._address, request.block)
        self._address += length
        self._left -= length

    def end(self, request: Request) -> int | None:
        """Return where the program starts that is to run, None when none is."""
        stays, entry = request.words(2, code=StubError.BAD_DATA_LEN)
        is_begun, self._address = self._address is not None, None
        if self._version == 1:
            left, self._left = self._left, 0
            if left:
                raise Refused(StubError.NOT_ENOUGH_DATA)
            return entry or None
        if not is_begun:
            raise Refused(StubError.NOT_IN_FLASH_MODE)
        return None if stays else entry
