//! Overwrites and deletes of archived objects.

use model::TapeClass;
use model::fence::Work;

use crate::world::{World, large};

#[tokio::test]
async fn conditions_of_writes_name_the_object_clients_know() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let etag = world.ask("HEAD", "/bkt/key", &[], b"").await.header("etag").unwrap().to_owned();
    let row = world.archive("key", TapeClass::Glacier).await;
    let stub = row.standing.unwrap().etag.quoted();
    let put = async |header, value: &str| world.ask("PUT", "/bkt/key", &[(header, value)], b"new").await;
    assert_eq!(put("if-none-match", "*").await.code(), "PreconditionFailed");
    assert_eq!(put("if-match", "\"0\"").await.code(), "PreconditionFailed");
    assert_eq!(put("if-match", &stub).await.code(), "PreconditionFailed");
    assert_eq!(world.ask("HEAD", "/bkt/key", &[], b"").await.header("x-amz-storage-class"), Some("GLACIER"));
    let answer = put("if-match", &etag).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.text(), "new");
    assert!(world.rows("key").await[0].touched);
}

#[tokio::test]
async fn a_key_being_flipped_puts_mutations_off() {
    let world = World::new().await;
    world.put("key", &large()).await;
    world.put("other", &large()).await;
    let _gate = world.close("key").await;
    let put = world.ask("PUT", "/bkt/key", &[], b"new");
    let body = b"<Delete><Object><Key>key</Key></Object><Object><Key>other</Key></Object></Delete>";
    let delete = world.ask("POST", "/bkt?delete", &[], body);
    let (put, delete) = tokio::join!(put, delete);
    assert_eq!((put.status.as_u16(), put.code()), (503, "SlowDown"));
    assert_eq!(delete.status, 200);
    assert!(delete.text().contains("<Deleted><Key>other</Key></Deleted>"), "{}", delete.text());
    assert!(delete.text().contains("<Error><Key>key</Key><Code>SlowDown</Code>"), "{}", delete.text());
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.body, large(), "reads go on");
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let world = World::new().await;
    for key in ["a", "b", "c"] {
        world.put(key, &large()).await;
    }
    let etag = world.ask("HEAD", "/bkt/b", &[], b"").await.header("etag").unwrap().replace('"', "");
    for key in ["a", "b", "c"] {
        world.archive(key, TapeClass::Glacier).await;
    }
    world.bells.take();
    let body = format!(
        "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><ETag>\"{etag}\"</ETag></Object>\
         <Object><Key>c</Key><ETag>\"0\"</ETag></Object></Delete>"
    );
    let md5 = dialect::checksum::Md5::of(body.as_bytes()).to_base64();
    let answer = world.ask("POST", "/bkt?delete", &[("content-md5", &md5)], body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    assert!(text.contains("<Deleted><Key>a</Key></Deleted><Deleted><Key>b</Key></Deleted>"), "{text}");
    assert!(
        text.contains("<Error><Key>c</Key><Code>PreconditionFailed</Code>")
            && text.ends_with("</DeleteResult>")
    );
    assert_eq!(world.bells.take(), [Work::Touched]);
    assert!(world.rows("a").await[0].touched && world.rows("b").await[0].touched);
    assert!(!world.rows("c").await[0].touched);
    assert_eq!(world.ask("HEAD", "/bkt/c", &[], b"").await.status, 200);
}
