//! RestoreObject, answer by answer.

use model::catalog::Catalog;
use model::fence::Work;
use model::restore::RestoreStage;
use model::{RestoreState, TapeClass, Tier};

use crate::world::{World, large};

fn days(days: u32) -> String {
    format!("<RestoreRequest><Days>{days}</Days></RestoreRequest>")
}

#[tokio::test]
async fn only_archived_objects_are_restored() {
    let world = World::new().await;
    let ask = async |target: &str, body: &str| world.ask("POST", target, &[], body.as_bytes()).await;
    assert_eq!(ask("/none/key?restore", &days(1)).await.code(), "NoSuchBucket");
    let answer = ask("/bkt/none?restore", &days(1)).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (404, "NoSuchKey"));
    assert!(answer.text().contains("<Key>none</Key>"));
    world.put("hot", &large()).await;
    let answer = ask("/bkt/hot?restore", "").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (403, "InvalidObjectState"));
    assert!(answer.text().contains(
        "<Message>Restore is not allowed for the object's current storage class</Message><StorageClass>STANDARD</StorageClass>"
    ));
    assert_eq!(ask("/bkt/hot?restore&versionId=v1", &days(1)).await.code(), "NoSuchVersion");
    let answer = ask("/bkt/hot?restore&versionId=malformed", &days(1)).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "InvalidArgument"));
    assert!(answer.text().contains("Invalid version id specified"));
}

#[tokio::test]
async fn bodies_are_judged_after_the_object() {
    let world = World::new().await;
    for (key, class) in [("key", TapeClass::Glacier), ("deep", TapeClass::DeepArchive)] {
        world.put(key, &large()).await;
        world.archive(key, class).await;
    }
    let expedited = "<RestoreRequest><Days>1</Days><GlacierJobParameters><Tier>Expedited</Tier></GlacierJobParameters></RestoreRequest>";
    for (target, body, status, code) in [
        ("/bkt/key?restore", "", 400, "MalformedXML"),
        ("/bkt/key?restore", "<RestoreRequest/>", 400, "MalformedXML"),
        ("/bkt/key?restore", "<RestoreRequest><Days>0</Days></RestoreRequest>", 400, "InvalidArgument"),
        ("/bkt/key?restore", "<RestoreRequest><Type>SELECT</Type></RestoreRequest>", 405, "MethodNotAllowed"),
        ("/bkt/deep?restore", expedited, 400, "InvalidArgument"),
    ] {
        let answer = world.ask("POST", target, &[], body.as_bytes()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{target} {body}");
    }
    let counts = world.catalog.counts().await.unwrap();
    assert!(counts.restores.iter().all(|(_, count)| *count == 0));
    assert_eq!(world.ask("POST", "/bkt/key?restore", &[], expedited.as_bytes()).await.status, 202);
}

#[tokio::test]
async fn a_restore_is_accepted_once_and_then_extended() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let row = world.archive("key", TapeClass::Glacier).await;
    let ask = async |body: String| world.ask("POST", "/bkt/key?restore=", &[], body.as_bytes()).await;
    let answer = ask(days(2)).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0));
    assert_eq!(world.bells.take(), [Work::Restore]);
    let mut job = world.catalog.restore_of(row.id).await.unwrap().unwrap();
    assert_eq!((job.days, job.tier, job.state.stage()), (2, Tier::Standard, RestoreStage::Accepted));
    let answer = ask(days(3)).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (409, "RestoreAlreadyInProgress"));
    assert!(answer.text().contains("Object restore is already in progress"));

    use model::clock::Clock;
    let now = world.clock.now();
    job.advance(RestoreState::Copied { until: now.plus_milliseconds(1000) });
    world.catalog.commit(vec![model::catalog::Change::Restore(job)]).await.unwrap();
    assert_eq!(ask(days(3)).await.status, 200, "a live copy lives on");
    let job = world.catalog.restore_of(row.id).await.unwrap().unwrap();
    let until = model::time::DayLength::Real.end(now, 3);
    assert_eq!((job.days, &job.state), (3, &RestoreState::Copied { until }));

    world.clock.advance(5 * 86_400);
    assert_eq!(ask(days(1)).await.status, 202, "an expired copy counts as none");
    assert_ne!(world.catalog.restore_of(row.id).await.unwrap().unwrap().id, job.id);
}

#[tokio::test]
async fn of_many_requests_one_is_accepted() {
    let world = std::sync::Arc::new(World::new().await);
    world.put("key", &large()).await;
    world.archive("key", TapeClass::Glacier).await;
    let asks = (0..16).map(|_| {
        let world = world.clone();
        tokio::spawn(
            async move { world.ask("POST", "/bkt/key?restore", &[], days(1).as_bytes()).await.status },
        )
    });
    let mut accepted = 0;
    for ask in asks.collect::<Vec<_>>() {
        let status = ask.await.unwrap();
        assert!(status == 202 || status == 409);
        accepted += u32::from(status == 202);
    }
    assert_eq!(accepted, 1);
}
