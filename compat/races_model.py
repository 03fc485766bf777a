"""What a key holds by what was acknowledged: its versions, newest first; and how each deed changes them."""

from dataclasses import dataclass, replace

from harness import md5

# What a bucket is set to; "Off" is one whose versioning was never touched.
OFF, ENABLED, SUSPENDED = "Off", "Enabled", "Suspended"
NULL = "null"


@dataclass(frozen=True)
class Version:
    """One line of the listing of versions. `number` and `etag` are None until an answer named them; a delete marker
    has no data."""

    number: str | None
    data: bytes | None
    etag: str | None = None
    metadata: tuple = ()
    tags: tuple = ()
    public: bool = False

    @property
    def is_marker(self):
        return self.data is None


def of_put(data, metadata, number, **more):
    return Version(number, data, f'"{md5(data)}"', tuple(sorted(metadata.items())), **more)


def written(versions, version, status):
    """A new version, or a new delete marker, over what is there."""
    if status == OFF:
        return () if version.is_marker else (replace(version, number=NULL),)
    if status == SUSPENDED:
        return (replace(version, number=NULL), *(each for each in versions if each.number != NULL))
    return (version, *versions)


def erased(versions, number):
    return tuple(each for each in versions if each.number != number)


def changed(versions, **changes):
    return (replace(versions[0], **changes), *versions[1:])


@dataclass(frozen=True)
class Line:
    """A version as a listing shows it."""

    number: str
    is_marker: bool
    is_latest: bool
    size: int
    etag: str | None
    modified: object
    storage_class: str | None


def matched(versions, lines):
    """`versions` with what was not known filled in from `lines`, when these are exactly what should be listed; or
    None. Clients read versions and delete markers apart, each in order."""
    places = [place for place, each in enumerate(versions) if not each.is_marker]
    places += [place for place, each in enumerate(versions) if each.is_marker]
    if len(places) != len(lines):
        return None
    filled = list(versions)
    for place, line in zip(places, lines):
        version = versions[place]
        if line.is_latest != (place == 0) or line.is_marker != version.is_marker:
            return None
        if version.number is None and any(line.number == each.number for each in versions):
            return None
        if version.number not in (None, line.number):
            return None
        if not version.is_marker and line.size != len(version.data):
            return None
        if None not in (version.etag, line.etag) and version.etag != line.etag:
            return None
        filled[place] = replace(version, number=line.number, etag=line.etag or version.etag)
    return tuple(filled)


def current(versions):
    """The version clients get who name none, or None."""
    return versions[0] if versions and not versions[0].is_marker else None


class Key:
    """A key and every state it may be in: one, but for a deed whose answer was lost."""

    def __init__(self):
        self.states = [()]
        # By version: when it was last modified, in seconds, once somebody was told.
        self.modified = {}

    @property
    def versions(self):
        """The state; only asked when there is one."""
        (versions,) = self.states
        return versions

    @property
    def current(self):
        """The version clients get who name none, or None."""
        return current(self.versions)

    def shown_by(self, lines):
        """The states that `lines` show; more than one when they differ in what no listing tells."""
        found = [matched(state, lines) for state in self.states]
        return [state for state in found if state is not None]
