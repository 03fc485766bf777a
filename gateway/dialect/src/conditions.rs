//! If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, the same for the source of a copy, and If-Range.
//!
//! An entity tag condition takes the place of the date condition beside it (RFC 9110 13.2.2). Dates compare in whole
//! seconds; a date that cannot be read is no condition.

use http::HeaderMap;
use http::header::IF_RANGE;
use model::{ETag, Timestamp};

use crate::date;
use crate::error::{Result, S3Error};

/// The conditions of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

/// What the conditions of a read come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answer as if there were no condition.
    Proceed,
    /// 304, without a body.
    NotModified,
    /// 412; the header that did not hold.
    Failed(&'static str),
}

/// The value of an entity tag condition.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    Any,
    Listed(Vec<Tag>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    opaque: String,
}

const NAMES: [&str; 4] = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
const SOURCE_NAMES: [&str; 4] = [
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-unmodified-since",
];

// === impl Conditions ===

impl Conditions {
    /// The conditions on the object the request names.
    pub fn parse(headers: &HeaderMap) -> Self {
        Self::from_names(headers, NAMES)
    }

    /// The conditions on the source of a copy.
    pub fn parse_source(headers: &HeaderMap) -> Self {
        Self::from_names(headers, SOURCE_NAMES)
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Evaluates them for GET and HEAD of an object that exists.
    pub fn read(&self, etag: &ETag, last_modified: Timestamp) -> Outcome {
        let modified = last_modified.seconds();
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) if !tags.contain(etag, false) => return Outcome::Failed("If-Match"),
            (None, Some(since)) if modified > since.seconds() => {
                return Outcome::Failed("If-Unmodified-Since");
            }
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) if tags.contain(etag, true) => Outcome::NotModified,
            (None, Some(since)) if modified <= since.seconds() => Outcome::NotModified,
            _ => Outcome::Proceed,
        }
    }

    /// Evaluates them for the source of a copy.
    ///
    /// Errors: `PreconditionFailed`.
    pub fn source(&self, etag: &ETag, last_modified: Timestamp) -> Result<()> {
        match self.read(etag, last_modified) {
            Outcome::Proceed => Ok(()),
            Outcome::NotModified if self.if_none_match.is_some() => {
                Err(S3Error::precondition_failed("x-amz-copy-source-If-None-Match"))
            }
            Outcome::NotModified => Err(S3Error::precondition_failed("x-amz-copy-source-If-Modified-Since")),
            Outcome::Failed("If-Match") => Err(S3Error::precondition_failed("x-amz-copy-source-If-Match")),
            Outcome::Failed(_) => Err(S3Error::precondition_failed("x-amz-copy-source-If-Unmodified-Since")),
        }
    }

    /// Evaluates them for a write over (or a delete of) `key`, whose object has the tag `current`, if there is one.
    ///
    /// Errors: `PreconditionFailed`; `NoSuchKey` for If-Match on nothing; `NotImplemented` for If-None-Match with
    /// anything but `*`, as S3 has it.
    pub fn write(&self, key: &str, current: Option<&ETag>) -> Result<()> {
        match &self.if_none_match {
            Some(Tags::Listed(_)) => return Err(S3Error::header_not_implemented("If-None-Match")),
            Some(Tags::Any) if current.is_some() => {
                return Err(S3Error::precondition_failed("If-None-Match"));
            }
            _ => {}
        }
        match (&self.if_match, current) {
            (Some(_), None) => Err(S3Error::no_such_key(key)),
            (Some(tags), Some(etag)) if !tags.contain(etag, false) => {
                Err(S3Error::precondition_failed("If-Match"))
            }
            _ => Ok(()),
        }
    }

    fn from_names(headers: &HeaderMap, [matches, none_match, modified, unmodified]: [&str; 4]) -> Self {
        let date =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).and_then(date::parse_http);
        Self {
            if_match: Tags::parse(headers, matches),
            if_none_match: Tags::parse(headers, none_match),
            if_modified_since: date(modified),
            if_unmodified_since: date(unmodified),
        }
    }
}

/// Whether the Range of a read still counts: with If-Range only while the object is the one it names, by a strong
/// entity tag or by exactly its date (RFC 9110 13.1.5). Otherwise the whole object is the answer.
pub fn range_counts(headers: &HeaderMap, etag: &ETag, last_modified: Timestamp) -> bool {
    let Some(value) = headers.get(IF_RANGE) else {
        return true;
    };
    let text = value.to_str().unwrap_or_default().trim_ascii();
    match date::parse_http(text) {
        Some(date) => date.seconds() == last_modified.seconds(),
        None => {
            let tag = Tag::parse(text);
            !tag.weak && tag.opaque == etag.as_str()
        }
    }
}

impl Outcome {
    /// The error of a condition that did not hold; `None` otherwise (304 is no error).
    pub fn error(self) -> Option<S3Error> {
        match self {
            Self::Failed(header) => Some(S3Error::precondition_failed(header)),
            Self::Proceed | Self::NotModified => None,
        }
    }
}

// === impl Tags ===

