"""`nodemcu-tls cert`: check certificates, make some for development, keep the roots needed."""

from __future__ import annotations

import click

from nodemcu_tls_build.commands.cert_check import check
from nodemcu_tls_build.commands.cert_minimise import minimise
from nodemcu_tls_build.commands.cert_new import new_ca, new_client, new_server


@click.group()
def cert() -> None:
    """Check certificates, make some for development, keep of a bundle what is needed."""


for command in (check, minimise, new_ca, new_server, new_client):
    cert.add_command(command)
