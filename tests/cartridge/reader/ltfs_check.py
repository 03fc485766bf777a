"""What must hold between the parts of an LTFS volume: labels, indexes, extents, cartridge memory.

Flow: labels -> every index construct of both partitions -> the newest one and its back pointers -> its extents -> coherency.
After a crash the index partition may be old or torn, cartridge memory may be behind, and blocks may follow the last index. Once a
later mount has made that good, the torn blocks are still there, listed by no index: the report names them and its reader judges.
"""

from ltfs_volume import Coherency, Index, check_attributes, open_cartridge
from tape_files import Violation


class Volume:
    """A volume that was read as far as it could be; `faults` says what is wrong with it."""

    def __init__(self, folder, after_crash=False):
        self.after_crash = after_crash
        self.faults = []
        self.torn = []  # what begins as an index and is none: remains of a crash, unless something else is wrong too
        self.cartridge, labels = open_cartridge(folder)
        self.index_partition, self.data = self.cartridge.partitions
        self.label = labels[1]
        self._check_labels(labels)
        self.indexes = self._indexes(self.data)
        if not self.indexes:
            raise Violation("the data partition has no index")
        self.index = self.indexes[-1]
        self._check_chain()
        for index in self.indexes:
            self._check_files(index)
        self.unlisted = self._unlisted()
        self.tail = self.data.end - (self.index.end + 1)
        if self.tail and not after_crash:
            self._fault(f"{self.tail} records after the last index of the data partition")
        self.copy = self._check_index_partition()
        self._check_memory()

    def _fault(self, text):
        self.faults.append(text)

    # === labels ===

    def _check_labels(self, labels):
        if labels[0].common() != labels[1].common():
            self._fault(f"the labels differ: {labels[0].common()} and {labels[1].common()}")
        for number, role in ((0, "index"), (1, "data")):
            if labels[number].letters[labels[number].own] != role:
                self._fault(f"partition {number} says that it is not the {role} partition")
        self.letters = {letter: self.cartridge.partitions[role == "data"] for letter, role in self.label.letters.items()}
        self.letter_of = {partition.number: letter for letter, partition in self.letters.items()}

    # === indexes ===

    def _indexes(self, partition):
        """Every complete index of a partition: what stands between two filemarks, begins as XML, and is of this volume."""
        found, at = [], 4
        if partition.end > 4 and partition.kinds[4] != "F":
            self._fault(f"partition {partition.number}: no filemark after the labels' own")
        while (mark := partition.kinds.find("F", at)) >= 0:
            at, end = mark + 1, partition.run(mark + 1)
            if end == at or not partition.block(at).startswith(b"<?xml"):
                continue
            try:
                index = Index(partition, at, end)
            except Violation as violation:
                self.torn.append(str(violation))
                continue
            if end == partition.end:
                self.torn.append(f"{index.where}: no filemark closes it")
                continue
            found.append(index)
            self._check_index(index)
        return found

    def _check_index(self, index):
        partition = index.partition
        if index.uuid != self.label.uuid:
            self._fault(f"{index.where}: it is of volume {index.uuid}")
        if index.location != (self.letter_of[partition.number], index.at):
            self._fault(f"{index.where}: it says it is at {index.location}")
        if any(length != self.label.block_bytes for length in index.block_lengths[:-1]) \
                or index.block_lengths[-1] > self.label.block_bytes:
            self._fault(f"{index.where}: blocks of {index.block_lengths} bytes")
        if index.time < self.label.time:
            self._fault(f"{index.where}: it is older than the label")

    def _check_chain(self):
        """Generations count from 1, each index points back to the one before it, and no fileuid changes hands."""
        letter = self.letter_of[1]
        first = self.indexes[0]
        if first.generation != 1 or first.at != 5 or first.previous is not None:
            self._fault(f"{first.where}: the first index has generation {first.generation} and points to {first.previous}")
        for older, newer in zip(self.indexes, self.indexes[1:]):
            if newer.generation != older.generation + 1:
                self._fault(f"{newer.where}: generation {newer.generation} follows {older.generation}")
            if newer.previous != (letter, older.at):
                self._fault(f"{newer.where}: points back to {newer.previous}, not to block {older.at}")
            if newer.time < older.time:
                self._fault(f"{newer.where}: it is older than the one before it")
            if newer.highest < older.highest:
                self._fault(f"{newer.where}: highestfileuid went down")
            for uid, path in newer.uids.items():
                if older.uids.get(uid, path) != path or (uid not in older.uids and uid <= max(older.uids)):
                    self._fault(f"{newer.where}: fileuid {uid} of {path} was used before")

    # === extents ===

    def _check_files(self, index):
        taken = {}
        for file in index.files.values():
            position = 0
            for extent in file.extents:
                self._check_extent(index, file, extent, position, taken)
                position = extent[0] + extent[4]
            if position > file.length:
                self._fault(f"{index.where}: {file.path}: extents go beyond its length of {file.length}")

    def _check_extent(self, index, file, extent, position, taken):
        offset, letter, start, skip, count = extent
        where = f"{index.where}: {file.path}: extent {extent}"
        partition = self.letters.get(letter)
        if partition is None or offset < position or count == 0 or skip >= self.label.block_bytes:
            self._fault(f"{where}: partition, offset or count is wrong")
            return
        blocks = -(-(skip + count) // self.label.block_bytes)
        if "F" in partition.kinds[start:start + blocks] or start < 4 or start + blocks > partition.end:
            self._fault(f"{where}: a filemark, a label or the end of data where its {blocks} blocks should be")
            return
        if partition is index.partition and start + blocks > index.at:
            self._fault(f"{where}: behind the index that lists it")
        sizes = [partition.size(block) for block in range(start, start + blocks)]
        if any(size != self.label.block_bytes for size in sizes[:-1]):
            self._fault(f"{where}: a short block that is not the last")
        left = skip + count - (blocks - 1) * self.label.block_bytes
        if not left <= sizes[-1] <= self.label.block_bytes:
            self._fault(f"{where}: its last block has {sizes[-1]} bytes, {left} are asked for")
        for block in range(start, start + blocks):
            other = taken.setdefault((letter, block), file.path)
            if other != file.path:
                self._fault(f"{where}: block {block} is also that of {other}")

    def _unlisted(self):
        """Ranges of the data partition, up to the last index, that hold neither labels, nor an index, nor a file's blocks."""
        used = set(range(5))
        for index in self.indexes:
            used.update(range(index.at - 1, index.end + 1))
        for file in self.index.files.values():
            for _, letter, start, skip, count in file.extents:
                if self.letters.get(letter) is self.data:
                    used.update(range(start, start + -(-(skip + count) // self.label.block_bytes)))
        ranges = []
        for block in range(self.index.end + 1):
            if block in used:
                continue
            if ranges and ranges[-1][1] == block:
                ranges[-1][1] = block + 1
            else:
                ranges.append([block, block + 1])
        return ranges

    # === the copy in the index partition, and cartridge memory ===

    def _check_index_partition(self):
        found = self._indexes(self.index_partition)
        whole = len(found) == 1 and found[0].at == 5 and found[0].end + 1 == self.index_partition.end
        if not whole:
            if not self.after_crash:
                self._fault("the index partition holds something else than one index at block 5")
            return found[-1] if found else None
        copy = found[0]
        of = {index.generation: index for index in self.indexes}.get(copy.generation)
        if of is None:
            self._fault(f"{copy.where}: generation {copy.generation} is not in the data partition")
        elif copy.previous != (self.letter_of[1], of.at) or copy.essence != of.essence:
            self._fault(f"{copy.where}: it is no copy of the index of its generation in the data partition")
        if not self.after_crash and copy.generation != self.index.generation:
            self._fault(f"{copy.where}: generation {copy.generation}, the data partition has {self.index.generation}")
        return copy

    def _check_memory(self):
        self.faults.extend(check_attributes(self.cartridge, self.label, self.index))
        newest = {0: self.copy, 1: self.index}
        for number in (0, 1):
            try:
                coherency = Coherency(self.cartridge, number)
            except Violation as violation:
                self._fault(str(violation))
                continue
            if coherency.uuid != self.label.uuid:
                self._fault(f"attribute 080c of partition {number}: volume {coherency.uuid}")
            index = newest[number]
            fits = index is not None and (coherency.generation, coherency.block) == (index.generation, index.at)
            if not self.after_crash and not (coherency.current and fits):
                self._fault(
                    f"attribute 080c of partition {number}: generation {coherency.generation} at block {coherency.block}, "
                    f"{'current' if coherency.current else 'out of date'}"
                )
            # What is out of date after a crash is known to be; what claims to be current must not lie.
            if self.after_crash and coherency.current and not fits:
                self._fault(f"attribute 080c of partition {number}: current, and not what is on tape")

    # === bytes ===

    def read(self, file, offset=0, count=None):
        """Bytes of a file; holes are zeros. Only the blocks that are needed are read."""
        end = file.length if count is None else min(file.length, offset + count)
        data = bytearray(max(0, end - offset))
        for position, letter, start, skip, length in file.extents:
            first, last = max(offset, position), min(end, position + length)
            while first < last:
                block, inside = divmod(skip + first - position, self.label.block_bytes)
                piece = self.letters[letter].block(start + block)[inside:][:last - first]
                if not piece:
                    raise Violation(f"{file.path}: block {start + block} is too short")
                data[first - offset:first - offset + len(piece)] = piece
                first += len(piece)
        return bytes(data)
