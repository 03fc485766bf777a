"""Who talks to a store: an endpoint and a pair of keys, for clients and for a gateway's configuration."""

import contextlib
from dataclasses import dataclass
from urllib.parse import urlsplit

import boto3
from botocore.config import Config


@dataclass(frozen=True)
class Account:
    """Keys of a store. Bucket names of one account are no other's."""

    endpoint: str
    access_key: str
    secret: str
    region: str

    @property
    def port(self):
        return urlsplit(self.endpoint).port

    def s3(self, retries=0, read_timeout=60):
        """A boto3 client that sends no checksums a store of years ago would not know."""
        config = Config(
            region_name=self.region,
            s3={"addressing_style": "path"},
            signature_version="s3v4",
            retries={"total_max_attempts": retries + 1, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=64,
            connect_timeout=5,
            read_timeout=read_timeout,
        )
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret,
            config=config,
        )


def settings(account, managed=(), exclusive=True):
    """Sections of a gateway's configuration: this account's store behind it, `managed` the buckets it may migrate."""
    return {
        "store": {
            "kind": "remote",
            "endpoint": account.endpoint,
            "region": account.region,
            "access_key_id": account.access_key,
            "secret_access_key": account.secret,
            "addressing": "path",
        },
        "bucket": {name: {"managed": True, "exclusive": exclusive} for name in managed},
    }


@contextlib.contextmanager
def away(store, kill=False):
    """Nobody answers at the store's endpoint within the block; what it holds is there again after it. With `kill` it
    goes in the middle of whatever it does."""
    store.stop_serving(kill)
    try:
        yield
    finally:
        store.serve()
