"""An LTFS volume, format 2.4 (ISO/IEC 20919), checked as strictly as its standard allows.

A reader for tests: written from the standard, knows nothing of the program that writes the volume.
"""

import re
import uuid
import xml.etree.ElementTree as ElementTree
from urllib.parse import unquote

from tape_files import Cartridge, Violation

TIME = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{9}Z")
NODE_TIMES = ("creationtime", "changetime", "modifytime", "accesstime", "backuptime")
NUMBER = re.compile(r"0|[1-9][0-9]*")
LABEL_ELEMENTS = ["creator", "formattime", "volumeuuid", "location", "partitions", "blocksize", "compression"]
INDEX_ELEMENTS = {
    "creator", "comment", "volumeuuid", "generationnumber", "updatetime", "location", "previousgenerationlocation",
    "allowpolicyupdate", "dataplacementpolicy", "volumelockstate", "highestfileuid", "directory",
}
COHERENCY, CHANGE_REFERENCE = 0x080C, 0x0009
# Identifier: format (1 ASCII, 2 text), length, padding.
HOST_ATTRIBUTES = {
    0x0800: (1, 8, b" "), 0x0801: (1, 32, b" "), 0x0802: (1, 8, b" "), 0x0803: (2, 160, b"\0"),
    0x0806: (1, 32, b" "), 0x0808: (2, 160, b"\0"), 0x080B: (1, 16, b" "),
}


class Label:
    """What the labels of a partition say."""

    def __init__(self, partition):
        where = f"label of partition {partition.number}"
        if partition.kinds[:4] != "RFRF":
            raise Violation(f"{where}: not block, filemark, block, filemark")
        self.serial = _vol1(partition.block(0), where)
        block = partition.block(2)
        if len(block) > 4096:
            raise Violation(f"{where}: the XML label is longer than 4096 bytes")
        root = _document(block, "ltfslabel", where)
        tags = [child.tag for child in root]
        if sorted(tags) != sorted(LABEL_ELEMENTS):
            raise Violation(f"{where}: its elements are {tags}")
        self.creator = root.findtext("creator")
        self.time = _time(root, "formattime", where)
        self.uuid = _uuid(root, where)
        self.own = _only(root.find("location"), ["partition"], where)["partition"]
        letters = _only(root.find("partitions"), ["index", "data"], where)
        self.letters = {letters["index"]: "index", letters["data"]: "data"}
        self.block_bytes = _number(root, "blocksize", where)
        if self.block_bytes < 4096:
            raise Violation(f"{where}: a block size of {self.block_bytes}")
        if len(self.letters) != 2 or self.own not in self.letters or not all(re.fullmatch("[a-z]", letter) for letter in self.letters):
            raise Violation(f"{where}: partitions {letters}, itself {self.own}")
        if root.findtext("compression") not in ("true", "false"):
            raise Violation(f"{where}: compression is neither true nor false")

    def common(self):
        """What the labels of both partitions must share."""
        return self.serial, self.creator, self.time, self.uuid, self.letters, self.block_bytes


def _vol1(block, where):
    expected = {
        (0, 4): b"VOL1", (10, 11): b"L", (11, 24): b" " * 13, (24, 37): b"LTFS" + b" " * 9, (37, 51): None,
        (51, 79): b" " * 28, (79, 80): b"4",
    }
    if len(block) != 80:
        raise Violation(f"{where}: the VOL1 label has {len(block)} bytes")
    for (first, end), bytes_there in expected.items():
        if bytes_there is not None and block[first:end] != bytes_there:
            raise Violation(f"{where}: VOL1 bytes {first} to {end} are {block[first:end]!r}")
    if not re.fullmatch(rb"[A-Z0-9]{6}", block[4:10]) or not all(0x20 <= byte < 0x7F for byte in block[37:51]):
        raise Violation(f"{where}: VOL1 serial {block[4:10]!r}, owner {block[37:51]!r}")
    return block[4:10].decode()


class File:
    """A file of an index."""

    def __init__(self, path, node, where):
        self.path = path
        self.length = _number(node, "length", where)
        self.uid = _number(node, "fileuid", where)
        self.attributes = _extended_attributes(node, where)
        self.extents = []
        info = node.find("extentinfo")
        for extent in info if info is not None else ():
            fields = _only(extent, ["fileoffset", "partition", "startblock", "byteoffset", "bytecount"], where)
            numbers = [_parse_number(fields[name], where) for name in ("fileoffset", "startblock", "byteoffset", "bytecount")]
            self.extents.append((numbers[0], fields["partition"], *numbers[1:]))


