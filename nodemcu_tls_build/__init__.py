"""Build, check and flash ESP8266 firmware with TLS in it."""
