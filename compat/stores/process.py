"""The processes of a store: each with its log, each ended by its own id."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from report import Failed, check

END_SECONDS = 20
COMMAND_SECONDS = 60
LOG_TAIL_LINES = 30


class Process:
    """A daemon that runs in the foreground."""

    def __init__(self, command, log, environment=None):
        self.log = Path(log)
        with open(self.log, "ab") as out:
            # A session of its own: an interrupt at the terminal reaches the test, which ends its stores in order.
            self.child = subprocess.Popen(
                [str(each) for each in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | (environment or {}),
                start_new_session=True,
            )

    def must_run(self):
        """Fails when the process has ended, with the end of what it said."""
        if self.child.poll() is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
            raise Failed("\n".join([f"{self.child.args[0]} ended with {self.child.returncode}:", *lines]))

    def end(self):
        """Asks the process to end, and makes it end when it does not."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        """kill -9."""
        self.child.kill()
        self.child.wait()


class State:
    """A folder that goes when the store does."""

    def __init__(self, name):
        self.folder = Path(tempfile.mkdtemp(prefix=f"tapegate-{name}-"))

    def remove(self):
        if os.environ.get("TAPEGATE_COMPAT_KEEP"):
            print(f"kept: {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def run(*command, text=None):
    """What a command printed; fails unless it exits 0 in time."""
    done = subprocess.run([str(each) for each in command], input=text, capture_output=True, text=True,
                          timeout=COMMAND_SECONDS)
    check(done.returncode == 0, f"{command[0]} exits with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def succeeds(*command):
    """True when a command exits 0 in time."""
    try:
        return subprocess.run([str(each) for each in command], capture_output=True, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False
