//! How stubs and records come to where they should not be.

use dialect::reserved::{self, MarkerKey};
use http::Request;
use model::archive::ArchiveStage;
use model::body::full;
use model::bucket::{BucketSettings, Terms};
use model::catalog::{Catalog, Change};
use model::marker::Original;
use model::store::ObjectStore;
use model::{Archive, ArchiveId, ArchiveState, ETag, Marker, MarkerKind, TapeClass, Timestamp};

use crate::world::{Answer, World, bucket, large, object_key};

pub(super) const RECORD: &str = "x-amz-meta-tapegate";
/// What stands in the secret object, and how often: its size is no other object's.
pub(super) const PHRASE: &str = "what nobody else may read";
const TIMES: usize = 237;

/// An archived and restored object of somebody else, what stands for it on the store, and how it is listed.
pub(super) struct Secret {
    pub(super) row: Archive,
    pub(super) record: String,
    pub(super) stub: Vec<u8>,
    pub(super) etag: String,
}

/// How a stub comes to stand where it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Copied within its bucket, on the store.
    ToAnotherKey,
    /// Copied, or carried by the store's replication, under the same key.
    ToAnotherBucket,
    /// Over the stub of another archive.
    OverAnotherStub,
    /// Over an object that is just being flipped, when the signature is all there is.
    OverAFlip,
    /// Where a write straight into a class is declared, and the signature is all there is.
    Declared,
    /// Signed for the place, by another installation or by guess.
    OtherKey,
    /// Signed for the place by our own key, of the secret's archive.
    OwnKey,
    /// The same, as the marker of a direct write.
    OwnKeyWhole,
    /// Signed for the place by our own key, of an archive nobody knows: another installation that shares the key.
    UnknownArchive,
    /// The secret's record with another class.
    OtherClass,
    /// The secret's record with another size.
    OtherSize,
    /// No record at all.
    Nonsense,
    /// Nothing.
    Empty,
    /// The stub of the place's own archive that is dead.
    Dead,
    /// The same, after the key was archived anew.
    Former,
    /// The record of a direct write, of another key.
    Direct,
}

pub(super) const WAYS: [Way; 16] = [
    Way::ToAnotherKey,
    Way::ToAnotherBucket,
    Way::OverAnotherStub,
    Way::OverAFlip,
    Way::Declared,
    Way::OtherKey,
    Way::OwnKey,
    Way::OwnKeyWhole,
    Way::UnknownArchive,
    Way::OtherClass,
    Way::OtherSize,
    Way::Nonsense,
    Way::Empty,
    Way::Dead,
    Way::Former,
    Way::Direct,
];

pub(super) fn secret_bytes() -> Vec<u8> {
    PHRASE.repeat(TIMES).into_bytes()
}

/// `bkt` and `other` are managed, `free` is not.
pub(super) async fn world(remote: bool, versions: bool) -> (World, Secret) {
    let world = World::with(remote, |settings| {
        settings.forwards_unknown = true;
        settings.buckets = BucketSettings { otherwise: Terms::UNMANAGED, ..BucketSettings::all() };
        for name in ["bkt", "other"] {
            settings.buckets.named.insert(bucket(name), Terms::MANAGED);
        }
    })
    .await;
    for name in ["other", "free"] {
        assert_eq!(world.ask("PUT", &format!("/{name}"), &[], b"").await.status, 200);
    }
    if versions {
        let status = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        let md5 = dialect::checksum::Md5::of(status.as_bytes()).to_base64();
        for name in ["bkt", "other"] {
            let target = format!("/{name}?versioning");
            let set = world.ask("PUT", &target, &[("content-md5", &md5)], status.as_bytes()).await;
            assert_eq!(set.status, 200);
        }
    }
    world.put("secret", &secret_bytes()).await;
    let etag = world.ask("HEAD", "/bkt/secret", &[], b"").await.header("etag").unwrap().replace('"', "");
    let row = world.archive("secret", TapeClass::Glacier).await;
    world.restored(&row, &secret_bytes(), 3600).await;
    let (record, stub) = standing(&world, "/bkt/secret").await;
    (world, Secret { row, record, stub, etag })
}

/// A request that goes to the store past the gateway.
pub(super) async fn past(
    world: &World,
    method: &str,
    target: &str,
    record: Option<&[u8]>,
    body: &[u8],
) -> Answer {
    let mut request = Request::builder().method(method).uri(target);
    if let Some(record) = record {
        request = request.header(RECORD, record);
    }
    let request = request.header("content-length", body.len()).body(full(body.to_vec())).unwrap();
    let (parts, body) = world.store.call(request).await.unwrap().into_parts();
    let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    assert_eq!(parts.status, 200, "{method} {target}");
    Answer { status: parts.status, headers: parts.headers, body }
}

