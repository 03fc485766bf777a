//! Buckets that keep versions, as clients see them, and against a list of what should be there.

use dialect::xml::{self, Element};
use http::Method;
use proptest::prelude::*;

use super::Fixture;
use crate::conformance::Client;
use crate::conformance::client::{Answer, noise};

fn id(answer: &Answer) -> String {
    answer.header("x-amz-version-id").to_owned()
}

#[tokio::test]
async fn a_bucket_without_versions_tells_none() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    let config = client.get("/bkt?versioning", &[]).await;
    assert_eq!((config.status.as_u16(), config.element("Status")), (200, ""));
    assert_eq!(id(&client.put("/bkt/k", &[], "x").await), "");
    let got = client.get("/bkt/k?versionId=null", &[]).await;
    assert_eq!((got.text(), id(&got)), ("x", String::new()));
    assert_eq!(client.get("/bkt/k?versionId=other", &[]).await.element("Code"), "NoSuchVersion");
    let empty = client.send(Method::DELETE, "/bkt/k?versionId=", &[], "").await;
    assert_eq!(empty.element("Code"), "InvalidArgument");
    let other = client.send(Method::DELETE, "/bkt/k?versionId=other", &[], "").await;
    assert_eq!(other.status, 204);
    assert_eq!(client.get("/bkt/k", &[]).await.text(), "x");
    let listed = client.get("/bkt?versions", &[]).await;
    assert_eq!((listed.element("VersionId"), listed.element("IsLatest")), ("null", "true"));
    let gone = client.send(Method::DELETE, "/bkt/k?versionId=null", &[], "").await;
    assert_eq!((gone.status.as_u16(), id(&gone)), (204, String::new()));
    assert_eq!(client.get("/bkt?versions", &[]).await.element("Key"), "");
}

#[tokio::test]
async fn the_setting_is_read_as_it_was_made() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    for (body, code) in [
        ("", "MalformedXML"),
        ("<VersioningConfiguration/>", "MalformedXML"),
        ("<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", "MalformedXML"),
        (
            "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>",
            "NotImplemented",
        ),
    ] {
        assert_eq!(client.put("/bkt?versioning", &[], body).await.element("Code"), code, "{body}");
    }
    assert_eq!(client.put("/none?versioning", &[], "").await.element("Code"), "NoSuchBucket");
    for status in ["Suspended", "Enabled"] {
        client.set_versioning("bkt", status).await;
        assert_eq!(client.get("/bkt?versioning", &[]).await.element("Status"), status);
    }
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.client.get("/bkt?versioning", &[]).await.element("Status"), "Enabled");
}

#[tokio::test]
async fn delete_markers_stand_for_nothing() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.set_versioning("bkt", "Enabled").await;
    client.put("/bkt/k", &[], "x").await;
    let gone = client.send(Method::DELETE, "/bkt/k", &[], "").await;
    let marker = id(&gone);
    for method in [Method::GET, Method::HEAD] {
        let current = client.send(method.clone(), "/bkt/k", &[], "").await;
        assert_eq!(current.status, 404);
        assert_eq!((current.header("x-amz-delete-marker"), id(&current)), ("true", marker.clone()));
        let named = client.send(method, &format!("/bkt/k?versionId={marker}"), &[], "").await;
        assert_eq!(named.status, 405);
        assert_eq!((named.header("x-amz-delete-marker"), named.header("allow")), ("true", "DELETE"));
    }
    let named = client.get(&format!("/bkt/k?versionId={marker}"), &[]).await;
    assert_eq!((named.element("Code"), named.element("ResourceType")), ("MethodNotAllowed", "DeleteMarker"));
    assert_eq!(client.get("/bkt?list-type=2", &[]).await.element("KeyCount"), "0");

    let from = |version: &str| format!("/bkt/k{version}");
    let copied = client.put("/bkt/c", &[("x-amz-copy-source", &from(""))], "").await;
    assert_eq!(copied.element("Code"), "NoSuchKey");
    let named = from(&format!("?versionId={marker}"));
    let copied = client.put("/bkt/c", &[("x-amz-copy-source", &named)], "").await;
    assert_eq!(copied.element("Code"), "InvalidRequest");

    // Conditions see nothing there.
    let matched = client.put("/bkt/k", &[("if-match", "*")], "y").await;
    assert_eq!(matched.element("Code"), "NoSuchKey");
    assert_eq!(client.put("/bkt/k", &[("if-none-match", "*")], "y").await.status, 200);
    assert_eq!(client.put("/bkt/k", &[("if-none-match", "*")], "z").await.status, 412);

    let unmade = client.send(Method::DELETE, &format!("/bkt/k?versionId={marker}"), &[], "").await;
    assert_eq!((unmade.header("x-amz-delete-marker"), id(&unmade)), ("true", marker.clone()));
    let again = client.send(Method::DELETE, &format!("/bkt/k?versionId={marker}"), &[], "").await;
    assert_eq!((again.status.as_u16(), again.header("x-amz-delete-marker")), (204, ""));
    // A key that never was gets one too.
    let never = client.send(Method::DELETE, "/bkt/never", &[], "").await;
    assert_eq!(never.header("x-amz-delete-marker"), "true");
}

