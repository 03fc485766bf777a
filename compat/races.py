"""Clients against the migration and the restore of the same keys: the acknowledged write always wins.

A batch puts objects under a rule, does something to each at a random moment of their way to tape, and looks: every
key must give exactly what was acknowledged last, from tape too. Then the same while they are being restored.
"""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

import harness
from harness import MODES, body, in_threads, listing, md5, past_date_rule, restored, wait_until
from report import check, same

BUCKET = "races"
DONORS = "donors"
# Many keys in a batch, so that much is under way at once.
BATCH = 50
THREADS = 16
DAYS = 30
STUCK_SECONDS = 120
PART_BYTES = 40_000
# The longest a batch's deeds are spread over; migration and restore of a batch happen within.
SPREAD_SECONDS = {"migration": 4.0, "restore": 1.5}


class Races:
    """The clients and what was acknowledged to them."""

    def __init__(self, server, seed):
        self.s3 = server.s3()
        self.random = random.Random(seed)
        # By key: the bytes acknowledged last; absent after a delete. A key is only ever used by one thread at a time.
        self.contents = {}
        self.made = 0
        self.refused = 0
        self.lock = threading.Lock()
        # One long part serves every upload: what races is the completion.
        self.part = self.random.randbytes(PART_BYTES)
        self.deeds = {
            "overwrite": self.overwrite,
            "delete": self.delete,
            "copy from": self.copy_from,
            "copy over": self.copy_over,
            "multipart complete": self.complete,
        }
        for bucket in (BUCKET, DONORS):
            self.s3.create_bucket(Bucket=bucket)
        harness.put_rule(self.s3, BUCKET, past_date_rule())
        self.donor = b"donor" * 1000
        self.s3.put_object(Bucket=DONORS, Key="donor", Body=self.donor)

    # --- what clients do; each returns once acknowledged, and the model follows ---

    def acknowledged(self, call, **arguments):
        """The answer of a mutation; told to slow down, the client asks again."""
        deadline = time.monotonic() + STUCK_SECONDS
        while True:
            try:
                return call(**arguments)
            except ClientError as error:
                if error.response["Error"]["Code"] != "SlowDown" or time.monotonic() > deadline:
                    raise
                with self.lock:
                    self.refused += 1

    def put(self, key, data):
        answer = self.acknowledged(self.s3.put_object, Bucket=BUCKET, Key=key, Body=data)
        same(f"ETag of {key}", answer["ETag"], f'"{md5(data)}"')
        self.contents[key] = data

    def overwrite(self, key, _):
        self.put(key, fresh(key, "overwritten"))

    def delete(self, key, _):
        self.acknowledged(self.s3.delete_object, Bucket=BUCKET, Key=key)
        self.contents.pop(key)

    def copy_from(self, key, _):
        """A copy of what is under way: either its exact bytes, or a refusal because it is archived."""
        target = f"{key}-copy"
        try:
            source = {"Bucket": BUCKET, "Key": key}
            self.acknowledged(self.s3.copy_object, Bucket=DONORS, Key=target, CopySource=source)
        except ClientError as error:
            same(f"copy of {key}", error.response["Error"]["Code"], "InvalidObjectState")
            return
        check(body(self.s3, DONORS, target) == self.contents[key], f"a copy of {key} has other bytes")

    def copy_over(self, key, _):
        source = {"Bucket": DONORS, "Key": "donor"}
        self.acknowledged(self.s3.copy_object, Bucket=BUCKET, Key=key, CopySource=source)
        self.contents[key] = self.donor

    def complete(self, key, upload):
        number, parts = upload
        self.acknowledged(
            self.s3.complete_multipart_upload,
            Bucket=BUCKET,
            Key=key,
            UploadId=number,
            MultipartUpload={"Parts": parts},
        )
        self.contents[key] = self.part

    def prepare(self, key):
        """An upload ready to be completed."""
        upload = self.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        part = self.s3.upload_part(
            Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=self.part)
        return upload, [{"PartNumber": 1, "ETag": part["ETag"]}]

    # --- a batch ---

    def batch(self, rounds):
        """`rounds` keys of every deed, once against migration and once against restore."""
        self.made += 1
        plan = [(f"batch-{self.made}/{name}/{number}".replace(" ", "-"), name)
                for name in self.deeds for number in range(rounds)]
        self.random.shuffle(plan)
        uploads = dict(zip([key for key, _ in plan], in_threads(
            lambda each: self.prepare(each[0]) if each[1] == "multipart complete" else None, plan, THREADS)))
        in_threads(lambda each: self.put(each[0], fresh(each[0], "first")), plan, THREADS)
        self.disturb(plan, uploads, SPREAD_SECONDS["migration"])
        self.settle()
        self.read_all()
        # Against restore: everything is archived again first, and the deleted are there again.
        for key, name in plan:
            if name == "multipart complete":
                uploads[key] = self.prepare(key)
            self.put(key, fresh(key, "second"))
        self.settle()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.restore_those_there, [key for key, _ in plan])
            self.disturb(plan, uploads, SPREAD_SECONDS["restore"])
            asked.result()
        self.settle()
        self.read_all()
        self.clear()

    def disturb(self, plan, uploads, spread_seconds):
        """Every deed of the plan at its random moment, and a look right after it."""
        began = time.monotonic()
        moments = sorted((self.random.uniform(0, spread_seconds), *each) for each in plan)

        def act(moment):
            at, key, name = moment
            time.sleep(max(0.0, began + at - time.monotonic()))
            self.deeds[name](key, uploads[key])
            self.look(key)

        in_threads(act, moments, THREADS)

    def look(self, key):
        """What a client sees right after its write was acknowledged."""
        expected = self.contents.get(key)
        try:
            head = self.s3.head_object(Bucket=BUCKET, Key=key)
        except ClientError as error:
            check(expected is None, f"HEAD of {key} after the acknowledgement: {error}")
            return
        check(expected is not None, f"{key} is there after its delete")
        same(f"size of {key} after the acknowledgement", head["ContentLength"], len(expected))
        try:
            data = body(self.s3, BUCKET, key)
        except ClientError as error:
            same(f"GET of {key}", error.response["Error"]["Code"], "InvalidObjectState")
            return
        check(data == expected, f"other bytes of {key} right after the acknowledgement")

    def restore_those_there(self, keys):
        """Asks for everything; whatever was deleted or replaced meanwhile may refuse."""

        def ask(key):
            try:
                harness.restore(self.s3, BUCKET, key, DAYS)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                check(code in ("NoSuchKey", "InvalidObjectState", "RestoreAlreadyInProgress", "SlowDown"),
                      f"restore of {key}: {error}")

        in_threads(ask, keys, THREADS)

    def settle(self):
        """Everything acknowledged is listed as it was written, and gets archived."""

        def settled():
            entries = listing(self.s3, BUCKET)
            same("keys", set(entries), set(self.contents))
            for key, data in self.contents.items():
                same(f"size of {key}", entries[key][0], len(data))
            return all(entry[3] == "GLACIER" for entry in entries.values())

        wait_until(settled, STUCK_SECONDS, "everything is archived")

    def read_all(self):
        """Restores and reads every key: exactly what was acknowledged."""
        self.restore_those_there(list(self.contents))

        def read(key):
            wait_until(lambda: self.readable(key), STUCK_SECONDS, f"{key} is restored")
            check(body(self.s3, BUCKET, key) == self.contents[key], f"other bytes of {key} from tape")

        in_threads(read, list(self.contents), THREADS)

    def readable(self, key):
        if restored(self.s3, BUCKET, key):
            return True
        self.restore_those_there([key])
        return False

    def clear(self):
        keys = list(self.contents)
        for first in range(0, len(keys), 1000):
            several = [{"Key": key} for key in keys[first : first + 1000]]
            answer = self.acknowledged(self.s3.delete_objects, Bucket=BUCKET, Delete={"Objects": several})
            check("Errors" not in answer, f"errors: {answer.get('Errors')}")
        self.contents.clear()
        same("keys left", listing(self.s3, BUCKET), {})


def fresh(key, which):
    """Bytes no other write has."""
    return f"{which} {key} ".encode() * 400


def run(report, binary, mode, rounds, seed):

    def scenario():
        with harness.server(binary, store={"pretend_remote": MODES[mode]}) as server:
            races = Races(server, seed)
            left = rounds
            while left > 0:
                now = min(left, BATCH)
                with report.step(f"races/{mode}: {now} rounds of each kind"):
                    races.batch(now)
                left -= now
            print(f"        {races.refused} mutations were told to slow down", flush=True)

    report.scenario(f"races/{mode}", scenario)


if __name__ == "__main__":
    harness.main_by_mode(__doc__, run, rounds=50)
