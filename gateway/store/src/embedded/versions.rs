//! What became of a key: its versions and delete markers, newest first.
//!
//! Words: an *entry* is a version or a delete marker; the *null* entry is the one written while the bucket kept no
//! versions, of which a key has at most one.
//!
//! A bucket that never kept versions has one entry per key and touches nothing but that. In the others `nulls` finds
//! the null entry however many stand above it, so that no operation walks the history of a key.
//!
//! Invariant: `current` has a row for a key exactly when its newest entry is an object, and names that.
//! Invariant: a null entry that is not the newest has a row in `nulls`.

use dialect::{Code, S3Error};
use http::HeaderValue;
use model::bucket::Versioning;
use redb::ReadableTable;

use super::fault::{Fault, Outcome};
use super::record::{Bucket, Current, Entry, Marker, Version, decode, encode, inverted_sequence};
use super::tables::{
    CURRENT, CurrentKey, NULLS, NUMBER_SEQUENCE, Record, Snapshot, Tables, VERSIONS, VersionKey, record,
};
use super::{Ask, Inner, Target};

/// Which entry of a key a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The newest.
    Current,
    /// The one with this version id.
    Named(String),
}

/// The entries of one key.
struct History<'a, C, V, N> {
    current: &'a C,
    versions: &'a V,
    nulls: &'a N,
    bucket: &'a Bucket,
    key: &'a str,
}

impl Inner {
    /// Changes what is said of a version in a request that names it, never its bytes. Returns the version id to tell.
    pub(super) async fn amend(
        &self,
        ask: &Ask,
        change: impl FnOnce(&mut Version) + Send + 'static,
    ) -> Outcome<Option<String>> {
        let target = Target::of(ask)?;
        let method = ask.method.clone();
        self.writer
            .commit(None, move |tables| {
                let bucket = tables.bucket(target.bucket.as_str())?;
                let key = target.key.as_str();
                let entry = tables.entry(&bucket, key, &target.which)?;
                let mut version = target.which.object(entry, key, method.as_str())?;
                change(&mut version);
                let id = bucket.told(&version);
                tables.rewrite(&bucket, key, version)?;
                Ok(id)
            })
            .await
    }
}

// === impl Which ===

impl Which {
    /// What the query of a request names. Errors: `InvalidArgument` for an empty version id.
    pub(crate) fn of(ask: &Ask) -> Outcome<Self> {
        match ask.route.query.value("versionId") {
            None => Ok(Self::Current),
            Some("") => {
                Err(S3Error::argument("Version id cannot be the empty string", "versionId", "").into())
            }
            Some(id) => Ok(Self::Named(id.to_owned())),
        }
    }

    /// The object that was looked for.
    ///
    /// Errors: `NoSuchKey`, `NoSuchVersion`; `MethodNotAllowed` for a delete marker that was named.
    pub(crate) fn object(&self, found: Option<Entry>, key: &str, method: &str) -> Outcome<Version> {
        let marker = match found {
            Some(Entry::Object(version)) => return Ok(*version),
            Some(Entry::Marker(marker)) => Some(Entry::Marker(marker)),
            None => None,
        };
        let refusal = match (self, &marker) {
            (Self::Current, _) => S3Error::no_such_key(key),
            (Self::Named(id), None) => S3Error::no_such_version(key, id),
            (Self::Named(_), Some(_)) => S3Error::method_not_allowed(method, "DeleteMarker")
                .header("allow", HeaderValue::from_static("DELETE")),
        };
        let Some(marker) = marker else { return Err(refusal.into()) };
        let id = HeaderValue::try_from(marker.id()).map_err(|_| S3Error::new(Code::InternalError))?;
        let told = refusal.header("x-amz-delete-marker", HeaderValue::from_static("true"));
        Err(told.header("x-amz-version-id", id).into())
    }
}

// === impl Bucket ===

impl Bucket {
    /// The version id a client is told; none where the bucket never kept versions.
    pub(crate) fn told(&self, version: &Version) -> Option<String> {
        (self.versioning != Versioning::Off).then(|| version.id())
    }
}

