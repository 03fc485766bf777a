//! The store against a map of what it should hold: random writes, deletes and copies, and every way to list.

use std::collections::{BTreeMap, BTreeSet};

use dialect::xml;
use http::Method;
use proptest::prelude::*;

use super::Fixture;
use crate::conformance::Client;
use crate::s3_store::request::escape_key;

#[derive(Clone, Debug)]
enum Step {
    Put(String, usize),
    Delete(String),
    Copy(String, String),
    Create(String),
}

#[derive(Clone, Debug)]
struct Listing {
    prefix: String,
    delimiter: String,
    after: String,
    max_keys: usize,
    second: bool,
}

fn key() -> impl Strategy<Value = String> {
    "[ab/é+]{1,4}"
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (key(), prop_oneof![0..20_usize, Just(16_384), Just(16_385)]).prop_map(|(key, size)| Step::Put(key, size)),
        2 => key().prop_map(Step::Delete),
        1 => (key(), key()).prop_map(|(from, to)| Step::Copy(from, to)),
        1 => key().prop_map(Step::Create),
    ]
}

fn listing() -> impl Strategy<Value = Listing> {
    let delimiter = prop_oneof![Just(""), Just("/"), Just("b"), Just("a/"), Just("é")];
    ("[ab/é]{0,2}", delimiter, "[ab/]{0,2}", 1..6_usize, any::<bool>()).prop_map(
        |(prefix, delimiter, after, max_keys, second)| Listing {
            prefix,
            delimiter: delimiter.to_owned(),
            after,
            max_keys,
            second,
        },
    )
}

/// What a listing must show in all its pages: keys, and common prefixes that sort after where it begins.
fn expected(model: &BTreeMap<String, usize>, ask: &Listing) -> BTreeSet<String> {
    let rolled = |key: &str| match key[ask.prefix.len()..].find(&ask.delimiter) {
        Some(at) if !ask.delimiter.is_empty() => {
            key[..ask.prefix.len() + at + ask.delimiter.len()].to_owned()
        }
        _ => key.to_owned(),
    };
    let keys = model.keys().filter(|key| key.starts_with(&ask.prefix));
    keys.map(|key| rolled(key)).filter(|shown| *shown > ask.after).collect()
}

async fn listed(client: &Client, ask: &Listing) -> Vec<String> {
    let mut shown = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut target = format!(
            "/bkt?max-keys={}&prefix={}&delimiter={}",
            ask.max_keys,
            escape_query(&ask.prefix),
            escape_query(&ask.delimiter)
        );
        match (ask.second, &next) {
            (true, None) => {
                target.push_str(&format!("&list-type=2&start-after={}", escape_query(&ask.after)))
            }
            (true, Some(token)) => target.push_str(&format!("&list-type=2&continuation-token={token}")),
            (false, next) => {
                target.push_str(&format!("&marker={}", escape_query(next.as_ref().unwrap_or(&ask.after))));
            }
        }
        let answer = client.get(&target, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let root = xml::read(&answer.body, "ListBucketResult", 1 << 20).unwrap();
        let text =
            |element: &xml::Element, name: &str| element.child(name).unwrap().exact().unwrap().to_owned();
        let mut page: Vec<String> = root.all("Contents").map(|entry| text(entry, "Key")).collect();
        page.extend(root.all("CommonPrefixes").map(|entry| text(entry, "Prefix")));
        page.sort();
        assert!(page.len() <= ask.max_keys);
        let more = root.leaf("IsTruncated").unwrap() == Some("true");
        assert!(!more || page.len() == ask.max_keys, "a short page goes on");
        next = match (more, ask.second) {
            (false, _) => None,
            (true, true) => Some(text(&root, "NextContinuationToken")),
            (true, false) => page.last().cloned(),
        };
        shown.extend(page);
        if !more {
            return shown;
        }
    }
}

fn escape_query(text: &str) -> String {
    escape_key(text).replace('/', "%2F")
}

async fn apply(client: &Client, model: &mut BTreeMap<String, usize>, step: Step) {
    let target = |key: &str| format!("/bkt/{}", escape_key(key));
    match step {
        Step::Put(key, size) => {
            assert_eq!(client.put(&target(&key), &[], "x".repeat(size)).await.status, 200);
            model.insert(key, size);
        }
        Step::Delete(key) => {
            assert_eq!(client.send(Method::DELETE, &target(&key), &[], "").await.status, 204);
            model.remove(&key);
        }
        Step::Copy(from, to) => {
            let answer = client.put(&target(&to), &[("x-amz-copy-source", &target(&from))], "").await;
            match model.get(&from) {
                None => assert_eq!(answer.element("Code"), "NoSuchKey"),
                Some(_) if from == to => assert_eq!(answer.element("Code"), "InvalidRequest"),
                Some(size) => {
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    let size = *size;
                    model.insert(to, size);
                }
            }
        }
        Step::Create(key) => {
            let answer = client.put(&target(&key), &[("if-none-match", "*")], "created").await;
            assert_eq!(answer.status == 200, !model.contains_key(&key));
            model.entry(key).or_insert(7);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_store_holds_what_a_map_would(
        steps in prop::collection::vec(step(), 1..40),
        listings in prop::collection::vec(listing(), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let mut model = BTreeMap::new();
            for step in steps {
                apply(&fixture.client, &mut model, step).await;
            }
            for (key, size) in &model {
                let got = fixture.client.get(&format!("/bkt/{}", escape_key(key)), &[]).await;
                assert_eq!(got.body.len(), *size, "{key}");
            }
            for ask in listings {
                let shown = listed(&fixture.client, &ask).await;
                let expected: Vec<String> = expected(&model, &ask).into_iter().collect();
                assert_eq!(shown, expected, "{ask:?}");
            }
        });
    }
}
