"""Tape libraries that others wrote, started for a test and ended with it.

`Tgt` is Debian's SCSI target with its virtual tape library, on the loopback; `guest` boots the stock Debian kernel with
such a library behind its own drivers (sg, st, ch).
"""

from libraries.tgt import Tgt

__all__ = ["Tgt"]
