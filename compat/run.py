"""The compatibility lane: a real binary, real clients. Exit code 1 when anything failed."""

import argparse
import sys

import badinput
import crash
import flow
import harness
import races
from report import Report

KILLS = {False: 10, True: 50}
ROUNDS = {False: 50, True: 1000}


def main():
    parser = harness.arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--long", action="store_true", help="many more kills and races")
    options = parser.parse_args()
    seed = harness.seed_of(options)
    report = Report()
    for mode in harness.MODES:
        flow.run(report, options.binary, mode, seed)
    badinput.run(report, options.binary)
    for mode in harness.MODES:
        crash.run(report, options.binary, mode, KILLS[options.long], seed)
        races.run(report, options.binary, mode, ROUNDS[options.long], seed)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
