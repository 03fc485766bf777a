//! Stubs and reserved headers where they do not belong: whoever put them there, nobody gets another object's bytes, nor
//! its size or its ETag.

mod ways;

use model::TapeClass;

use crate::world::{Answer, World, large};
use ways::{PHRASE, RECORD, Secret, WAYS, Way, forge, past, secret_bytes, world};

const DAYS: &[u8] = b"<RestoreRequest><Days>1</Days></RestoreRequest>";

/// Everything that may tell something of an object.
async fn reads(world: &World, place: &str) -> Vec<(String, Answer)> {
    let create = world.ask("POST", "/bkt/parts?uploads", &[], b"").await;
    let upload = create.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let part = format!("/bkt/parts?partNumber=1&uploadId={upload}");
    let asked = [("x-amz-object-attributes", "ETag,ObjectSize,StorageClass,Checksum")];
    let class = ("x-amz-storage-class", "GLACIER");
    let source = ("x-amz-copy-source", place);
    let replaced = ("x-amz-metadata-directive", "REPLACE");
    let mut told = Vec::new();
    for (method, target, headers, body) in [
        ("GET", place.to_owned(), &[][..], &b""[..]),
        ("HEAD", place.to_owned(), &[("x-amz-checksum-mode", "ENABLED")], b""),
        ("GET", place.to_owned(), &[("range", "bytes=0-9")], b""),
        ("GET", place.to_owned(), &[("range", "bytes=5000-")], b""),
        ("GET", place.to_owned(), &[("if-match", "\"0\"")], b""),
        ("GET", format!("{place}?partNumber=1"), &[], b""),
        ("GET", format!("{place}?x-unheard"), &[], b""),
        ("PUT", "/bkt/gained".to_owned(), &[source], b""),
        ("PUT", "/bkt/gained".to_owned(), &[source, replaced], b""),
        ("PUT", "/bkt/gained".to_owned(), &[source, class], b""),
        ("PUT", "/free/gained".to_owned(), &[source], b""),
        ("PUT", "/free/gained?x-unheard".to_owned(), &[source], b""),
        ("PUT", part, &[source], b""),
        ("POST", format!("{place}?restore"), &[], DAYS),
        ("GET", format!("{place}?attributes"), &asked, b""),
        ("GET", format!("{place}?tagging"), &[], b""),
        ("GET", format!("{place}?acl"), &[], b""),
    ] {
        let answer = world.ask(method, &target, headers, body).await;
        told.push((format!("{method} {target} {headers:?}"), answer));
    }
    told
}

/// How often the listings of both buckets speak of the size or the ETag of the secret.
async fn listed(world: &World, secret: &Secret) -> Vec<[usize; 2]> {
    let mut counts = Vec::new();
    for name in ["bkt", "other"] {
        for query in ["", "?list-type=2", "?versions"] {
            let answer = world.ask("GET", &format!("/{name}{query}"), &[], b"").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let size = format!("<Size>{}</Size>", secret_bytes().len());
            let count = |text: &str| answer.text().matches(text).count();
            counts.push([count(&size), count(&secret.etag)]);
        }
    }
    counts
}

fn tells_nothing(secret: &Secret, case: &str, answer: &Answer) {
    let body = String::from_utf8_lossy(&answer.body);
    let size = secret_bytes().len().to_string();
    for told in [PHRASE, "v1;", &secret.etag, &size, &secret.row.id.to_string()] {
        assert!(!tells(&body, told), "{case}: {told:?} in {body}");
        for (name, value) in &answer.headers {
            assert!(!tells(value.to_str().unwrap(), told), "{case}: {told:?} in {name}: {value:?}");
        }
    }
    assert!(answer.header("x-amz-restore").is_none(), "{case}");
}

/// Whether a text has these words, and not only as a piece of another word, as the digits of an ETag may be.
fn tells(text: &str, words: &str) -> bool {
    let is_word = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
    text.match_indices(words).any(|(start, _)| {
        let (before, after) = (&text.as_bytes()[..start], &text.as_bytes()[start + words.len()..]);
        !is_word(before.last()) && (!is_word(after.first()) || words.ends_with(';'))
    })
}

