"""The serial console of a device, and what a crash on it means."""
