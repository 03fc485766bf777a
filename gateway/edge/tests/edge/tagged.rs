//! Archived objects whose tags or ACL were just written, on a store that dates them anew.

use dialect::checksum::Md5;
use model::TapeClass;
use model::catalog::{Catalog, Change};
use model::store::ObjectStore;

use crate::world::{Answer, World, bucket, large, target};

const LISTINGS: [&str; 3] = ["/bkt", "/bkt?list-type=2", "/bkt?versions"];
const BLANK: &str = "<ETag>&quot;&quot;</ETag>";

async fn tag(world: &World, key: &str) -> Answer {
    let set = "<Tagging><TagSet><Tag><Key>e</Key><Value>f</Value></Tag></TagSet></Tagging>";
    let md5 = Md5::of(set.as_bytes()).to_base64();
    world.ask("PUT", &format!("/bkt/{key}?tagging"), &[("content-md5", &md5)], set.as_bytes()).await
}

async fn listings(world: &World) -> Vec<String> {
    let mut told = Vec::new();
    for listing in LISTINGS {
        let answer = world.ask("GET", listing, &[], b"").await;
        assert_eq!(answer.status, 200, "{listing} {}", answer.text());
        told.push(answer.text().to_owned());
    }
    told
}

/// A world with an archived object and a hot one.
async fn world(remote: bool) -> World {
    fill(World::with(remote, |_| {}).await).await
}

async fn fill(world: World) -> World {
    world.put("key", &large()).await;
    world.put("warm", &large()).await;
    world.archive("key", TapeClass::Glacier).await;
    world.store.guard().inner().redate();
    world
}

#[tokio::test]
async fn a_write_of_tags_or_of_the_acl_leaves_an_archived_object_as_it_was() {
    for (remote, versions) in [(false, false), (false, true), (true, false), (true, true)] {
        for writes in ["PUT tagging", "DELETE tagging", "PUT acl"] {
            let world = match versions {
                true => fill(crate::versions::versioned(remote).await).await,
                false => world(remote).await,
            };
            let head = world.ask("HEAD", "/bkt/key", &[], b"").await;
            let listed = listings(&world).await;
            let written = match writes {
                "PUT tagging" => tag(&world, "key").await,
                "DELETE tagging" => world.ask("DELETE", "/bkt/key?tagging", &[], b"").await,
                _ => world.ask("PUT", "/bkt/key?acl", &[("x-amz-acl", "private")], b"").await,
            };
            assert!(written.status.is_success(), "{writes} {}", written.text());
            let row = world.rows("key").await.swap_remove(0);
            let stub = world.store.head(&target("key")).await.unwrap().unwrap();
            let known = row.standing.as_ref().unwrap();
            assert_ne!(stub.last_modified.seconds(), known.last_modified_seconds, "it is dated anew");
            assert!(row.touched);

            assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.code(), "InvalidObjectState", "{writes}");
            let after = world.ask("HEAD", "/bkt/key", &[], b"").await;
            for name in ["last-modified", "etag", "content-length", "x-amz-storage-class"] {
                assert_eq!(after.header(name), head.header(name), "{writes} {name}");
            }
            assert_eq!(listings(&world).await, listed, "{writes}");
            let days = b"<RestoreRequest><Days>1</Days></RestoreRequest>";
            assert_eq!(world.ask("POST", "/bkt/key?restore", &[], days).await.status, 202, "{writes}");
        }
    }
}

#[tokio::test]
async fn a_line_without_an_etag_is_shown_as_the_archive_it_is_and_otherwise_as_it_stands() {
    for remote in [false, true] {
        let world = world(remote).await;
        world.put("over", &large()).await;
        world.archive("over", TapeClass::Glacier).await;
        let listed = listings(&world).await;
        world.ask("DELETE", "/bkt/key?tagging", &[], b"").await;
        // The engine has looked: the row is settled, the line is as it was.
        let mut row = world.rows("key").await.swap_remove(0);
        let stub = world.store.head(&target("key")).await.unwrap().unwrap();
        row.standing.as_mut().unwrap().last_modified_seconds = stub.last_modified.seconds();
        row.touched = false;
        world.catalog.commit(vec![Change::Archive(row)]).await.unwrap();
        assert_eq!(listings(&world).await, listed);

        let page = world.store.page(&bucket("bkt"), "key", None, 10).await.unwrap();
        assert_eq!((&page.entries[0].etag, page.entries[0].size), (&stub.etag, stub.size), "a scan goes on");

        world.put("over", &large()).await;
        for key in ["over", "warm"] {
            world.ask("DELETE", &format!("/bkt/{key}?tagging"), &[], b"").await;
        }
        for told in listings(&world).await {
            assert_eq!((told.matches(BLANK).count(), told.matches("GLACIER").count()), (2, 1), "{told}");
        }
    }
}

#[tokio::test]
async fn a_date_nobody_knew_of_is_looked_into() {
    for remote in [false, true] {
        let world = world(remote).await;
        let before = listings(&world).await;
        // As if tags had been written by a message that arrived after it was given up.
        let mut row = world.rows("key").await.swap_remove(0);
        row.standing.as_mut().unwrap().last_modified_seconds -= 1;
        world.catalog.commit(vec![Change::Archive(row)]).await.unwrap();
        assert_eq!(listings(&world).await, before);
    }
}