async fn is_still_right(world: &World, case: &str) {
    let got = world.ask("GET", "/bkt/secret", &[], b"").await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, &secret_bytes()[..]), "{case}");
    let got = world.ask("GET", "/bkt/secret?x-unheard", &[], b"").await;
    assert_eq!(
        (got.status.as_u16(), &got.body[..]),
        (200, &secret_bytes()[..]),
        "{case}: nor is it its stub"
    );
    let head = world.ask("HEAD", "/bkt/secret", &[], b"").await;
    let size = secret_bytes().len().to_string();
    assert_eq!(head.header("content-length"), Some(size.as_str()), "{case}");
    assert_eq!(head.header("x-amz-storage-class"), Some("GLACIER"), "{case}");
}

#[tokio::test]
async fn a_stub_in_the_wrong_place_gives_nobody_bytes() {
    for (remote, versions) in [(false, false), (true, false), (true, true)] {
        for way in WAYS {
            let (world, secret) = world(remote, versions).await;
            let before = listed(&world, &secret).await;
            let place = forge(&world, way, &secret).await;
            let case = format!("{way:?}, remote: {remote}, versions: {versions}");
            for (what, answer) in reads(&world, place).await {
                let case = format!("{case}: {what}");
                tells_nothing(&secret, &case, &answer);
                // What is wrong with a condition or a range, and what has no header: of the forged object itself.
                const OF_THE_STORE: [&str; 5] = ["attributes", "?tagging", "?acl", "5000-", "if-match"];
                let is_told_by_the_store = OF_THE_STORE.iter().any(|of| what.contains(of));
                if what.contains("/free/gained?x-unheard") {
                    assert_eq!((answer.status.as_u16(), answer.code()), (501, "NotImplemented"), "{case}");
                } else if !is_told_by_the_store {
                    assert_eq!(answer.status, 403, "{case} {}", answer.text());
                }
            }
            for gained in ["/bkt/gained", "/free/gained"] {
                assert_eq!(world.ask("GET", gained, &[], b"").await.status, 404, "{case}");
            }
            is_still_right(&world, &case).await;
            if matches!(way, Way::Dead | Way::Former | Way::Direct) {
                // Objects of the same size were written for these.
                continue;
            }
            assert_eq!(listed(&world, &secret).await, before, "{case}");
        }
    }
}

#[tokio::test]
async fn a_record_speaks_for_the_bytes_it_was_written_with() {
    for (remote, versions) in [(false, false), (true, false), (false, true), (true, true)] {
        let (world, secret) = world(remote, versions).await;
        let case = format!("remote: {remote}, versions: {versions}");
        let id =
            world.ask("HEAD", "/bkt/secret", &[], b"").await.header("x-amz-version-id").map(str::to_owned);
        // The stub itself comes back as another version, or another object has its record.
        let body = if versions { secret.stub.clone() } else { b"other".repeat(99) };
        past(&world, "PUT", "/bkt/secret", Some(secret.record.as_bytes()), &body).await;
        for (what, answer) in reads(&world, "/bkt/secret").await {
            if ["?tagging", "?acl", "/free/gained?x-unheard"].iter().any(|of| what.contains(of)) {
                continue;
            }
            tells_nothing(&secret, &format!("{case} {what}"), &answer);
            assert_eq!(answer.status, 403, "{case} {what} {}", answer.text());
        }
        if let Some(id) = id {
            let got = world.ask("GET", &format!("/bkt/secret?versionId={id}"), &[], b"").await;
            assert_eq!((got.status.as_u16(), &got.body[..]), (200, &secret_bytes()[..]), "{case}");
        }
        assert!(world.rows("secret").await[0].touched, "{case}: the engine is to look");
    }
}

