//! Copies into, from and within the tape classes.

use dialect::checksum::{Algorithm, Checksum, Md5};
use model::TapeClass;
use model::archive::ArchiveStage;
use model::catalog::{Catalog, Change};

use crate::world::{World, large};

const SOURCE: (&str, &str) = ("x-amz-copy-source", "/bkt/key");
const GLACIER: (&str, &str) = ("x-amz-storage-class", "GLACIER");

#[tokio::test]
async fn an_archived_source_must_be_restored_first() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let row = world.archive("key", TapeClass::Glacier).await;
    let create = world.ask("POST", "/bkt/parts?uploads", &[], b"").await;
    let upload = create.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let part = format!("/bkt/parts?partNumber=1&uploadId={upload}");
    for target in ["/bkt/copy", part.as_str()] {
        let answer = world.ask("PUT", target, &[SOURCE], b"").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "InvalidObjectState"), "{target}");
        assert!(answer.text().contains(
            "<Message>Operation is not valid for the source object's storage class</Message><StorageClass>GLACIER</StorageClass>"
        ));
    }
    world.restored(&row, &large(), 3600).await;
    let answer = world.ask("PUT", "/bkt/copy", &[SOURCE, ("x-amz-copy-source-if-match", "\"0\"")], b"").await;
    assert_eq!(answer.code(), "PreconditionFailed");
    let answer = world.ask("PUT", "/bkt/copy", &[SOURCE], b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("<CopyObjectResult"), "{}", answer.text());
    let copy = world.ask("GET", "/bkt/copy", &[], b"").await;
    assert_eq!((copy.status.as_u16(), &copy.body[..]), (200, &large()[..]));
    assert_eq!(copy.header("x-amz-meta-color"), Some("red"));
    assert_eq!((copy.header("x-amz-restore"), copy.header("x-amz-storage-class")), (None, None));
    let answer = world.ask("PUT", &part, &[SOURCE, ("x-amz-copy-source-range", "bytes=10-19")], b"").await;
    assert!(answer.text().contains("<CopyPartResult"), "{}", answer.text());
}

#[tokio::test]
async fn a_copy_onto_itself_archives_and_brings_back() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let answer = world.ask("PUT", "/bkt/key", &[SOURCE], b"").await;
    assert_eq!(answer.code(), "InvalidRequest", "nothing would change");
    let answer = world.ask("PUT", "/bkt/key", &[SOURCE, GLACIER], b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let rows = world.rows("key").await;
    assert_eq!((rows.len(), rows[0].state.stage(), rows[0].direct), (1, ArchiveStage::Due, true));
    let head = world.ask("HEAD", "/bkt/key", &[], b"").await;
    assert_eq!(
        (head.header("x-amz-storage-class"), head.header("x-amz-meta-color")),
        (Some("GLACIER"), Some("red"))
    );
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.code(), "InvalidObjectState");
    assert_eq!(world.ask("PUT", "/bkt/key", &[SOURCE], b"").await.code(), "InvalidObjectState");

    world.restored(&rows[0], &large(), 3600).await;
    assert_eq!(world.ask("PUT", "/bkt/key", &[SOURCE, GLACIER], b"").await.code(), "InvalidRequest");
    let answer = world.ask("PUT", "/bkt/key", &[SOURCE], b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let hot = world.ask("GET", "/bkt/key", &[], b"").await;
    assert_eq!((hot.status.as_u16(), &hot.body[..]), (200, &large()[..]));
    assert_eq!((hot.header("x-amz-storage-class"), hot.header("x-amz-meta-color")), (None, Some("red")));
}

#[tokio::test]
async fn a_copy_may_replace_metadata_and_class_at_once() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let headers = [SOURCE, GLACIER, ("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-color", "blue")];
    let answer = world.ask("PUT", "/bkt/copy", &headers, b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let head = world.ask("HEAD", "/bkt/copy", &[], b"").await;
    assert_eq!(
        (head.header("x-amz-storage-class"), head.header("x-amz-meta-color")),
        (Some("GLACIER"), Some("blue"))
    );
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.status, 200);
    let missing = world.ask("PUT", "/bkt/copy2", &[("x-amz-copy-source", "bkt/none"), GLACIER], b"").await;
    assert_eq!(missing.code(), "NoSuchKey");
    assert!(world.rows("copy2").await.is_empty());
    assert_eq!(world.ask("PUT", "/bkt/plain", &[SOURCE], b"").await.status, 200);
}

#[tokio::test]
async fn a_source_being_flipped_puts_its_copy_off() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let create = world.ask("POST", "/bkt/parts?uploads", &[], b"").await;
    let upload = create.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let part = format!("/bkt/parts?partNumber=1&uploadId={upload}");
    let _gate = world.close("key").await;
    let (copy, part) =
        tokio::join!(world.ask("PUT", "/bkt/copy", &[SOURCE], b""), world.ask("PUT", &part, &[SOURCE], b""));
    for answer in [copy, part] {
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "SlowDown"), "no archive is known yet");
    }
}

#[tokio::test]
async fn a_source_that_is_not_its_archive_is_not_trusted() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let mut row = world.archive("key", TapeClass::Glacier).await;
    world.restored(&row, &large(), 3600).await;
    row.standing.as_mut().unwrap().etag = model::ETag::parse("other").unwrap();
    world.catalog.commit(vec![Change::Archive(row)]).await.unwrap();
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.code(), "AccessDenied");
    assert_eq!(world.ask("PUT", "/bkt/copy", &[SOURCE], b"").await.code(), "AccessDenied");
}

#[tokio::test]
async fn a_copy_made_of_a_restored_copy_has_the_checksum_asked_for() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let row = world.archive("key", TapeClass::Glacier).await;
    world.restored(&row, &large(), 3600).await;
    // A client may say what it sends: nothing.
    let md5 = Md5::of(b"").to_base64();
    for algorithm in Algorithm::ALL {
        let none = Checksum::of(algorithm, b"").to_base64();
        let mut headers = vec![
            SOURCE,
            ("content-md5", md5.as_str()),
            (algorithm.header(), none.as_str()),
            ("x-amz-checksum-algorithm", algorithm.name()),
        ];
        let copied = world.ask("PUT", "/bkt/copy", &headers, b"").await;
        assert_eq!(copied.status, 200, "{}", copied.text());
        let sum = Checksum::of(algorithm, &large()).to_base64();
        let told = format!("<{0}>{sum}</{0}>", algorithm.element());
        assert!(copied.text().contains(&told), "{}", copied.text());
        let head = world.ask("HEAD", "/bkt/copy", &[("x-amz-checksum-mode", "ENABLED")], b"").await;
        assert_eq!(head.header(algorithm.header()), Some(sum.as_str()));
        assert_eq!(world.ask("GET", "/bkt/copy", &[], b"").await.body, large());

        let create = world.ask("POST", "/bkt/parts?uploads", &[], b"").await;
        let upload = create.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
        headers.pop();
        let part = format!("/bkt/parts?partNumber=1&uploadId={upload}");
        let part = world.ask("PUT", &part, &headers, b"").await;
        assert_eq!(part.status, 200, "{}", part.text());
    }
    let unheard = [SOURCE, ("x-amz-checksum-algorithm", "MD4")];
    assert_eq!(world.ask("PUT", "/bkt/copy", &unheard, b"").await.status, 400);
}
