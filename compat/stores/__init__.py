"""Object stores that others wrote, started on the loopback for a test and ended with it.

`CephRgw` has nearly everything S3 has; `Garage` has no versions, no tags and no conditions. Both are used alike:

    with CephRgw() as store:
        account = store.account()        # keys and bucket names of its own, as on a store just installed
        s3 = account.s3()
        with store.away():               # nobody answers at the endpoint meanwhile
            ...

A store takes seconds to start and an account much less, so one store serves many tests, each with an account.
"""

from stores.account import Account, settings
from stores.ceph import CephRgw
from stores.garage import Garage

KINDS = {"ceph": CephRgw, "garage": Garage}

__all__ = ["KINDS", "Account", "CephRgw", "Garage", "settings"]