#[tokio::test]
async fn a_version_id_is_one_keys_alone() {
    for remote in [false, true] {
        let (world, secret) = world(remote, true).await;
        world.put("warm", &large()).await;
        world.put("cold", &large()).await;
        world.archive("cold", TapeClass::Glacier).await;
        let shown = world.ask("HEAD", "/bkt/secret", &[], b"").await;
        let shown = shown.header("x-amz-version-id").unwrap().to_owned();
        let standing = secret.row.standing.as_ref().unwrap().version.as_ref().unwrap().to_string();
        for (key, id) in [("warm", &shown), ("warm", &standing), ("cold", &shown), ("cold", &standing)] {
            let place = format!("/bkt/{key}?versionId={id}");
            let source = [("x-amz-copy-source", place.as_str())];
            for (method, target, headers) in [
                ("GET", place.clone(), &[][..]),
                ("HEAD", place.clone(), &[]),
                ("GET", format!("{place}&partNumber=1"), &[]),
                ("GET", format!("{place}&attributes"), &[("x-amz-object-attributes", "ETag,ObjectSize")]),
                ("GET", format!("{place}&tagging"), &[]),
                ("POST", format!("{place}&restore"), &[]),
                ("PUT", "/bkt/gained".to_owned(), &source),
                ("PUT", "/free/gained".to_owned(), &source),
            ] {
                let answer = world.ask(method, &target, headers, DAYS).await;
                let case = format!("remote: {remote} {method} {target} {headers:?}");
                tells_nothing(&secret, &case, &answer);
                assert_eq!(answer.status, 404, "{case} {}", answer.text());
            }
        }
        is_still_right(&world, "versions").await;
    }
}

#[tokio::test]
async fn clients_set_no_reserved_header() {
    let (world, secret) = world(true, false).await;
    let (record, source) = (secret.record.as_str(), ("x-amz-copy-source", "/free/warm"));
    assert_eq!(world.ask("PUT", "/free/warm", &[], b"warm").await.status, 200);
    let replaced = ("x-amz-metadata-directive", "REPLACE");
    for name in
        [RECORD, "X-Amz-Meta-TapeGate", "x-goog-meta-tapegate", "x-rgw-meta-tapegate", "x-amz-meta_tapegate"]
    {
        let header = (name, record);
        for (method, target, headers) in [
            ("PUT", "/bkt/forged".to_owned(), &[header][..]),
            ("PUT", "/free/forged".to_owned(), &[header]),
            ("PUT", "/bkt/secret".to_owned(), &[header]),
            ("PUT", "/bkt/forged".to_owned(), &[header, source, replaced]),
            ("PUT", "/bkt/forged".to_owned(), &[header, source]),
            ("PUT", "/bkt/forged?x-unheard".to_owned(), &[header]),
            ("POST", "/bkt/forged?uploads".to_owned(), &[header]),
            ("PUT", format!("/bkt/forged?{name}=v1"), &[]),
            ("GET", format!("/bkt/forged?{name}=v1"), &[]),
        ] {
            let answer = world.ask(method, &target, headers, b"x").await;
            let case = format!("{method} {target} {headers:?}");
            assert_eq!((answer.status.as_u16(), answer.code()), (400, "InvalidRequest"), "{case}");
        }
    }
    let heard = world.store.guard().heard();
    assert!(heard.iter().all(|heard| !heard.target.contains("forged")), "{heard:?}");
    let kept = [("x-amz-meta-tapegates", "1"), ("x-amz-meta-my-tapegate", "2")];
    assert_eq!(world.ask("PUT", "/bkt/own", &kept, b"x").await.status, 200, "other names are free");
    is_still_right(&world, "after all").await;
}

#[tokio::test]
async fn no_copy_has_a_source_that_reads_in_two_ways() {
    let (world, secret) = world(true, false).await;
    let copy = format!("{:02x}/{}", secret.row.id.as_u128() & 0xff, secret.row.id);
    world.store.guard().heard();
    for source in [
        ":bkt/secret".to_owned(),
        "/:bkt/secret".to_owned(),
        "tenant:bkt/secret".to_owned(),
        "//bkt/secret".to_owned(),
        "%3Abkt%2Fsecret".to_owned(),
        format!("tapegate-reserved/{copy}"),
        format!("/%74apegate-reserved/{copy}"),
        format!("/tapegate-reserved%2F{copy}"),
        format!("tapegate-reserved/{copy}?versionId=null"),
        format!(":tapegate-reserved/{copy}"),
        format!("%3atapegate-reserved%2f{copy}"),
        format!("//tapegate-reserved/{copy}"),
    ] {
        for target in
            ["/bkt/gained", "/free/gained", "/free/gained?x-unheard", "/free/gained?partNumber=1&uploadId=u"]
        {
            let answer = world.ask("PUT", target, &[("x-amz-copy-source", &source)], b"").await;
            assert!(matches!(answer.status.as_u16(), 400 | 404), "{target} {source} {}", answer.text());
            let blank = answer.text().replace(&source, "");
            tells_nothing(&secret, &source, &Answer { body: blank.into(), ..answer });
        }
    }
    let twice = [("x-amz-copy-source", "/free/none"), ("x-amz-copy-source", "/bkt/secret")];
    for target in ["/bkt/gained", "/free/gained"] {
        assert_eq!(world.ask("PUT", target, &twice, b"").await.code(), "InvalidArgument", "{target}");
    }
    for (source, read_as) in [
        ("bkt/secret?x", "/bkt/secret%3Fx"),
        ("bkt/secret?versionId=null&x", "/bkt/secret?versionId=null%26x"),
        ("bkt/secret?versionId=%6eull", "/bkt/secret?versionId=%256eull"),
    ] {
        world.store.guard().heard();
        let answer = world.ask("PUT", "/free/gained", &[("x-amz-copy-source", source)], b"").await;
        assert!(answer.status.is_client_error(), "{source} {}", answer.text());
        let heard = world.store.guard().heard();
        let sources = heard.iter().filter_map(|heard| heard.source.as_deref());
        assert!(sources.clone().all(|told| told == read_as), "{source}: {:?}", sources.collect::<Vec<_>>());
    }
    is_still_right(&world, "after all").await;
}

