"""Packs, read by what tapelib/volume/FORMAT.md says and nothing else.

Two ways: `check` reads everything (zstd and Python's tarfile do the work) and compares every digest, name and offset;
`member` finds one member through trailer, seek table and manifest and reads no frame it does not need.
"""

import io
import json
import re
import struct
import subprocess
import tarfile

from blake3_plain import blake3
from tape_files import Violation

TRAILER, SEEK_TABLE, ZSTD, SEEKABLE = 0x184D2A5B, 0x184D2A5E, 0xFD2FB528, 0x8F92EAB1
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MIB = 1 << 20
ATTRIBUTE = "SCHILY.xattr.user.tapegate."


class Pack:
    """Trailer and seek table of a pack; `read(offset, count)` gives bytes of its file, which has `length`."""

    def __init__(self, read, length):
        self.file, self.length = read, length
        frames, descriptor, magic = struct.unpack("<IBI", read(length - 9, 9))
        require(magic == SEEKABLE and descriptor == 0 and 0 < frames <= 1 << 20, "the footer of the seek table")
        table_bytes = 8 + 8 * frames + 9
        table_at = length - table_bytes
        trailer_at = table_at - 168
        table, trailer = read(table_at, table_bytes), read(trailer_at, 168)
        require(struct.unpack_from("<II", table) == (SEEK_TABLE, table_bytes - 8), "the header of the seek table")
        self._trailer(trailer, frames, table)
        self.frames = []  # (offset in the file, its length, offset in the plaintext, its length)
        at = plain = 0
        for compressed, expanded in struct.iter_unpack("<II", table[8:-9]):
            require(1 <= expanded <= 64 * MIB, "a frame of the seek table")
            self.frames.append((at, compressed, plain, expanded))
            at, plain = at + compressed, plain + expanded
        require(at == trailer_at and plain == self.plain_bytes, "the sums of the seek table")

    def _trailer(self, trailer, frames, table):
        head = struct.unpack_from("<II8sHHI", trailer)
        require(head[:5] == (TRAILER, 160, b"tapegate", 1, 0) and head[5] <= 100_000, "the trailer's first fields")
        self.members = head[5]
        self.id = ulid(trailer[24:40])
        fields = struct.unpack_from("<QQQII", trailer, 40)
        self.plain_bytes, self.manifest_at, self.manifest_bytes, stated, zero = fields
        require(self.plain_bytes <= 1 << 50 and (stated, zero) == (frames, 0), "the trailer's sizes")
        require(self.manifest_bytes <= 128 * MIB, "the size of the manifest")
        self.manifest_digest = trailer[72:104]
        require(blake3(table) == trailer[104:136], "the digest of the seek table")
        require(blake3(trailer[:136]) == trailer[136:], "the digest of the trailer")

    def plain(self, offset, count):
        """Bytes of the plaintext, from the frames that hold them."""
        found = b""
        wanted = [frame for frame in self.frames if frame[2] < offset + count and frame[2] + frame[3] > offset]
        for at, compressed, _, expanded in wanted:
            data = self.file(at, compressed)
            check_frame(data, expanded)
            piece = expand(data)
            require(len(piece) == expanded, "the length of a frame")
            found += piece
        first = offset - wanted[0][2] if wanted else 0
        require(len(found) >= first + count, "a place in the plaintext")
        return found[first:first + count]

    def manifest(self):
        """The lines of the manifest that describe members."""
        text = self.plain(self.manifest_at, self.manifest_bytes)
        require(blake3(text) == self.manifest_digest, "the digest of the manifest")
        return self.parse_manifest(text)

    def parse_manifest(self, text):
        """Members in the text of a manifest."""
        require(text.endswith(b"\n"), "the last line of the manifest")
        lines = [json.loads(line) for line in text.decode().split("\n")[:-1]]
        require(lines[0] == {"tapegate_manifest": 1, "pack": self.id}, "the first line of the manifest")
        require(lines[-1] == {"members": self.members} and len(lines) == self.members + 2, "the members of the manifest")
        return lines[1:-1]

    def member(self, identifier):
        """The bytes of one member, checked, and its manifest line."""
        line = next((line for line in self.manifest() if line["id"] == identifier), None)
        require(line is not None, f"a member {identifier}")
        data = self.plain(line["offset"], line["length"]) if line["length"] else b""
        require(blake3(data).hex() == line["digest"], f"the digest of {identifier}")
        return data, line

    def check(self, manifest_file):
        """Everything: frames, tar, names, records, digests, and the manifest beside the pack. Returns the manifest's lines
        with the name of each member."""
        whole = self.file(0, self.length)
        for at, compressed, _, expanded in self.frames:
            check_frame(whole[at:at + compressed], expanded)
        plain = expand(whole)
        require(len(plain) == self.plain_bytes, "the length of the plaintext")
        text = plain[self.manifest_at:self.manifest_at + self.manifest_bytes]
        require(blake3(text) == self.manifest_digest, "the digest of the manifest")
        check_frame(manifest_file, None)
        require(expand(manifest_file) == text, "the manifest beside the pack")
        lines = self.parse_manifest(text)
        archive = tarfile.open(fileobj=io.BytesIO(plain), mode="r:", encoding="utf-8", errors="strict")
        members = archive.getmembers()
        require(archive.pax_headers == {"comment": f"tapegate pack 1 {self.id}"}, "the global header")
        require(len(members) == len(lines) + 1, "the members of the tar")
        for line, member in zip(lines, members):
            self._check_member(line, member, plain)
        last = members[-1]
        require(last.name == f"manifest~{self.id}.jsonl", "the name of the manifest")
        require(last.pax_headers[ATTRIBUTE + "manifest"] == self.id, "the record of the manifest")
        require((last.offset_data, last.size) == (self.manifest_at, self.manifest_bytes), "the place of the manifest")
        end = last.offset_data + -(-last.size // 512) * 512
        require(plain[end:] == bytes(1024), "the two blocks of zeros at the end")
        return [dict(line, name=member.name) for line, member in zip(lines, members)]

    def _check_member(self, line, member, plain):
        where, records = f"member {line['id']}", member.pax_headers
        require(ULID.fullmatch(line["id"]) and records[ATTRIBUTE + "id"] == line["id"], where)
        require(member.isreg() and (member.offset_data, member.size) == (line["offset"], line["length"]), f"{where}: its place")
        record = json.loads(records[ATTRIBUTE + "record"])
        require("key" not in record, f"{where}: its record has a key")
        key = records[ATTRIBUTE + "key"]
        require(dict(record, key=key) == line["record"], f"{where}: record or key differ from the manifest's")
        segment = line.get("segment")
        stated = records.get(ATTRIBUTE + "segment")
        require(stated == (f"{segment['index']}/{segment['count']}" if segment else None), f"{where}: its segment")
        require(member.name == member_name(record["bucket"], key, line["id"], segment), f"{where}: its name {member.name!r}")
        seconds, milliseconds = divmod(record["last_modified_ms"], 1000)
        fraction = milliseconds / 1000 if 0 <= seconds < 1 << 33 else 0
        require(abs(member.mtime - (seconds + fraction)) < 0.0005, f"{where}: its date")
        data = plain[line["offset"]:line["offset"] + line["length"]]
        require(blake3(data).hex() == line["digest"], f"{where}: its digest")
        padding = plain[line["offset"] + line["length"]:line["offset"] + -(-line["length"] // 512) * 512]
        require(not padding.strip(b"\0"), f"{where}: its padding")


def require(condition, what):
    """Fails with what was wrong."""
    if not condition:
        raise Violation(f"{what}: not as the format says")


def expand(data):
    """Bytes of zstd frames, expanded by the zstd program."""
    done = subprocess.run(["zstd", "-dcq", "--memory=64MB"], input=data, capture_output=True, check=False)
    require(done.returncode == 0 and not done.stderr, f"zstd: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def check_frame(data, expanded):
    """One frame header (RFC 8878, 3.1.1.1): content size, content checksum, no dictionary, a window of at most 8 MiB."""
    magic, descriptor = struct.unpack_from("<IB", data)
    require(magic == ZSTD and descriptor & 0b0000_1000 == 0, "the magic of a frame")
    require(descriptor & 0b0000_0100, "a frame without content checksum")
    require(descriptor & 0b0000_0011 == 0, "a frame with a dictionary")
    single, kind, at = descriptor & 0b0010_0000, descriptor >> 6, 5
    if not single:
        exponent, mantissa = data[at] >> 3, data[at] & 7
        window = (1 << (10 + exponent)) // 8 * (8 + mantissa)
        require(window <= 8 * MIB, f"a window of {window} bytes")
        at += 1
    if expanded is None:
        return
    width = {0: 1 if single else 0, 1: 2, 2: 4, 3: 8}[kind]
    require(width, "a frame without content size")
    size = int.from_bytes(data[at:at + width], "little") + (256 if width == 2 else 0)
    require(size == expanded, "the content size of a frame")
    require(not single or size <= 8 * MIB, f"a window of {size} bytes")


def ulid(data):
    """16 big-endian bytes as a ULID's 26 characters."""
    number = int.from_bytes(data, "big")
    return "".join(ALPHABET[number >> 5 * place & 31] for place in range(25, -1, -1))


def member_name(bucket, key, identifier, segment):
    """The name of a member in the tar."""
    suffix = f"~{identifier}"
    if segment:
        suffix += f".{segment['index']:05}-of-{segment['count']:05}"
    components = key.split("/")
    names = [escape(bucket, False)]
    for number, component in enumerate(components):
        last = number == len(components) - 1
        names.extend(cut(component, 254 - len(suffix) if last else 254))
    return "/".join(names) + suffix


def escape(text, begins_piece):
    """A component with `.` and the like made harmless."""
    if text in ("", ".", ".."):
        return {"": "%-", ".": "%2E", "..": "%2E%2E"}[text]
    escaped = "".join(escape_character(character) for character in text)
    return "%2E" + escaped[1:] if begins_piece and escaped.startswith(".") else escaped


def escape_character(character):
    """A character as it stands in a name."""
    control = character <= "\x1f" or "\x7f" <= character <= "\x9f"
    return "".join(f"%{byte:02X}" for byte in character.encode()) if control or character in "%~\\" else character


def cut(component, room):
    """A component as one name or, when its escaped form is longer than `room`, several."""
    if len(escape(component, False).encode()) <= room:
        return [escape(component, False)]
    pieces, piece = [], ""
    for character in component:
        form = "%2E" if character == "." and pieces and not piece else escape_character(character)
        if len((piece + form).encode()) > room:
            pieces.append(piece + "%")
            form = "%2E" if character == "." else escape_character(character)
            piece = ""
        piece += form
    return [*pieces, piece]
