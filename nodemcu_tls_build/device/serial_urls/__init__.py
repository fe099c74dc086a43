"""Kinds of URLs of serial ports, in the form that pyserial looks for: `protocol_KIND`."""
