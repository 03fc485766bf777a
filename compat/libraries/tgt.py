"""Debian's tgtd with a virtual tape library, over iSCSI on the loopback: two drives, eight slots, two mail slots."""

import json
import os
import random

from harness import free_ports, wait_until
from stores.process import Process, State, run, succeeds

TARGET = "iqn.2026-01.test.tapegate:library"
MIB = 1 << 20
CARTRIDGE_MIB = 32
DRIVES, SLOTS, MAIL_SLOTS = 2, 8, 2
# Cartridges in slots, and one more in a mail slot.
IN_SLOTS = 6
# Element addresses.
ARM, MAIL, BAY, SLOT = 1, 768, 256, 4096
READY_SECONDS = 20
END_SECONDS = 20


class Tgt:
    """A library of its own: its folder, its port, its control socket, its process."""

    def __init__(self):
        self.state = State("tgt")
        self.folder = self.state.folder
        (self.port,) = free_ports(1)
        # The number of tgtd's control socket: two with one number would be one.
        self.control = 100 + random.randrange(30_000)
        self.process = None
        self.changer = {"serial": "TGCHANGER1", "unit": DRIVES + 1}
        self.drives = [{"serial": f"TGDRIVE{number:03}", "unit": number} for number in range(1, DRIVES + 1)]
        self.barcodes = [f"TGT{number:03}L8" for number in range(1, IN_SLOTS + 2)]

    @property
    def portal(self):
        return f"127.0.0.1:{self.port}"

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None:
            # tgtd takes no SIGTERM while it has a target: it is ended the way its manual says.
            self.end()
        self.state.remove()

    def start(self):
        self.describe()
        (self.folder / "changer").write_bytes(bytes(1024))
        for barcode in self.barcodes:
            self.image(barcode, CARTRIDGE_MIB, barcode)
        for drive in self.drives:
            # A drive is made with something in it, which is taken out at once.
            self.image(drive["serial"], 1, f"DUMMY{drive['unit']}")
        os.makedirs("/var/run/tgtd", exist_ok=True)
        command = ["tgtd", "-f", "-C", self.control, "--iscsi", f"portal={self.portal}"]
        self.process = Process(command, self.folder / "tgtd.log")
        wait_until(self.answers, READY_SECONDS, "tgtd answers")
        self.adm("target", "new", "-T", TARGET)
        for drive in self.drives:
            self.unit("new", drive, "-b", self.folder / drive["serial"], "--device-type=tape")
            self.unit("update", drive, "--params", "online=0")
            self.unit("update", drive, "--params",
                      f"vendor_id=IBM,product_id=ULT3580-TD8,product_rev=HB82,scsi_sn={drive['serial']}")
        self.unit("new", self.changer, "-b", self.folder / "changer", "--device-type=changer")
        self.fill()
        self.adm("target", "bind", "-I", "127.0.0.1")

    def fill(self):
        """The changer's elements and what is in them."""
        changes = [f"vendor_id=TAPEGATE,product_id=LIBRARY,scsi_sn={self.changer['serial']}", f"media_home={self.folder}"]
        for kind, address, quantity in ((4, BAY, DRIVES), (1, ARM, 1), (2, SLOT, SLOTS), (3, MAIL, MAIL_SLOTS)):
            changes.append(f"element_type={kind},start_address={address},quantity={quantity}")
        for place, drive in enumerate(self.drives):
            changes.append(f"element_type=4,address={BAY + place},tid=1,lun={drive['unit']}")
        for place, barcode in enumerate(self.barcodes[:IN_SLOTS]):
            changes.append(f"element_type=2,address={SLOT + place},barcode={barcode},sides=1")
        changes.append(f"element_type=3,address={MAIL},barcode={self.barcodes[IN_SLOTS]},sides=1")
        for change in changes:
            self.unit("update", self.changer, "--params", change)

    def end(self):
        if self.process.child.poll() is None:
            tgtadm = ["tgtadm", "-C", self.control]
            succeeds(*tgtadm, "--lld", "iscsi", "--op", "delete", "--force", "--mode", "target", "--tid", 1)
            succeeds(*tgtadm, "--op", "delete", "--mode", "system")
            try:
                wait_until(lambda: self.process.child.poll() is not None, END_SECONDS, "tgtd has ended")
            finally:
                self.process.end()

    def describe(self):
        """`library.json`: what the conformance suite shall find."""
        description = {"changer": self.changer, "drives": self.drives, "slots": SLOTS, "mail_slots": MAIL_SLOTS,
                       "barcodes": self.barcodes, "cartridge_bytes": CARTRIDGE_MIB * MIB}
        self.description = self.folder / "library.json"
        self.description.write_text(json.dumps(description))

    def image(self, name, mib, barcode):
        run("tgtimg", "--op", "new", "--device-type", "tape", "--barcode", barcode, "--size", mib, "--type", "data",
            "--file", self.folder / name)

    def answers(self):
        self.process.must_run()
        return succeeds("tgtadm", "-C", self.control, "--lld", "iscsi", "--mode", "sys", "--op", "show")

    def adm(self, mode, operation, *more):
        run("tgtadm", "-C", self.control, "--lld", "iscsi", "--mode", mode, "--op", operation, "--tid", 1, *more)

    def unit(self, operation, unit, *more):
        self.adm("logicalunit", operation, "--lun", unit["unit"], *more)