// === impl History ===

impl<C, V, N> History<'_, C, V, N>
where
    C: ReadableTable<CurrentKey, Record>,
    V: ReadableTable<VersionKey, Record>,
    N: ReadableTable<CurrentKey, u64>,
{
    /// The newest entry, if it is an object.
    fn current(&self) -> Result<Option<Version>, Fault> {
        let pointer = self.current.get((self.bucket.id.0, self.key.as_bytes()))?;
        let Some(pointer) = record::<Current>("current", pointer)? else { return Ok(None) };
        let version = self.at(!pointer.sequence)?.and_then(Entry::object);
        version.map(Some).ok_or_else(dangling)
    }

    fn newest(&self) -> Result<Option<Entry>, Fault> {
        if let Some(version) = self.current()? {
            return Ok(Some(Entry::Object(Box::new(version))));
        }
        if self.bucket.versioning == Versioning::Off { Ok(None) } else { self.first() }
    }

    /// The newest entry, without asking `current`.
    fn first(&self) -> Result<Option<Entry>, Fault> {
        let (bucket, key) = (self.bucket.id.0, self.key.as_bytes());
        let mut rows = self.versions.range((bucket, key, 0)..=(bucket, key, u64::MAX))?;
        rows.next().map(|row| decode("versions", row?.1.value())).transpose()
    }

    fn null(&self) -> Result<Option<Entry>, Fault> {
        if self.bucket.versioning != Versioning::Off
            && let Some(sequence) = self.nulls.get((self.bucket.id.0, self.key.as_bytes()))?
        {
            return self.at(!sequence.value())?.map(Some).ok_or_else(dangling);
        }
        Ok(self.newest()?.filter(Entry::is_null))
    }

    fn entry(&self, which: &Which) -> Result<Option<Entry>, Fault> {
        match which {
            Which::Current => self.newest(),
            Which::Named(id) if id == "null" => self.null(),
            Which::Named(id) => match inverted_sequence(id) {
                Some(inverted) => Ok(self.at(inverted)?.filter(|entry| entry.id() == *id)),
                None => Ok(None),
            },
        }
    }

    fn at(&self, inverted: u64) -> Result<Option<Entry>, Fault> {
        record("versions", self.versions.get((self.bucket.id.0, self.key.as_bytes(), inverted))?)
    }
}

fn dangling() -> Fault {
    Fault::Record { table: "versions", source: postcard::Error::DeserializeUnexpectedEnd }
}

// === impl Snapshot ===

impl Snapshot {
    /// The entry a request is about.
    pub(crate) fn entry(&self, bucket: &Bucket, key: &str, which: &Which) -> Result<Option<Entry>, Fault> {
        let transaction = self.transaction();
        let current = &transaction.open_table(CURRENT)?;
        let versions = &transaction.open_table(VERSIONS)?;
        let nulls = &transaction.open_table(NULLS)?;
        History { current, versions, nulls, bucket, key }.entry(which)
    }
}

// === impl Tables ===

