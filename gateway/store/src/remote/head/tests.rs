//! Targets and names of a forwarded request.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use http::Request;

use super::super::settings::{Addressing, BucketOwner, Endpoint};
use super::forward;

#[test]
fn targets() {
    let check = |endpoint: &str, addressing, asked: &str, expected: &str| {
        let (head, ()) = Request::get(asked).body(()).unwrap().into_parts();
        let endpoint = Endpoint::parse(endpoint).unwrap();
        let uri = forward(head, &endpoint, addressing).unwrap().uri;
        assert_eq!(uri.to_string(), expected, "{asked}");
    };
    let path = |asked, expected| check("http://store:7480", Addressing::Path, asked, expected);
    path("/", "http://store:7480/");
    path("/bkt?acl", "http://store:7480/bkt?acl");
    path("/bkt?prefix=a+b&x=%2b", "http://store:7480/bkt?prefix=a%20b&x=%2b");
    path("/bkt//a/../b/", "http://store:7480/bkt//a/../b/");
    path("/bkt/a+b(c)%7e%c3%a4", "http://store:7480/bkt/a%2Bb%28c%29~%C3%A4");
    path("http://their.host/bkt/k", "http://store:7480/bkt/k");

    let name = |asked, expected| check("https://store", Addressing::Virtual, asked, expected);
    name("/", "https://store/");
    name("/bkt", "https://bkt.store/");
    name("/bkt?list-type=2", "https://bkt.store/?list-type=2");
    name("/bkt/k/l", "https://bkt.store/k/l");
    name("/bkt//k", "https://bkt.store//k");
    name("/dots.in.it/k", "https://store/dots.in.it/k");
    name("/Not_A_Label/k", "https://store/Not_A_Label/k");
    check("http://store:80", Addressing::Virtual, "/dots.in.it/k", "http://dots.in.it.store:80/k");
}

#[test]
fn endpoints() {
    for good in ["http://127.0.0.1:9000", "https://s3.example.com/", "http://[::1]:80", "HTTPS://Host"] {
        assert!(Endpoint::parse(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "host:80",
        "ftp://host",
        "http://host/path",
        "http://user:secret@host",
        "http://host?x",
        "http://:80",
    ] {
        assert!(Endpoint::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn owners() {
    for good in ["123456789012", "RGW12345678901234567", "tenant$user", "GK31c2f218a2e44f485b94239e"] {
        assert_eq!(BucketOwner::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "12345678901", "1234567890123", "a b", "a\nb", &"a".repeat(129)] {
        assert!(BucketOwner::parse(bad).is_err(), "{bad}");
    }
}
