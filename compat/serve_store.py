"""A store of others, by hand: starts it, prints how to reach it, ends it at an interrupt."""

import argparse
import signal
import sys
import time

import stores


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", choices=stores.KINDS, nargs="?", default="ceph")
    options = parser.parse_args()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: sys.exit())
    began = time.monotonic()
    with stores.KINDS[options.store]() as store:
        account = store.account()
        print(f"# {options.store}, ready after {time.monotonic() - began:.1f} s")
        print(f"export AWS_ENDPOINT_URL={account.endpoint} AWS_DEFAULT_REGION={account.region}")
        print(f"export AWS_ACCESS_KEY_ID={account.access_key} AWS_SECRET_ACCESS_KEY={account.secret}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