impl Tables<'_> {
    /// The entry a request is about.
    pub(crate) fn entry(&self, bucket: &Bucket, key: &str, which: &Which) -> Result<Option<Entry>, Fault> {
        let Self { current, versions, nulls, .. } = self;
        History { current, versions, nulls, bucket, key }.entry(which)
    }

    /// Every entry of a key, the newest first.
    pub(super) fn history(&self, bucket: &Bucket, key: &str) -> Result<Vec<Entry>, Fault> {
        let (bucket, key) = (bucket.id.0, key.as_bytes());
        let rows = self.versions.range((bucket, key, 0)..=(bucket, key, u64::MAX))?;
        rows.map(|row| decode("versions", row?.1.value())).collect()
    }

    /// Makes `version` the newest of its key, under a new sequence, in the place of what the bucket does not keep.
    /// Returns the version id to tell.
    pub(crate) fn add(
        &mut self,
        bucket: &Bucket,
        key: &str,
        mut version: Version,
    ) -> Result<Option<String>, Fault> {
        version.is_null = self.make_room(bucket, key)?;
        version.sequence = self.next_number(NUMBER_SEQUENCE)?;
        let id = bucket.told(&version);
        self.point_to(bucket, key, &version)?;
        self.write_entry(bucket, key, &Entry::Object(Box::new(version)))?;
        Ok(id)
    }

    /// Puts a delete marker above the versions of a key, in the place of what the bucket does not keep.
    pub(crate) fn add_marker(&mut self, bucket: &Bucket, key: &str, date: i64) -> Result<Entry, Fault> {
        let is_null = self.make_room(bucket, key)?;
        let sequence = self.next_number(NUMBER_SEQUENCE)?;
        let entry = Entry::Marker(Marker { sequence, is_null, last_modified: date });
        self.current.remove((bucket.id.0, key.as_bytes()))?;
        self.write_entry(bucket, key, &entry)?;
        Ok(entry)
    }

    /// Removes an entry for good; what stood below the newest becomes that.
    pub(crate) fn remove_entry(&mut self, bucket: &Bucket, key: &str, entry: &Entry) -> Result<(), Fault> {
        self.take(bucket, key, entry)?;
        let newest = match bucket.versioning {
            Versioning::Off => None,
            Versioning::Enabled | Versioning::Suspended => {
                let Self { current, versions, nulls, .. } = &*self;
                History { current, versions, nulls, bucket, key }.first()?
            }
        };
        match newest.and_then(Entry::object) {
            Some(version) => self.point_to(bucket, key, &version),
            None => {
                self.current.remove((bucket.id.0, key.as_bytes()))?;
                Ok(())
            }
        }
    }

    /// Writes a version anew in its own place.
    pub(crate) fn rewrite(&mut self, bucket: &Bucket, key: &str, version: Version) -> Result<(), Fault> {
        let pointer = self.current.get((bucket.id.0, key.as_bytes()))?;
        let pointer: Option<Current> = record("current", pointer)?;
        if pointer.is_some_and(|pointer| pointer.sequence == version.sequence) {
            self.point_to(bucket, key, &version)?;
        }
        self.write_entry(bucket, key, &Entry::Object(Box::new(version)))
    }

    /// Does away with what a new newest entry replaces; says whether that one is the null entry.
    fn make_room(&mut self, bucket: &Bucket, key: &str) -> Result<bool, Fault> {
        let Self { current, versions, nulls, .. } = &*self;
        let history = History { current, versions, nulls, bucket, key };
        if bucket.versioning == Versioning::Enabled {
            if let Some(null) = history.newest()?.filter(Entry::is_null) {
                self.nulls.insert((bucket.id.0, key.as_bytes()), null.sequence())?;
            }
            return Ok(false);
        }
        if let Some(null) = history.null()? {
            self.take(bucket, key, &null)?;
        }
        Ok(true)
    }

    /// Takes an entry and its bytes away and leaves `current` as it is.
    fn take(&mut self, bucket: &Bucket, key: &str, entry: &Entry) -> Result<(), Fault> {
        if let Entry::Object(version) = entry {
            for segment in &version.segments {
                self.discard(segment)?;
            }
        }
        self.versions.remove((bucket.id.0, key.as_bytes(), !entry.sequence()))?;
        if entry.is_null() && bucket.versioning != Versioning::Off {
            self.nulls.remove((bucket.id.0, key.as_bytes()))?;
        }
        Ok(())
    }

    pub(super) fn point_to(&mut self, bucket: &Bucket, key: &str, version: &Version) -> Result<(), Fault> {
        let pointer = encode("current", &version.current())?;
        self.current.insert((bucket.id.0, key.as_bytes()), &*pointer)?;
        Ok(())
    }

    pub(super) fn write_entry(&mut self, bucket: &Bucket, key: &str, entry: &Entry) -> Result<(), Fault> {
        let bytes = encode("versions", entry)?;
        self.versions.insert((bucket.id.0, key.as_bytes(), !entry.sequence()), &*bytes)?;
        Ok(())
    }
}
