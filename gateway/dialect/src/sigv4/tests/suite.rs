//! The signing test suite published with AWS's own signers, as far as S3 shares its rules: without the cases that
//! normalise paths, fold header lines or add session tokens.

use super::super::AmzDate;
use super::super::EMPTY_SHA256;
use super::super::canonical::{Canonical, Query, SignedHeaders, paths, string_to_sign};
use super::super::key::{Secret, SigningKey};
use super::super::scope::Scope;
use http::{HeaderMap, HeaderName};

type Case = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

#[test]
fn published_suite() {
    for (name, method, target, pairs, signature) in CASES {
        let mut headers = HeaderMap::new();
        headers.insert("host", "example.amazonaws.com".parse().unwrap());
        headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
        for (header, value) in *pairs {
            headers.append(HeaderName::from_static(header), value.parse().unwrap());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let canonical_request = Canonical {
            method,
            path: &paths(path).0,
            query: &Query::parse(query).canonical(false),
            headers: &headers,
            signed: &SignedHeaders::of(headers.keys().map(HeaderName::as_str)),
            payload: EMPTY_SHA256,
        }
        .request();
        let date = AmzDate::parse("20150830T123600Z").unwrap();
        let (day, region, service) = ("20150830", "us-east-1", "service");
        let scope = Scope { day, region, service, text: &Scope::spell(day, region, service) };
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let key = SigningKey::derive(&secret, date, &scope);
        let calculated = key.sign(&string_to_sign(date, &scope, &canonical_request));
        let text = String::from_utf8(canonical_request).unwrap();
        assert_eq!(calculated.as_str(), *signature, "{name}:\n{text}");
    }
}

const CASES: &[Case] = &[
    (
        "get-header-key-duplicate",
        "GET",
        "/",
        &[("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    (
        "get-header-value-order",
        "GET",
        "/",
        &[
            ("my-header1", "value4"),
            ("my-header1", "value1"),
            ("my-header1", "value3"),
            ("my-header1", "value2"),
        ],
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    (
        "get-header-value-trim",
        "GET",
        "/",
        &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        "get-relative-relative-unnormalized",
        "GET",
        "/example1/example2/../..",
        &[],
        "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b",
    ),
    (
        "get-relative-unnormalized",
        "GET",
        "/example/..",
        &[],
        "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282",
    ),
    (
        "get-slash-dot-slash-unnormalized",
        "GET",
        "/./",
        &[],
        "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145",
    ),
    (
        "get-slash-pointless-dot-unnormalized",
        "GET",
        "/./example",
        &[],
        "beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff",
    ),
    (
        "get-slash-unnormalized",
        "GET",
        "//",
        &[],
        "c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e",
    ),
    (
        "get-slashes-unnormalized",
        "GET",
        "//example//",
        &[],
        "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5",
    ),
    (
        "get-space-normalized",
        "GET",
        "/example%20space/",
        &[],
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    (
        "get-space-unnormalized",
        "GET",
        "/example space/",
        &[],
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    (
        "get-unreserved",
        "GET",
        "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        &[],
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    ("get-utf8", "GET", "/ሴ", &[], "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    ("get-vanilla", "GET", "/", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    (
        "get-vanilla-empty-query-key",
        "GET",
        "/?Param1=value1",
        &[],
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    (
        "get-vanilla-query",
        "GET",
        "/",
        &[],
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    (
        "get-vanilla-query-order-encoded",
        "GET",
        "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        &[],
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    (
        "get-vanilla-query-order-key-case",
        "GET",
        "/?Param2=value2&Param1=value1",
        &[],
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "get-vanilla-query-unreserved",
        "GET",
        "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        &[],
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    (
        "get-vanilla-utf8-query",
        "GET",
        "/?ሴ=bar",
        &[],
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    (
        "post-header-key-case",
        "POST",
        "/",
        &[],
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    (
        "post-header-key-sort",
        "POST",
        "/",
        &[("my-header1", "value1")],
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    (
        "post-header-value-case",
        "POST",
        "/",
        &[("my-header1", "VALUE1")],
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    ("post-vanilla", "POST", "/", &[], "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    (
        "post-vanilla-empty-query-value",
        "POST",
        "/?Param1=value1",
        &[],
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    (
        "post-vanilla-query",
        "POST",
        "/?Param1=value1",
        &[],
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
];
