"""Requests to a store, as data: `CASES`, to be sent in order to a store on which none of `BUCKETS` is there yet."""

from corpus import buckets, ending, listings, multipart, objects
from corpus.case import BUCKETS, Case, fill

CASES = buckets.CASES + objects.CASES + listings.CASES + multipart.CASES + ending.CASES

__all__ = ["BUCKETS", "CASES", "Case", "fill"]
