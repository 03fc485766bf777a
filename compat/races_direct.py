"""Writers who go round the gateway, on a store whose compare-and-set is proven: none of their writes is lost.

The bucket is not exclusive. Its objects are written and deleted on the store itself while the gateway replaces them by
stubs, and while what is archived is restored. What was acknowledged last, by either, is what the gateway archives and
gives back.
"""

import argparse
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

import harness
import stores
from harness import body, in_threads, listing, md5, past_date_rule, restored, wait_until
from report import Report, check, same
from stores.moto import Moto

BUCKET = "direct-writers"
DEEDS = ("put", "delete")
RESERVED = "tapegate"
STUB_BYTES = 1531
BATCH = 50
THREADS = 8
DAYS = 100
STUCK_SECONDS = 300
# Objects nobody writes to again: from the first stub to the last it takes a while, and the writes are spread over it.
BALLAST = 300
SPREAD_SECONDS = {"migrate": 1.5, "restore": 2.0}


class Direct:
    """The gateway's client, the one that goes round it, and what was acknowledged to them."""

    def __init__(self, server, account, seed):
        self.s3, self.direct = server.s3(retries=2), account.s3()
        self.random = random.Random(seed)
        self.batches = 0
        self.contents = {}
        # Writes that found a stub, and writes that came before it: both are to happen.
        self.over_stubs = self.before_stubs = 0
        self.s3.create_bucket(Bucket=BUCKET)

    def batch(self, rounds):
        """`rounds` writes and deletes each, against migration and then against restore."""
        self.batches += 1
        plan = [(f"{self.batches}/{against}/{deed}/{number}", deed, against, self.random.random())
                for deed in DEEDS for against in ("migrate", "restore") for number in range(rounds)]
        self.random.shuffle(plan)
        kinds = {kind: [each for each in plan if each[2] == kind] for kind in ("migrate", "restore")}
        more = [f"{self.batches}/ballast/{number}" for number in range(BALLAST)]
        keys = [*(each[0] for each in plan), *more]
        self.random.shuffle(keys)
        in_threads(lambda key: self.put(key, "first"), keys, THREADS)
        harness.put_rule(self.s3, BUCKET, past_date_rule())
        wait_until(self.any_stub, STUCK_SECONDS, "the first stub stands")
        self.disturb(kinds["migrate"], SPREAD_SECONDS["migrate"])
        self.settle()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(in_threads, self.restore, [each[0] for each in kinds["restore"]], THREADS)
            self.disturb(kinds["restore"], SPREAD_SECONDS["restore"])
            asked.result()
        self.settle()
        in_threads(self.read_back, [each[0] for each in plan if each[0] in self.contents], THREADS)
        self.clear()

    def disturb(self, rounds, seconds):
        began = time.monotonic()

        def act(each):
            key, deed, _, moment = each
            time.sleep(max(0.0, began + moment * seconds - time.monotonic()))
            if self.is_stub(key):
                self.over_stubs += 1
            else:
                self.before_stubs += 1
            if deed == "put":
                self.put(key, "second")
            else:
                self.direct.delete_object(Bucket=BUCKET, Key=key)
                self.contents.pop(key)
            self.look(key)

        in_threads(act, sorted(rounds, key=lambda each: each[3]), THREADS)

    def put(self, key, which):
        data = f"{which} {key} ".encode() * 300
        answer = self.direct.put_object(Bucket=BUCKET, Key=key, Body=data)
        same(f"ETag of {key}", answer["ETag"], f'"{md5(data)}"')
        self.contents[key] = data

    def look(self, key):
        """What the gateway's clients see right after."""
        expected = self.contents.get(key)
        try:
            head = self.s3.head_object(Bucket=BUCKET, Key=key)
        except ClientError as error:
            check(expected is None and error.response["Error"]["Code"] == "404", f"HEAD of {key}: {error}")
            return
        check(expected is not None, f"{key} is there after its delete")
        same(f"{key} right after", (head["ContentLength"], head["ETag"]), (len(expected), f'"{md5(expected)}"'))

    def is_stub(self, key):
        return RESERVED in self.direct.head_object(Bucket=BUCKET, Key=key)["Metadata"]

    def any_stub(self):
        # As the store lists it, which costs less time than the gateway's look at what is just changing.
        return any(each["Size"] == STUB_BYTES for each in self.direct.list_objects_v2(Bucket=BUCKET)["Contents"])

    def settle(self):
        """Exactly what was acknowledged is listed, and gets archived."""

        def settled():
            entries = listing(self.s3, BUCKET)
            same("keys", sorted(entries), sorted(self.contents))
            for key, data in self.contents.items():
                same(f"entry of {key}", entries[key][:2], (len(data), f'"{md5(data)}"'))
            return all(entry[3] == "GLACIER" for entry in entries.values())

        wait_until(settled, STUCK_SECONDS, "everything is archived")

    def restore(self, key):
        try:
            harness.restore(self.s3, BUCKET, key, DAYS)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            check(code in ("NoSuchKey", "InvalidObjectState", "RestoreAlreadyInProgress"), f"restore of {key}: {error}")

    def read_back(self, key):
        self.restore(key)
        wait_until(lambda: restored(self.s3, BUCKET, key), STUCK_SECONDS, f"{key} is restored")
        check(body(self.s3, BUCKET, key) == self.contents[key], f"other bytes of {key} from tape")

    def clear(self):
        self.s3.delete_bucket_lifecycle(Bucket=BUCKET)
        in_threads(lambda key: self.direct.delete_object(Bucket=BUCKET, Key=key), list(self.contents), THREADS)
        self.contents.clear()
        same("keys left", listing(self.s3, BUCKET), {})


def run(report, binary, rounds, seed):

    def scenario():
        with Moto() as store:
            account = store.account()
            sections = stores.settings(account, [BUCKET], exclusive=False)
            with harness.server(binary, **sections) as server:
                races = Direct(server, account, seed)
                left = rounds
                while left > 0:
                    now = min(left, BATCH)
                    with report.step(f"races/direct writers: {now} rounds of each kind"):
                        races.batch(now)
                    left -= now
                print(f"        {races.before_stubs} writes came before the stub, {races.over_stubs} after", flush=True)

    report.scenario("races/direct writers", scenario)


def main():
    parser = harness.arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    seed, report = harness.seed_of(options), Report()
    run(report, options.binary, options.rounds, seed)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