#[tokio::test]
async fn a_stub_where_nothing_is_archived_is_its_own_text_and_goes_no_further() {
    for remote in [false, true] {
        let (world, secret) = world(remote, false).await;
        past(&world, "PUT", "/free/secret", Some(secret.record.as_bytes()), &secret.stub).await;
        let got = world.ask("GET", "/free/secret", &[], b"").await;
        assert_eq!((got.status.as_u16(), &got.body[..]), (200, &secret.stub[..]));
        let head = world.ask("HEAD", "/free/secret", &[], b"").await;
        assert_eq!(head.header("content-length"), Some(secret.stub.len().to_string().as_str()));
        assert_eq!((head.header("x-amz-storage-class"), head.header("x-amz-restore")), (None, None));
        let source = ("x-amz-copy-source", "/free/secret");
        for headers in [&[source][..], &[source, ("x-amz-storage-class", "GLACIER")]] {
            for target in ["/bkt/gained", "/bkt/secret", "/other/secret"] {
                let answer = world.ask("PUT", target, headers, b"").await;
                assert_eq!((answer.status.as_u16(), answer.code()), (403, "AccessDenied"), "{target}");
            }
        }
        assert_eq!(world.ask("POST", "/free/secret?restore", &[], DAYS).await.status, 501);
        is_still_right(&world, "after all").await;
    }
}

#[tokio::test]
async fn restored_copies_have_no_name_for_clients() {
    let (world, secret) = world(true, false).await;
    let copy = format!("{:02x}/{}", secret.row.id.as_u128() & 0xff, secret.row.id);
    for name in ["tapegate-reserved", "%74apegate-reserved"] {
        for (method, target, headers, body) in [
            ("GET", format!("/{name}/{copy}"), &[][..], ""),
            ("HEAD", format!("/{name}/{copy}"), &[], ""),
            ("GET", format!("/{name}/{copy}?attributes"), &[("x-amz-object-attributes", "ETag")], ""),
            ("GET", format!("/{name}/{copy}?x-unheard"), &[], ""),
            ("POST", format!("/{name}/{copy}?restore"), &[], "<RestoreRequest/>"),
            ("PUT", format!("/{name}/{copy}"), &[], "other bytes"),
            ("PUT", format!("/{name}/{copy}"), &[("x-amz-copy-source", "/bkt/secret")], ""),
            ("DELETE", format!("/{name}/{copy}"), &[], ""),
            ("POST", format!("/{name}/{copy}?uploads"), &[], ""),
            ("GET", format!("/{name}"), &[], ""),
            ("GET", format!("/{name}?versions"), &[], ""),
            ("GET", format!("/{name}?uploads"), &[], ""),
            ("DELETE", format!("/{name}"), &[], ""),
        ] {
            let answer = world.ask(method, &target, headers, body.as_bytes()).await;
            assert_eq!(answer.status, 404, "{method} {target} {}", answer.text());
            tells_nothing(&secret, &target, &Answer { body: "".into(), ..answer });
        }
    }
    assert!(!world.ask("GET", "/", &[], b"").await.text().contains("reserved"));
    is_still_right(&world, "after all").await;
}
