//! Uploads by the form of a browser.

use base64_of::base64;
use bytes::Bytes;
use http::Request;
use model::clock::Clock;

use crate::world::{Answer, KEY_ID, SECRET, World, large};

mod base64_of {
    /// Base64, as far as a form needs it.
    pub fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits = |chunk: &[u8]| {
            let whole = [chunk, &[0, 0]].concat();
            let number = u32::from(whole[0]) << 16 | u32::from(whole[1]) << 8 | u32::from(whole[2]);
            let digit = |at: usize| match at <= chunk.len() {
                true => char::from(DIGITS[(number >> (18 - 6 * at)) as usize & 63]),
                false => '=',
            };
            (0..4).map(digit).collect::<String>()
        };
        bytes.chunks(3).map(digits).collect()
    }
}

/// What a form says.
struct Form<'a> {
    fields: &'a [(&'a str, &'a str)],
    /// Further conditions of the policy.
    conditions: &'a str,
    file: &'a [u8],
    end: &'a str,
    signed: bool,
}

impl Default for Form<'_> {
    fn default() -> Self {
        Self { fields: &[], conditions: "", file: b"bytes", end: "--\r\n", signed: true }
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut block = key.to_vec();
    block.resize(64, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([&pad(0x36)[..], text.as_bytes()].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn send(world: &World, form: Form<'_>) -> Answer {
    let now = world.clock.now();
    let stamp = now.to_string().replace(['-', ':'], "");
    let date = format!("{}Z", stamp.split('.').next().unwrap().trim_end_matches('Z'));
    let day = &date[..8];
    let credential = format!("{KEY_ID}/{day}/us-east-1/s3/aws4_request");
    let until = now.plus_milliseconds(60_000).to_string();
    let policy = format!(
        "{{\"expiration\":\"{until}\",\"conditions\":[{{\"bucket\":\"bkt\"}},[\"starts-with\",\"$key\",\"up/\"],\
         [\"starts-with\",\"$x-amz-credential\",\"\"],[\"starts-with\",\"$x-amz-algorithm\",\"\"],\
         [\"starts-with\",\"$x-amz-date\",\"\"]{}]}}",
        form.conditions
    );
    let policy = base64(policy.as_bytes());
    let key = ["us-east-1", "s3", "aws4_request", &policy]
        .iter()
        .fold(hmac(format!("AWS4{SECRET}").as_bytes(), day), |key, text| hmac(&key, text));
    let signature = hex(&key);
    let mut fields = form.fields.to_vec();
    if form.signed {
        fields.extend([
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", &credential),
            ("x-amz-date", &date),
            ("policy", &policy),
            ("x-amz-signature", &signature),
        ]);
    }
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend_from_slice(
            format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes(),
        );
    }
    body.extend_from_slice(
        b"--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n",
    );
    body.extend_from_slice(form.file);
    body.extend_from_slice(format!("\r\n--xyz{}", form.end).as_bytes());
    let request = Request::post("/bkt")
        .header("host", "gateway")
        .header("content-type", "multipart/form-data; boundary=xyz")
        .header("content-length", body.len())
        .body(Bytes::from(body));
    world.send(request.unwrap()).await
}

#[tokio::test]
async fn a_form_is_an_upload() {
    let world = World::new().await;
    let meta = ",[\"eq\",\"$x-amz-meta-color\",\"red\"],[\"eq\",\"$content-type\",\"text/plain\"]";
    let fields = [("key", "up/${filename}"), ("x-amz-meta-color", "red"), ("Content-Type", "text/plain")];
    let answer = send(&world, Form { fields: &fields, conditions: meta, ..Form::default() }).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.header("location"), Some("http://gateway/bkt/up/a.bin"));
    let got = world.ask("GET", "/bkt/up/a.bin", &[], b"").await;
    assert_eq!((got.text(), got.header("content-type")), ("bytes", Some("text/plain")));
    assert_eq!((got.header("x-amz-meta-color"), got.header("etag")), (Some("red"), answer.header("etag")));

    let status = ",[\"eq\",\"$success_action_status\",\"201\"]";
    let fields = [("key", "up/b"), ("success_action_status", "201")];
    let answer = send(&world, Form { fields: &fields, conditions: status, ..Form::default() }).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(answer.text().contains("<Bucket>bkt</Bucket><Key>up/b</Key>"), "{}", answer.text());
    let redirect = ",[\"starts-with\",\"$success_action_redirect\",\"http\"]";
    let fields = [("key", "up/c"), ("success_action_redirect", "http://there/")];
    let answer = send(&world, Form { fields: &fields, conditions: redirect, ..Form::default() }).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(answer.header("location").unwrap().starts_with("http://there/?bucket=bkt&key=up%2Fc&etag="));
}

#[tokio::test]
async fn a_long_file_is_streamed_and_a_class_is_taken() {
    let world = World::new().await;
    let long: Vec<u8> = large().into_iter().cycle().take(3 << 20).collect();
    let answer = send(&world, Form { fields: &[("key", "up/long")], file: &long, ..Form::default() }).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(world.ask("GET", "/bkt/up/long", &[], b"").await.body, long);
    let odd =
        send(&world, Form { fields: &[("key", "up/odd")], file: &long, end: "--", ..Form::default() }).await;
    assert_eq!((odd.status.as_u16(), odd.code()), (400, "MalformedPOSTRequest"));
    assert_eq!(
        world.ask("HEAD", "/bkt/up/odd", &[], b"").await.status,
        404,
        "nothing of it became an object"
    );
    let short = send(&world, Form { fields: &[("key", "up/odd")], end: "--", ..Form::default() }).await;
    assert_eq!(short.status, 204, "{}", short.text());

    let class = ",[\"eq\",\"$x-amz-storage-class\",\"GLACIER\"]";
    let fields = [("key", "up/cold"), ("x-amz-storage-class", "GLACIER")];
    let answer = send(&world, Form { fields: &fields, conditions: class, ..Form::default() }).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(world.ask("GET", "/bkt/up/cold", &[], b"").await.code(), "InvalidObjectState");
    assert_eq!(world.rows("up/cold").await.len(), 1);
}

#[tokio::test]
async fn a_form_does_what_its_policy_says_and_nothing_else() {
    let world = World::new().await;
    for (fields, conditions, code) in [
        (&[("key", "down/a")][..], "", "AccessDenied"),
        (&[("key", "up/a"), ("acl", "public-read")], "", "AccessDenied"),
        (&[("key", "up/a")], ",[\"content-length-range\",6,9]", "EntityTooSmall"),
        (&[("key", "up/a")], ",[\"content-length-range\",0,4]", "EntityTooLarge"),
        (
            &[("key", "up/a"), ("x-amz-meta-tapegate", "v1")],
            ",[\"eq\",\"$x-amz-meta-tapegate\",\"v1\"]",
            "InvalidRequest",
        ),
    ] {
        let answer = send(&world, Form { fields, conditions, ..Form::default() }).await;
        assert_eq!(answer.code(), code, "{fields:?} {conditions}");
    }
    let unsigned = send(&world, Form { fields: &[("key", "up/a")], signed: false, ..Form::default() }).await;
    assert_eq!(unsigned.code(), "AccessDenied");
    assert_eq!(world.ask("HEAD", "/bkt/up/a", &[], b"").await.status, 404);
    let _gate = world.close("up/a").await;
    assert_eq!(send(&world, Form { fields: &[("key", "up/a")], ..Form::default() }).await.code(), "SlowDown");
}
