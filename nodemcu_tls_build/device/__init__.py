"""Real devices on serial ports: write, compare, read and erase their flash through esptool."""
