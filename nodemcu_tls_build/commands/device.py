"""`nodemcu-tls device`."""

import click


@click.group()
def device() -> None:
    """Look at a device, save its flash, put it back or erase it."""
