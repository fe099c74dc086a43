"""Certificates: read them from files and check that the firmware can use them."""

from nodemcu_tls_build.certs.ca_file import CaBundle, check_ca_fits, load_ca_file

__all__ = ["CaBundle", "check_ca_fits", "load_ca_file"]