class Index:
    """One index and where its construct stands."""

    def __init__(self, partition, at, end):
        where = f"index at block {at} of partition {partition.number}"
        self.where, self.partition, self.at, self.end = where, partition, at, end
        blocks = [partition.block(block) for block in range(at, end)]
        self.block_lengths = [len(block) for block in blocks]
        root = _document(b"".join(blocks), "ltfsindex", where)
        tags = [child.tag for child in root]
        if len(set(tags)) != len(tags) or not set(tags) <= INDEX_ELEMENTS:
            raise Violation(f"{where}: its elements are {tags}")
        for tag in ("creator", "allowpolicyupdate", "highestfileuid", "directory"):
            if tag not in tags:
                raise Violation(f"{where}: no {tag}")
        if root.findtext("allowpolicyupdate") not in ("true", "false"):
            raise Violation(f"{where}: allowpolicyupdate is neither true nor false")
        if root.findtext("volumelockstate", "unlocked") not in ("unlocked", "locked", "permlocked"):
            raise Violation(f"{where}: volumelockstate {root.findtext('volumelockstate')}")
        self.uuid = _uuid(root, where)
        self.generation = _number(root, "generationnumber", where)
        self.time = _time(root, "updatetime", where)
        self.creator = root.findtext("creator")
        self.location = _location(root, "location", where)
        self.previous = _location(root, "previousgenerationlocation", where) if "previousgenerationlocation" in tags else None
        self.highest = _number(root, "highestfileuid", where)
        self.files, self.uids = {}, {}
        directory = root.find("directory")
        self.name = _name(directory, where)
        self.attributes = _extended_attributes(directory, where)
        self._directory(directory, "")
        if self.uids.get(1) != "/":
            raise Violation(f"{where}: fileuid 1 is not the root directory's")
        if max(self.uids) > self.highest:
            raise Violation(f"{where}: fileuid {max(self.uids)} above highestfileuid {self.highest}")
        for tag in ("location", "previousgenerationlocation"):
            for child in root.findall(tag):
                root.remove(child)
        self.essence = ElementTree.canonicalize(ElementTree.tostring(root, encoding="unicode"), strip_text=True)

    def _directory(self, node, path):
        self._node(node, path or "/", ["contents"], [])
        names = set()
        for child in node.find("contents"):
            name = _name(child, self.where)
            if name in names:
                raise Violation(f"{self.where}: {path}/{name} is there twice")
            names.add(name)
            if child.tag == "directory":
                self._directory(child, f"{path}/{name}")
            elif child.tag == "file":
                self._node(child, f"{path}/{name}", ["length"], ["extentinfo", "openforwrite"])
                self.files[f"{path}/{name}"] = File(f"{path}/{name}", child, self.where)
            else:
                raise Violation(f"{self.where}: element {child.tag} among contents")

    def _node(self, node, path, more, optional):
        required = ["name", "readonly", *NODE_TIMES, "fileuid", *more]
        tags = [child.tag for child in node]
        surplus = set(tags) - set(required) - {"extendedattributes", *optional}
        if len(set(tags)) != len(tags) or not set(required) <= set(tags) or surplus:
            raise Violation(f"{self.where}: {path} has the elements {tags}")
        if node.findtext("readonly") not in ("true", "false"):
            raise Violation(f"{self.where}: {path}: readonly is neither true nor false")
        for tag in NODE_TIMES:
            _time(node, tag, f"{self.where}: {path}")
        uid = _number(node, "fileuid", self.where)
        if uid in self.uids:
            raise Violation(f"{self.where}: fileuid {uid} is that of {self.uids[uid]} and of {path}")
        self.uids[uid] = path


# === documents ===


def _document(data, tag, where):
    try:
        data.decode("utf-8")
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise Violation(f"{where}: no XML: {error}") from None
    if root.tag != tag or root.get("version") != "2.4.0":
        raise Violation(f"{where}: it is {root.tag} of version {root.get('version')}")
    if not data.startswith(b'<?xml version="1.0" encoding="UTF-8"?>'):
        raise Violation(f"{where}: no XML declaration with version 1.0 and UTF-8")
    return root


