"""Garage, one node: a store without versions, tags, locks or conditions."""

import os
import secrets
import shutil
from pathlib import Path

from harness import answers, free_ports, wait_until
from report import check
from stores.account import Account, away
from stores.process import Process, State, run, succeeds

READY_SECONDS = 30
INSTALL = Path(__file__).with_name("install-garage.sh")
CACHE = Path(__file__).resolve().parents[2] / "target" / "garage"
REGION = "us-east-1"

CONFIGURATION = """metadata_dir = "{folder}/meta"
data_dir = "{folder}/data"
db_engine = "lmdb"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc_port}"
rpc_public_addr = "127.0.0.1:{rpc_port}"
rpc_secret = "{rpc_secret}"
[s3_api]
s3_region = "{region}"
api_bind_addr = "127.0.0.1:{port}"
root_domain = ".s3.garage.localhost"
"""


class Garage:
    """Starts on entry, ends on exit."""

    name = "garage"

    def __init__(self):
        self.program = program()
        check(self.program, f"no garage: set GARAGE to the binary, or {INSTALL.name} builds it")
        self.state = None
        self.server = None

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.state = State(self.name)
        try:
            self.port, rpc_port = free_ports(2)
            self.file = self.state.folder / "garage.toml"
            self.file.write_text(CONFIGURATION.format(
                folder=self.state.folder, region=REGION, port=self.port, rpc_port=rpc_port,
                rpc_secret=secrets.token_hex(32)))
            self._start()
            node = self._garage("node", "id", "-q").partition("@")[0]
            self._garage("layout", "assign", "-z", "here", "-c", "20G", node)
            self._garage("layout", "apply", "--version", "1")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # Nothing is to survive, so it is not given the time to wait for its clients.
        if self.server is not None:
            self.stop_serving(kill=True)
        self.state.remove()

    def serve(self):
        """Starts the server again and waits until it answers."""
        self._start()

    def stop_serving(self, kill=False):
        """Ends the server, with SIGTERM or with `kill` at once; what is stored stays."""
        server, self.server = self.server, None
        if kill:
            server.kill()
        else:
            server.end()

    def away(self, kill=False):
        return away(self, kill)

    def account(self, apart=True):
        """A key; the buckets it makes are named for it alone, apart or not."""
        # The only form of keys it takes.
        access_key, secret = f"GK{secrets.token_hex(12)}", secrets.token_hex(32)
        self._garage("key", "import", "--yes", "-n", access_key, access_key, secret)
        self._garage("key", "allow", "--create-bucket", access_key)
        return Account(self.endpoint, access_key, secret, REGION)

    def _start(self):
        check(self.server is None, "garage serves already")
        self.server = Process([self.program, "-c", self.file, "server"], self.state.folder / "log",
                              {"RUST_LOG": "garage=info"})

        def ready():
            self.server.must_run()
            return answers(self.port, "/") is not None and succeeds(self.program, "-c", self.file, "status")

        wait_until(ready, READY_SECONDS, "garage answers")

    def _garage(self, *arguments):
        return run(self.program, "-c", self.file, *arguments)


def program():
    """The binary: what GARAGE names, the one built before, or one in PATH; None when there is none."""
    built = CACHE / "bin" / "garage"
    return os.environ.get("GARAGE") or (str(built) if built.exists() else shutil.which("garage"))
