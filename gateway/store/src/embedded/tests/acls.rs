//! ACLs: what was set is told, in every form.

use http::Method;

use super::Fixture;
use crate::conformance::Client;
use crate::conformance::client::noise;

const ALL: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
type Headers<'a> = &'a [(&'a str, &'a str)];

const OWN: &str = "tapegate FULL_CONTROL";

/// Grantee and permission of every grant.
async fn grants(client: &Client, target: &str) -> Vec<String> {
    let answer = client.get(target, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let policy = dialect::xml::read(&answer.body, "AccessControlPolicy", 1 << 20).unwrap();
    assert_eq!(policy.child("Owner").unwrap().leaf("ID").unwrap(), Some("tapegate"));
    let told = |grant: &dialect::xml::Element| {
        let grantee = grant.child("Grantee").unwrap();
        let name = grantee.leaf("ID").unwrap().or(grantee.leaf("URI").unwrap()).unwrap().to_owned();
        format!("{} {}", name.trim_start_matches(ALL), grant.leaf("Permission").unwrap().unwrap())
    };
    policy.child("AccessControlList").unwrap().all("Grant").map(told).collect()
}

fn policy(grants: &str) -> String {
    format!(
        "<AccessControlPolicy><Owner><ID>tapegate</ID></Owner><AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    )
}

#[tokio::test]
async fn what_was_granted_is_told() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    let all = format!("uri=\"{ALL}\"");
    let two = format!("id=\"tapegate\", {all}");
    let cases: [(Headers<'_>, &[&str]); 7] = [
        (&[], &[OWN]),
        (&[("x-amz-acl", "private")], &[OWN]),
        (&[("x-amz-acl", "bucket-owner-full-control")], &[OWN]),
        (&[("x-amz-acl", "public-read-write")], &[OWN, " READ", " WRITE"]),
        (&[("x-amz-grant-full-control", "id=tapegate")], &[OWN]),
        (&[("x-amz-grant-read", &two)], &["tapegate READ", " READ"]),
        (&[("x-amz-grant-write-acp", "id=\"b,c\""), ("x-amz-grant-read", &all)], &["b,c WRITE_ACP", " READ"]),
    ];
    for (headers, expected) in cases {
        client.put("/bkt/put", headers, "x").await;
        client.multipart("/bkt/multipart", headers, &[noise(9, 2)]).await;
        let copied = [headers, &[("x-amz-copy-source", "/bkt/put")]].concat();
        client.put("/bkt/copy", &copied, "").await;
        for target in ["/bkt/put?acl", "/bkt/multipart?acl", "/bkt/copy?acl"] {
            assert_eq!(grants(client, target).await, expected, "{target} {headers:?}");
        }
        if !headers.is_empty() {
            assert_eq!(client.put("/bkt/later", &[], "x").await.status, 200);
            for target in ["/bkt/later?acl", "/bkt?acl"] {
                assert_eq!(client.put(target, headers, "").await.status, 200);
                assert_eq!(grants(client, target).await, expected, "{target} {headers:?}");
            }
        }
    }
    // An ACL is not copied.
    client.put("/bkt/plain", &[("x-amz-copy-source", "/bkt/put")], "").await;
    assert_eq!(grants(client, "/bkt/plain?acl").await, [OWN]);
    client.put("/bk2", &[("x-amz-acl", "authenticated-read")], "").await;
    assert_eq!(grants(client, "/bk2?acl").await.len(), 2);
}

#[tokio::test]
async fn documents_are_taken_as_they_are_told() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.put("/bkt/k", &[("x-amz-acl", "public-read")], "x").await;
    let before = client.get("/bkt/k", &[]).await;
    let told = client.get("/bkt/k?acl", &[]).await;
    assert!(told.text().contains("xsi:type=\"Group\"") && told.text().contains("xsi:type=\"CanonicalUser\""));
    assert_eq!(client.put("/bkt/k?acl", &[], policy("")).await.status, 200);
    assert_eq!(grants(client, "/bkt/k?acl").await, [""; 0]);
    assert_eq!(client.put("/bkt/k?acl", &[], told.body.clone()).await.status, 200);
    let fixture = fixture.reopen().await;
    let client = &fixture.client;
    assert_eq!(client.get("/bkt/k?acl", &[]).await.body, told.body);
    let after = client.get("/bkt/k", &[]).await;
    assert_eq!(after.header("last-modified"), before.header("last-modified"));
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.put("/bkt/k", &[], "kept").await;
    let canned = |name| ("x-amz-acl", name);
    let read = |value| ("x-amz-grant-read", value);
    let cases: [(Headers<'_>, &str); 8] = [
        (&[canned("public")], "InvalidArgument"),
        (&[canned("aws-exec-read")], "NotImplemented"),
        (&[canned("private"), read("id=a")], "InvalidRequest"),
        (&[read("a")], "InvalidArgument"),
        (&[read("id=")], "InvalidArgument"),
        (&[read("name=a")], "InvalidArgument"),
        (&[read("uri=\"http://nowhere\"")], "InvalidArgument"),
        (&[read("emailAddress=\"a@b\"")], "NotImplemented"),
    ];
    for (headers, code) in cases {
        for (target, body) in [("/bkt/k", "lost"), ("/bkt/k?acl", ""), ("/bkt?acl", ""), ("/new", "")] {
            assert_eq!(client.put(target, headers, body).await.element("Code"), code, "{target} {headers:?}");
        }
    }
    let grant = |grantee: &str, permission: &str| {
        policy(&format!("<Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant>"))
    };
    let many: String = (0..101)
        .map(|number| {
            format!("<Grant><Grantee><ID>{number}</ID></Grantee><Permission>READ</Permission></Grant>")
        })
        .collect();
    for (body, code) in [
        (String::new(), "MalformedXML"),
        (grant("<ID>a</ID>", "ALL"), "MalformedXML"),
        (grant("", "READ"), "MalformedXML"),
        (grant("<ID>a</ID><URI>b</URI>", "READ"), "MalformedXML"),
        (grant("<EmailAddress>a</EmailAddress>", "READ"), "NotImplemented"),
        (grant("<URI>b</URI>", "READ"), "InvalidArgument"),
        (policy(&many), "InvalidArgument"),
        (policy("").replace("tapegate", "other"), "AccessDenied"),
    ] {
        assert_eq!(client.put("/bkt/k?acl", &[], body.clone()).await.element("Code"), code, "{body}");
    }
    let both = client.put("/bkt/k?acl", &[canned("private")], policy("")).await;
    assert_eq!(both.element("Code"), "UnexpectedContent");
    assert_eq!(grants(client, "/bkt/k?acl").await, [OWN]);
    assert_eq!(client.get("/bkt/k", &[]).await.text(), "kept");
    assert_eq!(client.get("/bkt/none?acl", &[]).await.element("Code"), "NoSuchKey");
    assert_eq!(client.send(Method::GET, "/none?acl", &[], "").await.element("Code"), "NoSuchBucket");
}