def _only(node, tags, where):
    if node is None or sorted(child.tag for child in node) != sorted(tags):
        raise Violation(f"{where}: {'an element is missing' if node is None else node.tag} should hold {tags}")
    return {child.tag: child.text or "" for child in node}


def _parse_number(text, where):
    if not NUMBER.fullmatch(text or "") or int(text) >= 1 << 64:
        raise Violation(f"{where}: {text!r} is no number")
    return int(text)


def _number(node, tag, where):
    return _parse_number(node.findtext(tag), f"{where}: {tag}")


def _time(node, tag, where):
    text = node.findtext(tag)
    if not TIME.fullmatch(text or ""):
        raise Violation(f"{where}: {tag} {text!r} is no time")
    return text


def _uuid(node, where):
    text = node.findtext("volumeuuid") or ""
    try:
        if str(uuid.UUID(text)) == text:
            return text
    except ValueError:
        pass
    raise Violation(f"{where}: volumeuuid {text!r}")


def _location(node, tag, where):
    fields = _only(node.find(tag), ["partition", "startblock"], f"{where}: {tag}")
    return fields["partition"], _parse_number(fields["startblock"], where)


def _text(node):
    text = node.text or ""
    return unquote(text, errors="strict") if node.get("percentencoded") == "true" else text


def _name(node, where):
    name = _text(node.find("name"))
    if not name or "/" in name or "\0" in name or len(name.encode("utf-16-le")) > 2 * 255:
        raise Violation(f"{where}: {name!r} is no name")
    return name


def _extended_attributes(node, where):
    found = {}
    for attribute in node.findall("extendedattributes/xattr"):
        key, value = attribute.find("key"), attribute.find("value")
        if key is None or value is None or _text(key) in found:
            raise Violation(f"{where}: an extended attribute without key or value, or twice")
        if value.get("type", "text") != "text":
            raise Violation(f"{where}: extended attribute {_text(key)} of type {value.get('type')}")
        found[_text(key)] = value.text or ""
    return found


# === cartridge memory ===


def check_attributes(cartridge, label, index):
    """Yields what is wrong with the attributes that name program, volume and format."""
    attributes = cartridge.attributes[0]
    for identifier, (kind, length, padding) in HOST_ATTRIBUTES.items():
        found = attributes.get(identifier)
        if found is None or found[0] != kind or len(found[1]) != length or not found[1].rstrip(padding):
            yield f"attribute {identifier:04x}: {found}, not {length} bytes of format {kind}"
            return
    if attributes[0x080B][1].rstrip() != b"2.4.0":
        yield "attribute 080b: the format version is not 2.4.0"
    if attributes.get(0x0805) != (0, b"\x81"):
        yield "attribute 0805: not UTF-8"
    if attributes[0x0803][1].rstrip(b"\0").decode() != index.name:
        yield "attribute 0803: not the name of the volume"
    if not attributes[0x0806][1].startswith(label.serial.encode()):
        yield "attribute 0806: the barcode does not begin with the volume serial"


class Coherency:
    """Volume coherency information of one partition, and whether nothing was written since."""

    def __init__(self, cartridge, number):
        where = f"attribute 080c of partition {number}"
        kind, value = cartridge.attributes[number].get(COHERENCY, (None, b""))
        if kind != 0 or len(value) != 70:
            raise Violation(f"{where}: missing, or not 70 bytes of format 0")
        if value[0] != 8 or value[25:32] != b"\0\x2bLTFS\0" or value[68:] != b"\0\1":
            raise Violation(f"{where}: {value.hex()} is not laid out as LTFS lays it out")
        self.reference, self.generation, self.block = (int.from_bytes(value[at:at + 8], "big") for at in (1, 9, 17))
        self.uuid = value[32:68].decode("ascii", "replace")
        _, now = cartridge.attributes[number].get(CHANGE_REFERENCE, (0, b""))
        self.current = self.reference != 0 and int.from_bytes(now, "big") == self.reference


def open_cartridge(folder):
    """A cartridge and the labels of both partitions."""
    cartridge = Cartridge(folder)
    return cartridge, [Label(partition) for partition in cartridge.partitions]
