"""A store asked directly and asked through the gateway says the same: every request of the corpus, in order, on both.

`--proof` shows that the comparison sees: a relay that hands on every byte must make no difference, and one that
changes three answers must make exactly those three.
"""

import argparse
import contextlib
import secrets
import sys
import time

import harness
import stores
from compare import Difference, differences
from corpus import CASES
from corpus.listed import allows, listed, strangers
from relay import relay
from report import Report, check, same
from side import Side

DISTINCT_MIN = 200
# What the gateway manages while it is compared: nothing of it is archived, so nothing may show.
MANAGED = ("main", "other", "versions", "public")
# What the name of a bucket begins with that the gateway keeps to itself.
RESERVED = b"tapegate-reserved-"


class Comparison:
    """What came of one run of the corpus."""

    def __init__(self, store):
        self.listed = listed(store)
        self.compared = 0
        self.granted = 0
        self.found = []
        self.excused = []
        self.unused = []

    def run(self, sides, cases=CASES):
        """Asks both sides one case after the other."""
        for case in cases:
            answers = harness.in_threads(lambda side: side.ask(case), sides, threads=2)
            self.judge(case, answers, differences(case, sides, answers))
            self.compared += 1
            self.granted += answers[0].status is not None and answers[0].status < 400
        for side in sides:
            side.close()
        return self

    def judge(self, case, answers, found):
        if RESERVED in answers[1].body:
            self.found.append(Difference(case.name, "the reserved bucket", ("", answers[1].text())))
        entry = self.listed.get(case.name)
        if entry is None:
            self.found += found
            return
        excused = [each for each in found if allows(entry, each.part)]
        self.excused += excused
        self.found += [each for each in found if each not in excused]
        if not excused:
            self.unused.append(case.name)
        said = (answers[1].status, answers[1].code())
        if excused and entry.answer not in (None, said):
            self.found.append(Difference(case.name, "what the gateway was to say", (entry.answer, said)))

    def tell(self):
        """Prints everything found; gives one line. A store that refuses most of it compares nothing."""
        for each in self.found:
            print(f"DIFFERS {each}", flush=True)
        for name in self.unused:
            print(f"listed, but the same: {name}", flush=True)
        check(self.granted >= DISTINCT_MIN, f"the store grants only {self.granted} of {self.compared} requests")
        return (f"{self.compared} requests compared, {self.granted} of them granted: {len(self.found)} differences, "
                f"{len(self.excused)} listed ones")


def distinct(cases):
    """How many of the requests are unlike each other."""
    return len({(each.method, each.path, each.query, repr(each.headers), each.body, each.auth, each.chunks, each.waits)
                for each in cases})


def prefixes():
    """Of two sides, of one length, and new each time: accounts that are not apart share the names of buckets."""
    run = secrets.token_hex(3)
    return f"twin-{run}-a-", f"twin-{run}-b-"


def direct(account, prefix):
    return Side("direct", account.port, (account.access_key, account.secret), account.region, prefix)


@contextlib.contextmanager
def through_gateway(binary, account, prefix):
    """A side that asks the gateway in front of `account`."""
    settings = stores.settings(account, managed=[prefix + name for name in MANAGED])
    with harness.server(binary, **settings) as server:
        yield Side("gateway", server.port, (harness.ACCESS_KEY, harness.SECRET_KEY), harness.REGION, prefix)


def run(report, binary, store):
    """The corpus on `store`, directly and through `binary`."""

    def scenario():
        with report.step(f"transparency/{store.name}: {distinct(CASES)} distinct requests"):
            same("listed names without a case", strangers(), [])
            check(distinct(CASES) >= DISTINCT_MIN, f"only {distinct(CASES)} distinct requests")
            one, other = prefixes()
            with through_gateway(binary, store.account(apart=False), other) as gateway:
                comparison = Comparison(store.name).run((direct(store.account(apart=False), one), gateway))
            print(comparison.tell(), flush=True)
            same("differences that are not listed", len(comparison.found), 0)

    report.scenario(f"transparency/{store.name}", scenario)


def prove(report, store):
    """The comparison itself: blind to nothing, and to no difference where there is none."""

    def compared(doctored):
        first, second = store.account(apart=False), store.account(apart=False)
        one, other = prefixes()

        def doctor(line, data):
            old, new = doctored.get(line.replace(other.encode(), b""), (b"", b""))
            return data.replace(old, new) if old else data

        with relay(second.port, doctor) as port:
            relayed = Side("relay", port, (second.access_key, second.secret), second.region, other)
            comparison = Comparison(store.name)
            comparison.listed = {}
            comparison.run((direct(first, one), relayed))
        print(comparison.tell(), flush=True)
        return [(each.case, each.part) for each in comparison.found]

    def scenario():
        with report.step(f"transparency/{store.name}: a relay makes no difference"):
            same("differences", compared({}), [])
        with report.step(f"transparency/{store.name}: changed answers are seen"):
            same("differences", compared(DOCTORED), list(SEEN))

    report.scenario(f"transparency/{store.name}", scenario)


# By request line, without the prefix: bytes of the answer and what they become.
DOCTORED = {
    b"GET /main/absent HTTP/1.1": (b"HTTP/1.1 404 Not Found", b"HTTP/1.1 410 Not Found"),
    b"GET /main/presigned HTTP/1.1": (b"text/x-mine", b"text/x-mime"),
    b"GET /main?list-type=2 HTTP/1.1": (b"</Size>", b"</size>"),
}
SEEN = (
    ("get absent", "status"),
    ("get of what was presigned", "header content-type"),
    ("list, V2, with everything", "body"),
    ("what is left", "body"),
)


def main():
    parser = harness.arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    parser.add_argument("--store", choices=stores.KINDS, default="ceph")
    parser.add_argument("--proof", action="store_true", help="tries the comparison, not the gateway")
    options = parser.parse_args()
    report = Report()
    began = time.monotonic()
    with stores.KINDS[options.store]() as store:
        print(f"{options.store} is there after {time.monotonic() - began:.1f} s", flush=True)
        if options.proof:
            prove(report, store)
        else:
            run(report, options.binary, store)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