impl Tags {
    /// Reads all lines of the header; a tag without quotes is taken as it is (old clients send it so).
    fn parse(headers: &HeaderMap, name: &str) -> Option<Self> {
        let mut listed = Vec::new();
        for line in headers.get_all(name) {
            let text = String::from_utf8_lossy(line.as_bytes());
            for part in text.split(',').map(str::trim_ascii).filter(|part| !part.is_empty()) {
                if part == "*" {
                    return Some(Self::Any);
                }
                listed.push(Tag::parse(part));
            }
        }
        headers.contains_key(name).then_some(Self::Listed(listed))
    }

    fn contain(&self, etag: &ETag, weakly: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.iter().any(|tag| tag.opaque == etag.as_str() && (weakly || !tag.weak)),
        }
    }
}

impl Tag {
    fn parse(text: &str) -> Self {
        let (weak, rest) = text.strip_prefix("W/").map_or((false, text), |rest| (true, rest));
        let opaque = rest.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(rest);
        Self { weak, opaque: opaque.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::Code;

    const DATE: &str = "Fri, 21 Dec 2012 00:00:00 GMT";
    const BEFORE: &str = "Thu, 20 Dec 2012 00:00:00 GMT";

    fn conditions(headers: &[(&'static str, &'static str)]) -> Conditions {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Conditions::parse(&map)
    }

    #[test]
    fn reads() {
        use Outcome::{Failed, NotModified, Proceed};
        let etag = ETag::parse("abc").unwrap();
        let modified = date::parse_http(DATE).unwrap().plus_milliseconds(700);
        for (headers, expected) in [
            (&[][..], Proceed),
            (&[("if-match", "\"abc\"")], Proceed),
            (&[("if-match", "abc")], Proceed),
            (&[("if-match", "\"x\", \"abc\"")], Proceed),
            (&[("if-match", "*")], Proceed),
            (&[("if-match", "W/\"abc\"")], Failed("If-Match")),
            (&[("if-match", "\"x\"")], Failed("If-Match")),
            (&[("if-match", "")], Failed("If-Match")),
            (&[("if-none-match", "\"abc\"")], NotModified),
            (&[("if-none-match", "W/\"abc\"")], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"x\"")], Proceed),
            (&[("if-modified-since", DATE)], NotModified),
            (&[("if-modified-since", BEFORE)], Proceed),
            (&[("if-modified-since", "yesterday")], Proceed),
            (&[("if-unmodified-since", DATE)], Proceed),
            (&[("if-unmodified-since", BEFORE)], Failed("If-Unmodified-Since")),
            (&[("if-match", "\"abc\""), ("if-unmodified-since", BEFORE)], Proceed),
            (&[("if-none-match", "\"x\""), ("if-modified-since", DATE)], Proceed),
            (&[("if-none-match", "\"abc\""), ("if-modified-since", BEFORE)], NotModified),
            (&[("if-match", "\"x\""), ("if-none-match", "\"abc\"")], Failed("If-Match")),
        ] {
            assert_eq!(conditions(headers).read(&etag, modified), expected, "{headers:?}");
        }
    }

    #[test]
    fn ranges_count_while_the_object_is_the_one_named() {
        let etag = ETag::parse("abc").unwrap();
        let modified = date::parse_http(DATE).unwrap().plus_milliseconds(700);
        let counts = |value: Option<&'static str>| {
            let headers = value.map(|value| (IF_RANGE, value.parse().unwrap()));
            range_counts(&headers.into_iter().collect(), &etag, modified)
        };
        assert!(counts(None) && counts(Some("\"abc\"")) && counts(Some(DATE)));
        for other in ["\"abd\"", "W/\"abc\"", BEFORE, "*", "", "yesterday"] {
            assert!(!counts(Some(other)), "{other}");
        }
    }

    #[test]
    fn writes() {
        let etag = ETag::parse("abc").unwrap();
        let code = |headers, current| conditions(headers).write("k", current).map_err(|error| error.code);
        assert_eq!(code(&[], Some(&etag)), Ok(()));
        assert_eq!(code(&[("if-none-match", "*")], None), Ok(()));
        assert_eq!(code(&[("if-none-match", "*")], Some(&etag)), Err(Code::PreconditionFailed));
        assert_eq!(code(&[("if-none-match", "\"abc\"")], None), Err(Code::NotImplemented));
        assert_eq!(code(&[("if-match", "\"abc\"")], Some(&etag)), Ok(()));
        assert_eq!(code(&[("if-match", "\"x\"")], Some(&etag)), Err(Code::PreconditionFailed));
        assert_eq!(code(&[("if-match", "\"abc\"")], None), Err(Code::NoSuchKey));
    }

    #[test]
    fn copies_fail_where_reads_are_not_modified() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-copy-source-if-none-match", "\"abc\"".parse().unwrap());
        let etag = ETag::parse("abc").unwrap();
        let error = Conditions::parse_source(&headers).source(&etag, Timestamp::from_seconds(0)).unwrap_err();
        assert_eq!(error.code, Code::PreconditionFailed);
    }
}
