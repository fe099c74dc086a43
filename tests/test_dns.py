"""Name resolution against a real DNS server, in a network of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from emulated import NODEMCU_TLS

_SCRIPT = """
net.dns.resolve("host.example", function(_, known)
  net.dns.resolve("nothing.example", function(_, unknown)
    print("resolved", known, unknown)
    local socket = net.createConnection()
    socket:on("dns", function(_, ip) print("dns", ip) end)
    socket:on("reconnection", function(_, reason) print("failed", reason) end)
    socket:connect(80, "nothing.example")
  end)
end)
"""

# The emulator's network asks the first server in resolv.conf, always on port 53: here nobody else
# can have that port, nor can a query leave the machine.
_IN_OWN_NETWORK = """
ip link set lo up
mount --bind "$1/resolv.conf" /etc/resolv.conf
dnsmasq --no-daemon --no-resolv --no-hosts --listen-address=127.0.0.1 --bind-interfaces \
    --address=/host.example/192.0.2.7 --local=/example/ --pid-file= 2> "$1/dnsmasq.log" &
server=$!
trap 'kill $server' EXIT
for _ in $(seq 100); do
    grep -q 'using only locally-known' "$1/dnsmasq.log" && break
    sleep 0.05
done
shift
"$@"
"""


def test_names_are_resolved_by_the_network_s_dns_server(firmware: Path, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    script_path = tmp_path / "dns.lua"
    script_path.write_text(_SCRIPT)
    run = [*NODEMCU_TLS, "run", str(firmware), "--script", str(script_path), "--timeout", "60"]
    command = ["unshare", "--map-root-user", "--net", "--mount", "sh", "-euc", _IN_OWN_NETWORK]
    result = subprocess.run(
        [*command, "sh", str(tmp_path), *run],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )

    assert (result.returncode, result.stdout.splitlines(), result.stderr) == (
        0,
        [
            "resolved\t192.0.2.7\tnil",
            "dns\tnil",
            "failed\thost name could not be resolved",
        ],
        "",
    )