#[tokio::test]
async fn copies_and_uploads_name_versions() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.put("/bkt/k", &[("x-amz-meta-a", "0")], "null").await;
    client.set_versioning("bkt", "Enabled").await;
    let old = id(&client.put("/bkt/k", &[("x-amz-meta-a", "1")], "old").await);
    client.put("/bkt/k", &[], "new").await;
    let source = format!("/bkt/k?versionId={old}");
    let copied = client.put("/bkt/c", &[("x-amz-copy-source", &source)], "").await;
    assert_eq!((copied.status.as_u16(), copied.header("x-amz-copy-source-version-id")), (200, &*old));
    let copy = client.get("/bkt/c", &[]).await;
    assert_eq!((copy.text(), copy.header("x-amz-meta-a"), id(&copy)), ("old", "1", id(&copied)));
    for (version, text) in [(&*old, "old"), ("null", "null")] {
        let source = format!("/bkt/k?versionId={version}");
        let back = client.put("/bkt/k", &[("x-amz-copy-source", &source)], "").await;
        assert_eq!(back.status, 200, "an older version becomes the current one again");
        assert_eq!(client.get("/bkt/k", &[]).await.text(), text);
    }
    let unknown = client.put("/bkt/c", &[("x-amz-copy-source", "/bkt/k?versionId=other")], "").await;
    assert_eq!(unknown.element("Code"), "NoSuchVersion");

    let done = client.multipart("/bkt/m", &[], &[noise(5 << 20, 1), noise(9, 2)]).await;
    let head = client.send(Method::HEAD, "/bkt/m", &[], "").await;
    assert_eq!(id(&done), id(&head));
    assert_eq!(id(&done).len(), 32);
    let begun = client.send(Method::POST, "/bkt/p?uploads", &[], "").await;
    let target = format!("/bkt/p?partNumber=1&uploadId={}", begun.element("UploadId"));
    let part = client.put(&target, &[("x-amz-copy-source", &source)], "").await;
    assert_eq!((part.status.as_u16(), part.header("x-amz-copy-source-version-id")), (200, &*old));
}

#[tokio::test]
async fn conditions_of_a_deletion_are_about_what_it_names() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.set_versioning("bkt", "Enabled").await;
    let old = client.put("/bkt/k", &[], "old").await;
    let new = client.put("/bkt/k", &[], "new").await;
    let target = format!("/bkt/k?versionId={}", id(&old));
    let delete = |etag: String| {
        let target = target.clone();
        async move { client.send(Method::DELETE, &target, &[("if-match", &etag)], "").await }
    };
    assert_eq!(delete(new.header("etag").to_owned()).await.status, 412);
    assert_eq!(delete(old.header("etag").to_owned()).await.status, 204);
    assert_eq!(delete(old.header("etag").to_owned()).await.status, 404);
    assert_eq!(client.get("/bkt/k", &[]).await.text(), "new");
}

