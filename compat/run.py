"""The compatibility lane: a real binary, real clients, and real stores behind it when asked. Exit code 1 when anything
failed."""

import argparse
import random
import sys

import badinput
import two_copies
import crash
import flow
import flow_remote
import harness
import races
import races_direct
import races_remote
import rebuild
import segments
import semantics
import stores
import transparency
import vault
from report import Report

KILLS = {False: 10, True: 50}
ROUNDS = {False: 50, True: 1000}
# Of each kind: a deed in a bucket against a migration, a restore or a lapse.
ROUNDS_REMOTE = {False: 20, True: 1000}
LARGE_BYTES = {False: segments.SHORT, True: segments.LONG}


def main():
    parser = harness.arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--long", action="store_true", help="many more kills and races")
    parser.add_argument("--store", choices=stores.KINDS, action="append", default=[],
                        help="also with this store behind; may be repeated (default: none)")
    options = parser.parse_args()
    seed = options.seed or random.randrange(1 << 32)
    report = Report()
    for mode in harness.MODES:
        flow.run(report, options.binary, mode, seed)
        semantics.run(report, options.binary, mode)
    badinput.run(report, options.binary)
    vault.run(report, options.binary, seed)
    two_copies.run(report, options.binary)
    segments.run(report, options.binary, LARGE_BYTES[options.long], seed)
    for mode in harness.MODES:
        rebuild.run(report, options.binary, mode, seed)
        crash.run(report, options.binary, mode, KILLS[options.long], seed)
        races.run(report, options.binary, mode, ROUNDS[options.long], seed)
    races_direct.run(report, options.binary, ROUNDS_REMOTE[options.long], seed)
    for name in options.store:
        report.scenario(f"store/{name}", lambda: with_store(report, options, name, seed))
    sys.exit(report.end())


def with_store(report, options, name, seed):
    """Everything that is tried with a store of others behind; one store, and accounts of their own in it."""
    with stores.KINDS[name]() as store:
        if options.long:
            transparency.prove(report, store)
        transparency.run(report, options.binary, store)
        semantics.run(report, options.binary, name, store)
        flow_remote.run(report, options.binary, store, seed)
        races_remote.run(report, options.binary, store, ROUNDS_REMOTE[options.long], seed)


if __name__ == "__main__":
    main()
