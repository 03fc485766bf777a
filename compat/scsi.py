"""The drivers against libraries that others wrote: over iSCSI to Debian's tgt, and through /dev/sg* in a guest with the
stock Debian kernel, beside mtx, mt, sg3-utils, GNU tar and dd. By hand:

    cargo build -p scsi-conformance --features iscsi
    target/venv/bin/python compat/scsi.py --suite target/debug/scsi-conformance [--gateway target/release/tapegate]
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile

from libraries import Tgt, guest
from libraries.tgt import TARGET
from report import Failed, Report, check

SUITE_SECONDS = 120
GUEST_SECONDS = 420
# What the guest runs beside the suite.
TOOLS = ["mtx", "mt-st", "lsscsi", "sg_inq", "tar", "dd"]
ENDED = "the guest has ended"


def over_iscsi(report, suite):
    """The suite over iSCSI; a step for the whole, whose cases are named when it fails."""
    with report.step("scsi/iscsi: conformance"), Tgt() as library:
        command = [suite, "suite", "iscsi", library.description, library.portal, TARGET]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=SUITE_SECONDS)
        check(done.returncode == 0, f"{done.stdout}{done.stderr}")
        check(re.search(r"^\d+ cases passed$", done.stdout, re.MULTILINE), done.stdout)


def in_guest(report, suite, gateway, cache):
    """The suite through /dev/sg*, the cross-checks with tools of others, and the gateway itself; a step for each."""
    with Tgt() as library, tempfile.TemporaryDirectory(prefix="tapegate-guest-") as folder:
        with report.step("scsi/guest: boot"):
            programs = {"scsi-conformance": suite} | {tool: shutil.which(tool) for tool in TOOLS}
            if gateway:
                programs["tapegate"] = gateway
            console = guest.boot(guest.Kernel(cache), library, folder, programs, GUEST_SECONDS)
            check(ENDED in console, f"the guest did not come to its end:\n{console[-4000:]}")
    for verdict, name, said in re.findall(r"^(passed|FAILED) (\w+)$(.*?)(?=^passed|^FAILED|\Z)", console,
                                          re.MULTILINE | re.DOTALL):
        with report.step(f"scsi/guest: {name}"):
            if verdict == "FAILED":
                raise Failed(said)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", required=True, help="the program scsi-conformance, built with --features iscsi")
    parser.add_argument("--gateway", help="the program tapegate, to be tried in the guest too")
    parser.add_argument("--cache", default="target/kernel", help="where the guest's kernel is kept (default: %(default)s)")
    options = parser.parse_args()
    report = Report()
    report.scenario("scsi/iscsi", lambda: over_iscsi(report, options.suite))
    report.scenario("scsi/guest", lambda: in_guest(report, options.suite, options.gateway, options.cache))
    sys.exit(report.end())


if __name__ == "__main__":
    main()
