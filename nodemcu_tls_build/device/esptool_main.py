"""Be esptool's command line, in a process of its own, with this package's kinds of ports."""

from __future__ import annotations

import runpy

import serial

from nodemcu_tls_build.device import serial_urls

if __name__ == "__main__":
    serial.protocol_handler_packages.insert(0, serial_urls.__name__)
    runpy.run_module("esptool", run_name="__main__", alter_sys=True)
