"""A cartridge as a directory of small files: one for each block, filemark and attribute.

`P_B_R` is a block, `P_B_F` a filemark (empty), `P_B_E` the end of data (empty); P is the SCSI partition, B counts blocks and filemarks
from 0. `attr_P_HEX` is an attribute of cartridge memory as READ ATTRIBUTE gives it: identifier (2), format (1), length (2), value.
"""

import os
import re

RECORD = re.compile(r"([01])_(0|[1-9][0-9]*)_([RFE])")
ATTRIBUTE = re.compile(r"attr_([01])_([1-9a-f][0-9a-f]{0,3})")
# Settings of the program that made this form popular, not part of the tape.
FOREIGN = {"filedebug_tc_conf.xml"}


class Violation(Exception):
    """Something the standard forbids, after which reading on has no sense."""


class Cartridge:
    """Both partitions and the cartridge memory."""

    def __init__(self, folder):
        kinds = ({}, {})
        self.folder = folder
        self.attributes = ({}, {})
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if match := RECORD.fullmatch(name):
                number = int(match[2])
                if number in kinds[int(match[1])]:
                    raise Violation(f"{name}: block {number} is there twice, as two kinds of record")
                kinds[int(match[1])][number] = match[3]
                empty = os.path.getsize(path) == 0
                if empty != (match[3] != "R"):
                    raise Violation(f"{name}: {'no bytes in a block' if empty else 'bytes in a mark'}")
            elif match := ATTRIBUTE.fullmatch(name):
                self.attributes[int(match[1])][int(match[2], 16)] = _attribute(path, int(match[2], 16))
            elif name not in FOREIGN:
                raise Violation(f"{name}: no file of a cartridge")
        self.partitions = tuple(Partition(folder, number, kinds[number]) for number in (0, 1))


class Partition:
    """The records of one partition: `kinds` has a letter for each, R for a block and F for a filemark."""

    def __init__(self, folder, number, kinds):
        self.folder = folder
        self.number = number
        self.end = len(kinds) - 1  # the number of the end of data
        if sorted(kinds) != list(range(len(kinds))):
            raise Violation(f"partition {number}: block numbers have gaps")
        if not kinds or kinds[self.end] != "E" or list(kinds.values()).count("E") != 1:
            raise Violation(f"partition {number}: the end of data is missing, or not at the end")
        self.kinds = "".join(kinds[at] for at in range(self.end))
        self.touched = set()

    def block(self, at):
        """The bytes of a block."""
        if at >= self.end or self.kinds[at] != "R":
            raise Violation(f"partition {self.number}: no block at {at}")
        self.touched.add(at)
        with open(self._path(at), "rb") as file:
            return file.read()

    def size(self, at):
        """The length of a block."""
        return os.path.getsize(self._path(at))

    def run(self, at):
        """Where the blocks that begin at `at` end: the next filemark, or the end of data."""
        end = self.kinds.find("F", at)
        return self.end if end < 0 else end

    def _path(self, at):
        return os.path.join(self.folder, f"{self.number}_{at}_R")


def _attribute(path, identifier):
    with open(path, "rb") as file:
        data = file.read()
    stated = int.from_bytes(data[:2], "big"), int.from_bytes(data[3:5], "big")
    if len(data) < 5 or stated != (identifier, len(data) - 5):
        raise Violation(f"{os.path.basename(path)}: identifier or length in its header is wrong")
    return data[2] & 0x03, data[5:]
