"""moto's S3 in memory: the store here whose conditional PUT is a compare-and-set. It checks no signatures, so that
nothing about identities is tried on it."""

import sys
from pathlib import Path

from harness import answers, free_ports, wait_until
from stores.account import Account
from stores.process import Process, State

READY_SECONDS = 60
REGION = "us-east-1"


class Moto:
    """Starts on entry, ends on exit."""

    name = "moto"

    def __init__(self):
        self.state = None
        self.server = None

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.state = State(self.name)
        try:
            (self.port,) = free_ports(1)
            program = Path(sys.executable).with_name("moto_server")
            self.server = Process([program, "-H", "127.0.0.1", "-p", self.port], self.state.folder / "log")
            wait_until(self._ready, READY_SECONDS, "moto answers")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.server is not None:
            self.server.kill()
        self.state.remove()

    def account(self):
        """The one account there is."""
        return Account(self.endpoint, "MOTO", "anything", REGION)

    def _ready(self):
        self.server.must_run()
        return answers(self.port, "/") is not None
