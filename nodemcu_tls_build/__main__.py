"""Run the command as `python -m nodemcu_tls_build`."""

from nodemcu_tls_build.cli import main

if __name__ == "__main__":
    main()
