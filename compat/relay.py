"""Something in front of a store that hands every byte on, or makes one answer another: what a comparison must see."""

import contextlib
import socket
import socketserver
import threading


class Relay(socketserver.ThreadingTCPServer):
    """Listens on a free port of the loopback. `doctor(request line, bytes)` gives what is handed on of an answer."""

    allow_reuse_address = True
    daemon_threads = True
    # A connection that nobody closes does not keep the program.
    block_on_close = False

    def __init__(self, port, doctor=None):
        super().__init__(("127.0.0.1", 0), Connection)
        self.port = self.server_address[1]
        self.behind = ("127.0.0.1", port)
        self.doctor = doctor or (lambda _, data: data)


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        self.line = b""
        with socket.create_connection(self.server.behind) as behind:
            for each in (self.request, behind):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            up = threading.Thread(target=self.hand_up, args=(behind,), daemon=True)
            up.start()
            with contextlib.suppress(OSError):
                while data := behind.recv(1 << 16):
                    self.request.sendall(self.server.doctor(self.line, data))
            with contextlib.suppress(OSError):
                self.request.shutdown(socket.SHUT_RDWR)

    def hand_up(self, behind):
        with contextlib.suppress(OSError):
            while data := self.request.recv(1 << 16):
                first = data.partition(b"\r\n")[0]
                if first.endswith(b" HTTP/1.1"):
                    self.line = first
                behind.sendall(data)
            behind.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(port, doctor=None):
    """The port of a relay to `port`, for as long as the block lasts."""
    with Relay(port, doctor) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.port
        finally:
            server.shutdown()
            thread.join()