/// The record and the body of what the store has there.
async fn standing(world: &World, target: &str) -> (String, Vec<u8>) {
    let answer = past(world, "GET", target, None, b"").await;
    (answer.header(RECORD).unwrap().to_owned(), answer.body.to_vec())
}

async fn die(world: &World, id: ArchiveId) {
    let mut row = world.catalog.archive(id).await.unwrap().unwrap();
    row.state = ArchiveState::Dead;
    world.catalog.commit(vec![Change::Archive(row)]).await.unwrap();
}

/// What was archived under `/bkt/forged`, with a restored copy, and overwritten since; its record and its stub.
async fn former(world: &World) -> (Archive, String, Vec<u8>) {
    world.put("forged", &secret_bytes()).await;
    let row = world.archive("forged", TapeClass::Glacier).await;
    world.restored(&row, &secret_bytes(), 3600).await;
    let (record, stub) = standing(world, "/bkt/forged").await;
    world.put("forged", b"newer").await;
    (row, record, stub)
}

/// Puts the forged object there and tells where.
pub(super) async fn forge(world: &World, way: Way, secret: &Secret) -> &'static str {
    let here = (bucket("bkt"), object_key("forged"));
    let signed = |kind, archive, key: [u8; 32]| {
        let etag = ETag::parse(&secret.etag).unwrap();
        let size = secret_bytes().len() as u64;
        let original = Some(Original { size, etag, last_modified: Timestamp::from_seconds(1) });
        let marker = Marker { kind, archive, class: TapeClass::Glacier, original };
        reserved::render(&marker, &here.0, &here.1, &MarkerKey::new(key))
    };
    let ours = [7; 32];
    let (stub, id) = (MarkerKind::Stub, secret.row.id);
    let mut place = "/bkt/forged";
    let mut body = secret.stub.clone();
    let record: Vec<u8> = match way {
        Way::ToAnotherKey => secret.record.clone().into(),
        Way::ToAnotherBucket => {
            place = "/other/secret";
            secret.record.clone().into()
        }
        Way::OverAnotherStub => {
            world.put("forged", &large()).await;
            let row = world.archive("forged", TapeClass::Glacier).await;
            world.restored(&row, &large(), 3600).await;
            secret.record.clone().into()
        }
        Way::OverAFlip => {
            world.put("forged", &large()).await;
            world.archive_as("forged", TapeClass::Glacier, true).await;
            secret.record.clone().into()
        }
        Way::Declared => {
            let class = [("x-amz-storage-class", "GLACIER")];
            assert_eq!(world.ask("POST", "/bkt/forged?uploads", &class, b"").await.status, 200);
            assert_eq!(world.rows("forged").await[0].state.stage(), ArchiveStage::Declared);
            signed(MarkerKind::Whole, id, ours).into()
        }
        Way::OtherKey => signed(stub, id, [8; 32]).into(),
        Way::OwnKey => signed(stub, id, ours).into(),
        Way::OwnKeyWhole => signed(MarkerKind::Whole, id, ours).into(),
        Way::UnknownArchive => signed(stub, ArchiveId::new(1, 1), ours).into(),
        Way::OtherClass => secret.record.replace("GLACIER", "DEEP_ARCHIVE").into(),
        Way::OtherSize => secret.record.replace(&secret_bytes().len().to_string(), "6").into(),
        Way::Nonsense => b"v1;stub;here".to_vec(),
        Way::Empty => Vec::new(),
        Way::Dead => {
            let (row, record, own) = former(world).await;
            die(world, row.id).await;
            body = own;
            record.into()
        }
        Way::Former => {
            let (row, record, own) = former(world).await;
            let newer = world.archive("forged", TapeClass::Glacier).await;
            world.restored(&newer, b"newer", 3600).await;
            die(world, row.id).await;
            body = own;
            record.into()
        }
        Way::Direct => {
            let class = [("x-amz-storage-class", "GLACIER")];
            assert_eq!(world.ask("PUT", "/bkt/direct", &class, &secret_bytes()).await.status, 200);
            let row = world.rows("direct").await.remove(0);
            assert_eq!(row.state.stage(), ArchiveStage::Due);
            world.restored(&row, &secret_bytes(), 3600).await;
            standing(world, "/bkt/direct").await.0.into()
        }
    };
    past(world, "PUT", place, Some(&record), &body).await;
    place
}
