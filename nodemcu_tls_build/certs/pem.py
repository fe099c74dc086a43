"""Split a PEM text into its blocks (RFC 7468), whatever text stands between them."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,62})-----")
_ONE_LINE = re.compile(r"^(-----BEGIN [A-Z0-9 ]+-----)([^-\n]*)(-----END [A-Z0-9 ]+-----)", re.M)
_END = re.compile(r"-----END ([A-Z0-9][A-Z0-9 ]{0,62})-----")


@dataclass(frozen=True)
class PemBlock:
    """One block: its label, the line it begins in, and its bytes or why there are none."""

    label: str
    line: int
    data: bytes = b""
    fault: str | None = None


def split_pem(text: str) -> list[PemBlock]:
    """Return the blocks of the text in order, the damaged ones with their fault.

    A private key is never decoded: its block has a label and no bytes.
    """
    blocks: list[PemBlock] = []
    label, start, body = "", 0, list[str]()
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if not line.startswith("-----" if label else ("-----BEGIN", "-----END")):
            body.append(line)
            continue
        begin = _BEGIN.fullmatch(line)
        if label:
            blocks.append(_close_block(label, start, body, line))
        elif begin is None:
            blocks.append(PemBlock("", number, fault=_explain_boundary(line)))
        label, start, body = (begin[1], number, []) if begin else ("", 0, [])
    if label:
        blocks.append(PemBlock(label, start, fault="has no END line"))
    return blocks


def lay_out(text: str) -> str:
    """Return a PEM text with lines as they have to be, whatever system and form it is from."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _ONE_LINE.sub(lambda found: "\n".join([found[1], *found[2].split(), found[3]]), text)


def _close_block(label: str, start: int, body: list[str], line: str) -> PemBlock:
    end = _END.fullmatch(line)
    if end is None and line.startswith(f"-----END {label}-----"):
        return PemBlock(label, start, fault="has something behind its END line")
    if end is None or end[1] != label:
        return PemBlock(label, start, fault="has no END line")
    if label.endswith("PRIVATE KEY"):
        return PemBlock(label, start)
    text = "".join(body)
    if not text:
        return PemBlock(label, start, fault="is empty")
    try:
        if len(text) % 4:  # which a2b_base64 forgives behind padding
            raise binascii.Error
        return PemBlock(label, start, binascii.a2b_base64(text, strict_mode=True))
    except ValueError:  # binascii.Error, or not ASCII
        return PemBlock(label, start, fault="is not base64")


def _explain_boundary(line: str) -> str:
    return "END line without a BEGIN line" if _END.fullmatch(line) else "damaged BEGIN or END line"
