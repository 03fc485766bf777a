//! Readers, writers and the sweeper at once.

use std::sync::Arc;

use dialect::checksum::Md5;

use super::Fixture;
use crate::conformance::client::{noise, object};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_sees_one_version_whole() {
    let fixture = Arc::new(Fixture::new().await);
    fixture.client.put("/bkt/k", &[], noise(20_000, 0)).await;
    let writers = (0..4_u64).map(|writer| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move {
            for round in 0..40 {
                let length = if round % 3 == 0 { 5_000 } else { 1_100_000 };
                let answer = fixture.client.put("/bkt/k", &[], noise(length, writer * 100 + round)).await;
                assert_eq!(answer.status, 200);
            }
        })
    });
    let readers = (0..4).map(|_| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move {
            for _ in 0..150 {
                let answer = fixture.client.get("/bkt/k", &[]).await;
                assert_eq!(answer.header("etag"), format!("\"{}\"", Md5::of(&answer.body).etag()));
            }
        })
    });
    let tasks: Vec<_> = writers.chain(readers).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let last = fixture.client.head(&object(&model::BucketName::parse("bkt").unwrap(), "k")).await;
    fixture.swept_to(usize::from(last.size > 16 << 10)).await;
    assert_eq!(fixture.files("staging"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_compare_and_sets_none_is_lost() {
    let fixture = Arc::new(Fixture::new().await);
    fixture.client.put("/bkt/count", &[], "0").await;
    let workers = (0..4).map(|_| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move {
            let mut done = 0;
            while done < 20 {
                let seen = fixture.client.get("/bkt/count", &[]).await;
                let next = seen.text().parse::<u32>().unwrap() + 1;
                let put = fixture
                    .client
                    .put("/bkt/count", &[("if-match", seen.header("etag"))], next.to_string())
                    .await;
                done += u32::from(put.status == 200);
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(fixture.client.get("/bkt/count", &[]).await.text(), "80");
}
