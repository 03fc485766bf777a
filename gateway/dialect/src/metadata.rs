//! What a client says about an object in headers: user metadata, system headers, storage class.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use model::StorageClass;
use model::limits::METADATA_BYTES_MAX;

use crate::error::{Code, Result, S3Error};

/// What every user metadata header begins with.
pub const USER_PREFIX: &str = "x-amz-meta-";
/// The headers stored with an object and returned as they came, besides user metadata.
pub const SYSTEM: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];
/// The content type of an object put without one.
pub const CONTENT_TYPE_DEFAULT: &str = "binary/octet-stream";

/// User metadata of a request: names in lower case without their prefix, sorted; values as text. Bytes that are not
/// UTF-8 are read as Latin-1; a header sent twice is joined with a comma.
///
/// Errors: `MetadataTooLarge` when names and values together exceed 2 KiB.
pub fn user(headers: &HeaderMap) -> Result<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = headers
        .keys()
        .filter_map(|name| name.as_str().strip_prefix(USER_PREFIX))
        .map(|name| (name.to_owned(), joined(headers, &format!("{USER_PREFIX}{name}"))))
        .collect();
    found.sort();
    let bytes: usize = found.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        return Err(S3Error::new(Code::MetadataTooLarge)
            .extra("Size", bytes.to_string())
            .extra("MaxSizeAllowed", METADATA_BYTES_MAX.to_string()));
    }
    Ok(found)
}

/// The system headers of a request, in the order of [`SYSTEM`]. `aws-chunked` is taken out of the content
/// encoding: it describes the transfer, not the object.
pub fn system(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let value = |name| match name {
        "content-encoding" => content_encoding(headers),
        _ => headers.contains_key(name).then(|| joined(headers, name)),
    };
    SYSTEM.into_iter().filter_map(|name| Some((name, value(name)?))).collect()
}

/// The header value that carries this text: as it is when it can be, otherwise as an encoded word
/// (`=?UTF-8?B?…?=`), which is how S3 returns metadata outside US-ASCII.
pub fn header_value(text: &str) -> HeaderValue {
    let plain = text.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte));
    let value = match plain {
        true => HeaderValue::from_str(text),
        false => HeaderValue::try_from(format!("=?UTF-8?B?{}?=", STANDARD.encode(text))),
    };
    value.expect("visible ASCII is a header value")
}

/// The class asked for with `x-amz-storage-class`; STANDARD when not said.
///
/// Errors: `InvalidStorageClass`.
pub fn storage_class(headers: &HeaderMap) -> Result<StorageClass> {
    match headers.get("x-amz-storage-class") {
        None => Ok(StorageClass::Standard),
        Some(value) => parse_storage_class(&text(value)),
    }
}

/// Reads the name of a class (from a header or a form field).
///
/// Errors: `InvalidStorageClass`.
pub fn parse_storage_class(name: &str) -> Result<StorageClass> {
    name.parse().map_err(|_| S3Error::new(Code::InvalidStorageClass).extra("StorageClassRequested", name))
}

/// The `x-amz-storage-class` of GET and HEAD: absent for STANDARD.
pub fn storage_class_header(class: StorageClass) -> Option<&'static str> {
    (class != StorageClass::Standard).then(|| class.as_str())
}

/// The content encoding of the object: what a request says without `aws-chunked`, which is of the transfer alone.
/// Nothing when nothing is left.
pub fn content_encoding(headers: &HeaderMap) -> Option<String> {
    let sent = joined(headers, "content-encoding");
    let chunked = |coding: &&str| coding.trim_ascii().eq_ignore_ascii_case("aws-chunked");
    let kept = match sent.split(',').any(|coding| chunked(&coding)) {
        true => sent.split(',').filter(|coding| !chunked(coding)).collect::<Vec<_>>().join(","),
        false => sent,
    };
    let kept = kept.trim_ascii();
    (!kept.is_empty()).then(|| kept.to_owned())
}

fn joined(headers: &HeaderMap, name: &str) -> String {
    headers.get_all(name).iter().map(text).collect::<Vec<_>>().join(",")
}

fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    #[test]
    fn user_metadata_is_read_as_text() {
        let map = headers(&[
            ("x-amz-meta-b", b"2"),
            ("X-Amz-Meta-A", "\u{e9}".as_bytes()),
            ("x-amz-meta-a", b"\xe9"),
            ("x-amz-metadata-directive", b"COPY"),
        ]);
        let found = user(&map).unwrap();
        assert_eq!(found, [("a".into(), "\u{e9},\u{e9}".into()), ("b".to_owned(), "2".to_owned())]);
        assert_eq!(header_value("\u{e9}"), "=?UTF-8?B?w6k=?=");
        assert_eq!(header_value("plain; text"), "plain; text");
        assert_eq!(header_value("line\nend"), "=?UTF-8?B?bGluZQplbmQ=?=");
    }

    #[test]
    fn metadata_is_bounded() {
        let value = |length| headers(&[("x-amz-meta-name", "v".repeat(length).as_bytes())]);
        assert!(user(&value(METADATA_BYTES_MAX - 4)).is_ok());
        let error = user(&value(METADATA_BYTES_MAX - 3)).unwrap_err();
        assert_eq!(error.code, Code::MetadataTooLarge);
        assert_eq!(error.extras[0].1, "2049");
    }

    #[test]
    fn chunking_is_no_content_encoding() {
        for (sent, kept) in [
            (&b"aws-chunked"[..], None),
            (b"aws-chunked, gzip", Some("gzip")),
            (b"gzip,aws-chunked,br", Some("gzip,br")),
            (b"gzip", Some("gzip")),
            (b"gzip, br", Some("gzip, br")),
            (b"gzip, AWS-Chunked , br", Some("gzip, br")),
            (b"", None),
        ] {
            let found = system(&headers(&[("content-encoding", sent)]));
            assert_eq!(found.first().map(|(_, value)| value.as_str()), kept);
        }
    }

    #[test]
    fn classes() {
        assert_eq!(storage_class(&HeaderMap::new()).unwrap(), StorageClass::Standard);
        for name in
            ["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER"]
        {
            assert_eq!(parse_storage_class(name).unwrap().as_str(), name);
        }
        for name in ["OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "FSX_OPENZFS", "FSX_ONTAP", "TAPE", "glacier", ""]
        {
            let error = parse_storage_class(name).unwrap_err();
            let expected = S3Error::new(Code::InvalidStorageClass).extra("StorageClassRequested", name);
            assert_eq!(error, expected);
            assert_eq!(error.message, "The storage class you specified is not valid");
        }
        assert_eq!(storage_class_header(StorageClass::Standard), None);
        assert_eq!(storage_class_header(StorageClass::GlacierIr), Some("GLACIER_IR"));
    }
}
