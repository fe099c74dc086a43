from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serve what is in `bodies` on the loopback; a body ends early where `sent` says so."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.sent: dict[str, int] = {}
        self.stall = threading.Event()
        self.stall.set()  # cleared: a body that ends early is followed by silence, not by an end
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = server.bodies.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: server.sent.get(self.path, len(body))])
                self.wfile.flush()
                server.stall.wait()

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._http.server_port}{path}"

    def close(self) -> None:
        self.stall.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
