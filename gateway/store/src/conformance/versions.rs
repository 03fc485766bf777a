//! Buckets that keep versions.

use http::Method;
use model::bucket::Versioning;

use super::client::{Client, object};

pub(super) async fn histories(client: &Client) {
    if !client.store.capabilities().versions {
        return;
    }
    let bucket = client.bucket("history").await;
    assert_eq!(client.store.survey(&bucket).await.unwrap().versioning, Versioning::Off);
    client.put("/history/k", &[], "before").await;
    client.set_versioning("history", "Enabled").await;
    assert_eq!(client.store.survey(&bucket).await.unwrap().versioning, Versioning::Enabled);

    let one = client.put("/history/k", &[], "one").await.header("x-amz-version-id").to_owned();
    let two = client.put("/history/k", &[], "two").await.header("x-amz-version-id").to_owned();
    let gone = client.send(Method::DELETE, "/history/k", &[], "").await;
    assert_eq!((gone.status.as_u16(), gone.header("x-amz-delete-marker")), (204, "true"));
    let marker = gone.header("x-amz-version-id").to_owned();
    let target = object(&bucket, "k");
    assert_eq!(client.store.head(&target).await.unwrap(), None);
    let listed = client.store.versions(&bucket, &target.key, 10).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|line| (line.version.as_str(), line.size)).collect();
    assert_eq!(listed, [(&*marker, None), (&*two, Some(3)), (&*one, Some(3)), ("null", Some(6))]);
    for (id, text) in [("null", "before"), (&one, "one"), (&two, "two")] {
        let got = client.get(&format!("/history/k?versionId={id}"), &[]).await;
        assert_eq!((got.text(), got.header("x-amz-version-id")), (text, id));
    }
    let marked = model::store::ObjectRef {
        version: Some(model::VersionId::parse(&marker).unwrap()),
        ..target.clone()
    };
    assert_eq!(client.store.head(&marked).await.unwrap(), None);
    client.store.remove_version(&marked).await.unwrap();
    assert_eq!(client.get("/history/k", &[]).await.text(), "two");

    client.set_versioning("history", "Suspended").await;
    assert_eq!(client.store.survey(&bucket).await.unwrap().versioning, Versioning::Suspended);
    client.put("/history/k", &[], "after").await;
    let listed = client.store.versions(&bucket, &target.key, 10).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|line| (line.version.as_str(), line.size)).collect();
    assert_eq!(listed, [("null", Some(5)), (&*two, Some(3)), (&*one, Some(3))]);
    assert_eq!(client.send(Method::DELETE, "/history", &[], "").await.element("Code"), "BucketNotEmpty");
    for id in ["null", &one, &two] {
        client.send(Method::DELETE, &format!("/history/k?versionId={id}"), &[], "").await;
    }
    assert_eq!(client.send(Method::DELETE, "/history", &[], "").await.status, 204);
}
