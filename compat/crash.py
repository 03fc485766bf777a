"""kill -9 at random moments while objects go in, to tape and back: afterwards everything acknowledged holds."""

import random
import threading
import time

from botocore.exceptions import BotoCoreError, ClientError

import harness
from flow import put_multipart, tape_contents
from harness import MIB, MODES, body, in_threads, listing, md5, past_date_rule, restored, status_of, wait_until
from report import Failed, check, same

BUCKET = "crash"
KEYS = 24
DAYS = 30
STUCK_SECONDS = 90
# A kill comes between these many seconds after the server was ready: the start itself is hit too.
KILL_SECONDS = (0.0, 4.0)


class Client:
    """Does one thing at a time until it is acknowledged, and remembers what was."""

    def __init__(self, server, seed):
        self.server = server
        self.s3 = server.s3(read_timeout=20)
        self.random = random.Random(seed)
        # By key: (bytes, ETag, LastModified) of what was acknowledged last.
        self.contents = {}
        self.generation = 0

    def insist(self, call, what):
        """Repeats `call` until it is answered: no answer and 5xx are no answer."""
        deadline = time.monotonic() + STUCK_SECONDS
        while True:
            try:
                return call()
            except (ClientError, BotoCoreError, OSError) as error:
                status = status_of(error)
                if status is not None and status < 500:
                    raise
                if time.monotonic() > deadline:
                    raise Failed(f"stuck for {STUCK_SECONDS} s: {what}: {error}") from error
                time.sleep(harness.POLL_SECONDS)

    def put(self, key, data):
        call = lambda: self.s3.put_object(Bucket=BUCKET, Key=key, Body=data)
        same(f"ETag of {key}", self.insist(call, f"PUT {key}")["ETag"], f'"{md5(data)}"')
        self.note(key, data)

    def put_in_parts(self, key, data):
        self.insist(lambda: put_multipart(self.s3, BUCKET, key, data), f"multipart {key}")
        self.note(key, data)

    def note(self, key, data):
        head = self.insist(lambda: self.s3.head_object(Bucket=BUCKET, Key=key), f"HEAD {key}")
        same(f"size of {key}", head["ContentLength"], len(data))
        self.contents[key] = (data, head["ETag"], head["LastModified"])

    def delete(self, key):
        self.insist(lambda: self.s3.delete_object(Bucket=BUCKET, Key=key), f"DELETE {key}")
        self.contents.pop(key, None)

    def archive_all(self):
        """Waits until the listing is exactly what was acknowledged, all of it archived."""

        def archived():
            entries = self.insist(lambda: listing(self.s3, BUCKET), "the listing")
            self.compare(entries)
            return all(entry[3] == "GLACIER" for entry in entries.values())

        wait_until(archived, STUCK_SECONDS, "every object is archived")

    def compare(self, entries):
        same("keys", set(entries), set(self.contents))
        for key, (data, etag, modified) in self.contents.items():
            same(f"entry of {key}", entries[key][:3], (len(data), etag, modified))

    def restore_all(self):
        def ask(key):
            def call():
                try:
                    return harness.restore(self.s3, BUCKET, key, DAYS)
                except ClientError as error:
                    # An earlier request whose answer was lost.
                    if error.response["Error"]["Code"] == "RestoreAlreadyInProgress":
                        return 202
                    raise

            self.insist(call, f"restore {key}")

        in_threads(ask, list(self.contents), threads=4)
        for key in self.contents:
            wait_until(
                lambda: self.insist(lambda: restored(self.s3, BUCKET, key), f"HEAD {key}"),
                STUCK_SECONDS,
                f"{key} is restored",
            )

    def read_all(self):
        for key, (data, etag, _) in self.contents.items():
            check(self.insist(lambda: body(self.s3, BUCKET, key, IfMatch=etag), f"GET {key}") == data,
                  f"other bytes of {key}")

    def go_round(self):
        """New objects, some old ones replaced or deleted; to tape, back, compared."""
        self.generation += 1
        sizes = (0, 10, 1531, 5000, 70_000, 400_000)
        for number in range(KEYS):
            data = self.random.randbytes(self.random.choice(sizes))
            self.put(f"generation-{self.generation}/object-{number}", data)
        self.put_in_parts(f"generation-{self.generation}/parts", self.random.randbytes(5 * MIB + 77))
        old = [key for key in self.contents if key.startswith(f"generation-{self.generation - 1}/")]
        for key in old[::3]:
            self.put(key, self.random.randbytes(3000))
        for key in old[1::3]:
            self.delete(key)
        self.archive_all()
        self.restore_all()
        self.read_all()
        # Older ones have done their duty; what is kept small keeps a round short.
        for key in [key for key in self.contents if key in old]:
            self.delete(key)


def killer(server, rounds, source, done, problems):
    """Kills and restarts the server `rounds` times, then says so."""
    try:
        for _ in range(rounds):
            time.sleep(source.uniform(*KILL_SECONDS))
            server.kill()
            server.start()
    except BaseException as error:
        problems.append(error)
    finally:
        done.set()


def run(report, binary, mode, rounds, seed):
    testing = {"day_seconds": 3600, "lifecycle_interval_seconds": 1, "grace_seconds": 0}

    def scenario():
        with harness.server(binary, store={"pretend_remote": MODES[mode]}, testing=testing) as server:
            client = Client(server, seed)
            client.s3.create_bucket(Bucket=BUCKET)
            harness.put_rule(client.s3, BUCKET, past_date_rule())
            with report.step(f"crash/{mode}: killed {rounds} times"):
                survive(server, client, rounds, seed)
            with report.step(f"crash/{mode}: another round without kills"):
                client.go_round()
            with report.step(f"crash/{mode}: the cartridges alone give everything"):
                server.stop()
                on_tape = tape_contents(server)
                for key, (data, _, _) in client.contents.items():
                    same(f"{key} on tape", on_tape.get((BUCKET, key)), md5(data))

    report.scenario(f"crash/{mode}", scenario)


def survive(server, client, rounds, seed):
    """Goes round until the last kill has happened, and ends that round without one."""
    done, problems = threading.Event(), []
    kills = threading.Thread(target=killer, args=(server, rounds, random.Random(seed + 1), done, problems))
    kills.start()
    try:
        client.go_round()
        while not done.is_set():
            client.go_round()
    finally:
        kills.join()
    check(not problems, f"the server did not come back: {problems}")
    print(f"        {client.generation} rounds of objects meanwhile", flush=True)


if __name__ == "__main__":
    harness.main_by_mode(__doc__, run, rounds=20)
