"""Steps that passed or failed, one line each, and what a check raises."""

import contextlib
import threading
import time
import traceback


class Failed(Exception):
    """Something is not as promised."""


def check(holds, text):
    """Raises `Failed(text)` unless `holds`."""
    if not holds:
        raise Failed(text)


def same(what, seen, expected):
    """Raises unless `seen` is exactly `expected`."""
    check(seen == expected, f"{what}: expected {expected!r}, saw {seen!r}")


class Report:
    """Counts steps; prints a line for each that ended. Usable from several threads."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def step(self, name):
        """A step: passes when the block ends, fails and raises on when it raises."""
        began = time.monotonic()
        try:
            yield
        except Exception:
            with self._lock:
                self.failed += 1
            print(f"FAILED  {name} ({time.monotonic() - began:.1f} s)", flush=True)
            raise
        with self._lock:
            self.passed += 1
        print(f"passed  {name} ({time.monotonic() - began:.1f} s)", flush=True)

    def skip(self, name, reason):
        """Notes what was not tried, and why."""
        self.skipped += 1
        print(f"skipped {name}: {reason}", flush=True)

    def scenario(self, name, run):
        """Runs steps that depend on each other; the first that fails ends them, not the program."""
        failed_before = self.failed
        try:
            run()
        except Exception:
            traceback.print_exc()
            if self.failed == failed_before:
                self.failed += 1
                print(f"FAILED  {name}", flush=True)

    def end(self):
        """Prints the sum; gives the exit code."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{skipped}", flush=True)
        return 1 if self.failed else 0
