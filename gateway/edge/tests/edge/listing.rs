//! Listings of buckets with archived objects.

use model::TapeClass;

use crate::world::{World, large};

#[tokio::test]
async fn archived_objects_are_listed_as_they_were() {
    let world = World::new().await;
    for key in ["cold", "hot", "warm"] {
        world.put(key, &large()).await;
    }
    let before = world.ask("GET", "/bkt?list-type=2", &[], b"").await;
    let cold = world.archive("cold", TapeClass::Glacier).await;
    let warm = world.archive("warm", TapeClass::DeepArchive).await;
    let after = world.ask("GET", "/bkt?list-type=2", &[], b"").await;
    let dressed = after.text().replace("DEEP_ARCHIVE", "STANDARD").replace("GLACIER", "STANDARD");
    assert_eq!(dressed, before.text());
    assert!(
        after.text().contains("<Key>cold</Key>")
            && after.text().contains("<StorageClass>GLACIER</StorageClass>")
    );

    world.restored(&warm, &large(), 3600).await;
    world.job(&cold, model::RestoreState::Queued).await;
    for target in ["/bkt", "/bkt?list-type=2&encoding-type=url"] {
        let plain = world.ask("GET", target, &[], b"").await;
        assert!(!plain.text().contains("RestoreStatus"));
        assert!(plain.text().contains("DEEP_ARCHIVE"), "a restored object keeps its class");
        let asked =
            world.ask("GET", target, &[("x-amz-optional-object-attributes", "RestoreStatus")], b"").await;
        assert!(
            asked
                .text()
                .contains("<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>")
        );
        assert!(asked.text().contains("<IsRestoreInProgress>false</IsRestoreInProgress><RestoreExpiryDate>"));
        assert_eq!(asked.text().matches("<RestoreStatus>").count(), 2);
    }
    let other = world.ask("GET", "/bkt", &[("x-amz-optional-object-attributes", "Other")], b"").await;
    assert_eq!(other.code(), "InvalidArgument");
}

#[tokio::test]
async fn an_overwritten_object_is_listed_as_it_is() {
    let world = World::new().await;
    world.put("key", &large()).await;
    world.archive("key", TapeClass::Glacier).await;
    world.put("key", b"new").await;
    let answer = world.ask("GET", "/bkt", &[], b"").await;
    assert!(
        answer.text().contains("<Size>3</Size>") && !answer.text().contains("GLACIER"),
        "{}",
        answer.text()
    );
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.text(), "new");
}