#[tokio::test]
async fn many_deletions_name_versions() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.set_versioning("bkt", "Enabled").await;
    let one = id(&client.put("/bkt/a", &[], "1").await);
    client.put("/bkt/b", &[], "1").await;
    let marker = id(&client.send(Method::DELETE, "/bkt/b", &[], "").await);
    let body = format!(
        "<Delete><Object><Key>a</Key><VersionId>{one}</VersionId></Object><Object><Key>b</Key><VersionId>{marker}</VersionId></Object>\
         <Object><Key>c</Key></Object><Object><Key>a</Key><VersionId>null</VersionId></Object></Delete>"
    );
    let answer = client.send(Method::POST, "/bkt?delete", &[], body).await;
    let root = xml::read(&answer.body, "DeleteResult", 1 << 20).unwrap();
    let leaf = |line: &Element, name: &str| line.leaf(name).unwrap().unwrap_or_default().to_owned();
    let lines: Vec<_> = root
        .all("Deleted")
        .map(|line| (leaf(line, "Key"), leaf(line, "VersionId"), leaf(line, "DeleteMarker")))
        .collect();
    let line =
        |key: &str, version: &str, marker: &str| (key.to_owned(), version.to_owned(), marker.to_owned());
    let expected =
        [line("a", &one, ""), line("b", &marker, "true"), line("c", "", "true"), line("a", "null", "")];
    assert_eq!(lines, expected);
    let markers: Vec<_> = root.all("Deleted").map(|line| leaf(line, "DeleteMarkerVersionId")).collect();
    assert_eq!((&*markers[1], markers[2].len()), (&*marker, 32));
    assert_eq!(client.get("/bkt/b", &[]).await.text(), "1");
    assert_eq!(client.get("/bkt/a", &[]).await.status, 404);
}

#[tokio::test]
async fn pages_go_on_behind_versions_that_are_gone() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.put("/bkt/k", &[], "0").await;
    client.set_versioning("bkt", "Enabled").await;
    let newest = id(&client.put("/bkt/k", &[], "1").await);
    client.put("/bkt/l", &[], "2").await;
    let first = client.get("/bkt?versions&max-keys=1", &[]).await;
    assert_eq!((first.element("VersionId"), first.element("IsTruncated")), (&*newest, "true"));
    client.send(Method::DELETE, &format!("/bkt/k?versionId={newest}"), &[], "").await;
    let next = format!(
        "/bkt?versions&max-keys=1&key-marker={}&version-id-marker={}",
        first.element("NextKeyMarker"),
        first.element("NextVersionIdMarker")
    );
    let second = client.get(&next, &[]).await;
    assert_eq!((second.element("VersionId"), second.element("IsLatest")), ("null", "true"));
    let last = client.get("/bkt?versions&key-marker=k&version-id-marker=null", &[]).await;
    assert_eq!((last.element("Key"), last.element("IsTruncated")), ("l", "false"));
    for (target, code) in [
        ("/bkt?versions&version-id-marker=null", "InvalidArgument"),
        ("/bkt?versions&key-marker=k&version-id-marker=never", "InvalidArgument"),
        ("/bkt?versions&max-keys=-1", "InvalidArgument"),
        ("/none?versions", "NoSuchBucket"),
    ] {
        assert_eq!(client.get(target, &[]).await.element("Code"), code, "{target}");
    }
}

/// What a client does to keys of one letter.
#[derive(Clone, Debug)]
enum Step {
    Put(usize),
    Delete(usize),
    /// Deletes the entry of a key at this place from the newest.
    Remove(usize, usize),
    Set(&'static str),
}

const KEYS: [&str; 4] = ["a", "b/1", "b/2", "c"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..KEYS.len()).prop_map(Step::Put),
        2 => (0..KEYS.len()).prop_map(Step::Delete),
        3 => (0..KEYS.len(), 0..4_usize).prop_map(|(key, at)| Step::Remove(key, at)),
        1 => prop_oneof![Just("Enabled"), Just("Suspended")].prop_map(Step::Set),
    ]
}

/// An entry as it should be: its id, and its text unless it is a delete marker.
type Expected = (String, Option<String>);

#[derive(Default)]
struct Model {
    status: &'static str,
    keys: [Vec<Expected>; 4],
}

impl Model {
    fn add(&mut self, key: usize, id: String, text: Option<String>) {
        let id = match self.status {
            "" => id + "null",
            _ => id,
        };
        assert_eq!(id == "null", self.status != "Enabled");
        self.keys[key].retain(|(known, _)| *known != id);
        self.keys[key].insert(0, (id, text));
    }

    async fn apply(&mut self, client: &Client, number: usize, step: Step) {
        match step {
            Step::Put(key) => {
                let text = format!("text {number}");
                let put = client.put(&format!("/bkt/{}", KEYS[key]), &[], text.clone()).await;
                self.add(key, id(&put), Some(text));
            }
            Step::Delete(key) => {
                let gone = client.send(Method::DELETE, &format!("/bkt/{}", KEYS[key]), &[], "").await;
                match self.status {
                    "" => self.keys[key].clear(),
                    _ => self.add(key, id(&gone), None),
                }
            }
            Step::Remove(key, at) if at < self.keys[key].len() => {
                let (version, text) = self.keys[key].remove(at);
                let target = format!("/bkt/{}?versionId={version}", KEYS[key]);
                let gone = client.send(Method::DELETE, &target, &[], "").await;
                assert_eq!(gone.header("x-amz-delete-marker") == "true", text.is_none());
            }
            Step::Remove(..) => {}
            Step::Set(status) => {
                client.set_versioning("bkt", status).await;
                self.status = status;
            }
        }
    }

    /// Every entry can be read, the current one without its id, and all are listed in order.
    async fn check(&self, client: &Client, max_keys: usize) {
        for (key, entries) in KEYS.iter().zip(&self.keys) {
            for (version, text) in entries {
                let got = client.get(&format!("/bkt/{key}?versionId={version}"), &[]).await;
                match text {
                    Some(text) => assert_eq!(got.text(), text),
                    None => assert_eq!(got.status, 405),
                }
            }
            let got = client.get(&format!("/bkt/{key}"), &[]).await;
            match entries.first() {
                Some((_, Some(text))) => assert_eq!(got.text(), text),
                _ => assert_eq!(got.status, 404),
            }
        }
        let lines = |range: std::ops::Range<usize>| {
            let mut lines = Vec::new();
            for at in range {
                for (place, (version, text)) in self.keys[at].iter().enumerate() {
                    lines.push((KEYS[at].to_owned(), version.clone(), place == 0, text.is_some()));
                }
            }
            lines
        };
        assert_eq!(walked(client, "", max_keys).await.0, lines(0..4));
        let (rolled, prefixes) = walked(client, "&delimiter=/", max_keys).await;
        assert_eq!(rolled, [lines(0..1), lines(3..4)].concat());
        let below = !self.keys[1].is_empty() || !self.keys[2].is_empty();
        assert_eq!(prefixes, if below { vec!["b/".to_owned()] } else { Vec::new() });
        assert_eq!(walked(client, "&prefix=b/&delimiter=/", max_keys).await.0, lines(1..3));
        let current = client.get("/bkt?list-type=2", &[]).await;
        let count = self.keys.iter().filter(|key| matches!(key.first(), Some((_, Some(_))))).count();
        assert_eq!(current.element("KeyCount"), count.to_string());
    }
}

type Line = (String, String, bool, bool);

/// All pages: key, version id, whether it is latest and an object; and the common prefixes.
async fn walked(client: &Client, query: &str, max_keys: usize) -> (Vec<Line>, Vec<String>) {
    let (mut lines, mut prefixes, mut next) = (Vec::new(), Vec::new(), String::new());
    loop {
        let answer = client.get(&format!("/bkt?versions&max-keys={max_keys}{query}{next}"), &[]).await;
        let root = xml::read(&answer.body, "ListVersionsResult", 1 << 20).unwrap();
        let leaf = |element: &Element, name: &str| element.leaf(name).unwrap().unwrap_or_default().to_owned();
        let mut count = 0;
        for child in &root.children {
            let object = child.name == "Version";
            if object || child.name == "DeleteMarker" {
                let latest = leaf(child, "IsLatest") == "true";
                lines.push((leaf(child, "Key"), leaf(child, "VersionId"), latest, object));
                count += 1;
            } else if child.name == "CommonPrefixes" {
                prefixes.push(leaf(child, "Prefix"));
                count += 1;
            }
        }
        assert!(count <= max_keys);
        if leaf(&root, "IsTruncated") == "false" {
            return (lines, prefixes);
        }
        assert_eq!(count, max_keys, "a short page goes on");
        next = format!("&key-marker={}", leaf(&root, "NextKeyMarker").replace('/', "%2F"));
        if root.child("NextVersionIdMarker").is_some() {
            next.push_str(&format!("&version-id-marker={}", leaf(&root, "NextVersionIdMarker")));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_history_of_every_key_is_as_it_was_made(
        before in prop::collection::vec(step().prop_filter("off", |step| !matches!(step, Step::Set(_))), 0..6),
        status in prop_oneof![Just("Enabled"), Just("Suspended")],
        steps in prop::collection::vec(step(), 1..30),
        max_keys in 1..5_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let mut model = Model::default();
            let steps = before.into_iter().chain([Step::Set(status)]).chain(steps);
            for (number, step) in steps.enumerate() {
                model.apply(&fixture.client, number, step).await;
            }
            model.check(&fixture.client, max_keys).await;
        });
    }
}
