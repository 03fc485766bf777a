//! Tags of an object: the documents of the tagging operations and the header `x-amz-tagging`.
//!
//! What a client sets is held to S3's limits ([`TagSet::read`], [`TagSet::parse_header`]); what a store tells of an
//! object is taken as it is ([`TagSet::read_stored`]), since other stores have other limits.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::{Code, Result, S3Error};
use crate::xml::{self, Element, Writer};

/// Longest document read, in bytes: ten tags of the greatest length, every character escaped.
pub const BYTES_MAX: usize = 64 << 10;
/// The header that sets tags with PutObject, CopyObject and CreateMultipartUpload.
pub const HEADER: &str = "x-amz-tagging";
/// The header that tells how many tags an object has, when it has some.
pub const COUNT_HEADER: &str = "x-amz-tagging-count";
/// Most tags an object has.
const TAGS_MAX: usize = 10;
/// Longest key, in UTF-16 units, as S3 counts.
const KEY_UNITS_MAX: usize = 128;
/// Longest value, in UTF-16 units.
const VALUE_UNITS_MAX: usize = 256;

/// The tags of an object: every key once, in the order of the keys, which is the order S3 tells them in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSet(BTreeMap<String, String>);

// === impl TagSet ===

impl TagSet {
    /// Reads the body of PutObjectTagging.
    ///
    /// Errors: `MalformedXML`; `BadRequest` for more than ten tags; `InvalidTag` for a key that stands twice, and for
    /// keys and values S3 does not take.
    pub fn read(body: &[u8]) -> Result<Self> {
        let tags = elements(body)?;
        let mut set = Self::default();
        for (key, value) in tags {
            set.insert(key, value)?;
        }
        set.bounded()
    }

    /// Reads the answer of a store to GetObjectTagging.
    ///
    /// Errors: `MalformedXML`, also for a key that stands twice.
    pub fn read_stored(answer: &[u8]) -> Result<Self> {
        let mut set = Self::default();
        for (key, value) in elements(answer)? {
            if set.0.insert(key, value).is_some() {
                return Err(S3Error::malformed_xml());
            }
        }
        Ok(set)
    }

    /// Reads the header: `key=value&key=value`, each percent-encoded. A key alone has the empty value.
    ///
    /// Errors: `InvalidArgument` when it is no such list or a key stands twice; as for [`TagSet::read`] otherwise.
    pub fn parse_header(text: &str) -> Result<Self> {
        let malformed = || S3Error::argument(HEADER_FORM, HEADER, text);
        let mut set = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = decode(key).ok_or_else(malformed)?;
            let value = decode(value).filter(|_| !value.contains('=')).ok_or_else(malformed)?;
            if set.0.contains_key(&key) {
                return Err(malformed());
            }
            set.insert(key, value)?;
        }
        set.bounded()
    }

    /// The text of the header; nothing for no tags.
    pub fn header(&self) -> Option<String> {
        let encode = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
        let pairs: Vec<String> =
            self.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
        (!pairs.is_empty()).then(|| pairs.join("&"))
    }

    /// The document of GetObjectTagging, and of PutObjectTagging to a store.
    pub fn document(&self) -> Vec<u8> {
        let mut out = Writer::root("Tagging");
        out.open("TagSet");
        for (key, value) in self.iter() {
            out.open("Tag");
            out.leaf("Key", key);
            out.leaf("Value", value);
            out.close("Tag");
        }
        out.finish()
    }

    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn insert(&mut self, key: String, value: String) -> Result<()> {
        let invalid = |message| S3Error::with_message(Code::InvalidTag, message).extra("TagKey", key.clone());
        if self.0.contains_key(&key) {
            return Err(invalid("Cannot provide multiple Tags with the same key"));
        }
        if key.starts_with("aws:") {
            return Err(invalid("Your TagKey cannot be prefixed with aws:"));
        }
        if key.is_empty() || !legal(&key, KEY_UNITS_MAX) {
            return Err(invalid("The TagKey you have provided is invalid"));
        }
        if !legal(&value, VALUE_UNITS_MAX) {
            return Err(invalid("The TagValue you have provided is invalid").extra("TagValue", value));
        }
        self.0.insert(key, value);
        Ok(())
    }

    fn bounded(self) -> Result<Self> {
        if self.len() <= TAGS_MAX {
            return Ok(self);
        }
        Err(S3Error::with_message(Code::BadRequest, "Object tags cannot be greater than 10"))
    }
}

fn elements(document: &[u8]) -> Result<Vec<(String, String)>> {
    let root = xml::read(document, "Tagging", BYTES_MAX)?;
    root.only(&["TagSet"])?;
    let set = root.at_most_one("TagSet")?.ok_or_else(S3Error::malformed_xml)?;
    set.only(&["Tag"])?;
    set.children.iter().map(element).collect()
}

fn element(tag: &Element) -> Result<(String, String)> {
    tag.only(&["Key", "Value"])?;
    let leaf = |name| tag.at_most_one(name)?.ok_or_else(S3Error::malformed_xml)?.exact().map(str::to_owned);
    Ok((leaf("Key")?, leaf("Value")?))
}

/// Letters, digits, white space and a few signs, up to a length.
fn legal(text: &str, units_max: usize) -> bool {
    let known = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
    text.encode_utf16().count() <= units_max && text.chars().all(known)
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(|text| text.into_owned())
}

const HEADER_FORM: &str = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.";
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn document(tags: &[(&str, &str)]) -> String {
        let tag = |(key, value): &(&str, &str)| format!("<Tag><Value>{value}</Value><Key>{key}</Key></Tag>");
        format!("<Tagging><TagSet>{}</TagSet></Tagging>", tags.iter().map(tag).collect::<String>())
    }

    fn read(tags: &[(&str, &str)]) -> Result<TagSet> {
        TagSet::read(document(tags).as_bytes())
    }

    #[test]
    fn documents_are_exact_and_in_the_order_of_keys() {
        let set = read(&[("b", ""), ("a \u{e9}", "1+1=2 @_.:/-")]).unwrap();
        assert_eq!(
            String::from_utf8(set.document()).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>\
             <Tag><Key>a \u{e9}</Key><Value>1+1=2 @_.:/-</Value></Tag><Tag><Key>b</Key><Value></Value></Tag>\
             </TagSet></Tagging>"
        );
        assert_eq!(set.header().unwrap(), "a%20%C3%A9=1%2B1%3D2%20%40_.%3A%2F-&b=");
        assert_eq!(read(&[]).unwrap().header(), None);
    }

    #[test]
    fn limits_are_those_of_s3() {
        let (key, value) = ("k".repeat(128), "v".repeat(256));
        assert!(read(&[(&key, &value)]).is_ok());
        let invalid = |message| (Code::InvalidTag, message);
        let wide = "\u{10400}".repeat(65);
        for (tags, expected) in [
            (&[("a", ""), ("a", "")][..], invalid("Cannot provide multiple Tags with the same key")),
            (&[("aws:a", "")], invalid("Your TagKey cannot be prefixed with aws:")),
            (&[("", "")], invalid("The TagKey you have provided is invalid")),
            (&[(&format!("{key}k"), "")], invalid("The TagKey you have provided is invalid")),
            (&[(&wide, "")], invalid("The TagKey you have provided is invalid")),
            (&[("a*", "")], invalid("The TagKey you have provided is invalid")),
            (&[("a", &format!("{value}v"))], invalid("The TagValue you have provided is invalid")),
            (&[("a", "{}")], invalid("The TagValue you have provided is invalid")),
        ] {
            let error = read(tags).unwrap_err();
            assert_eq!((error.code, error.message.as_ref()), expected, "{tags:?}");
            assert_eq!(error.extras[0].0, "TagKey");
        }
        let numbers: Vec<String> = (0..11).map(|number| number.to_string()).collect();
        let tags: Vec<(&str, &str)> = numbers.iter().map(|number| (number.as_str(), "")).collect();
        assert_eq!(read(&tags[..10]).unwrap().len(), 10);
        let error = read(&tags).unwrap_err();
        assert_eq!(error.code, Code::BadRequest);
        assert_eq!(error.message, "Object tags cannot be greater than 10");
    }

    #[test]
    fn what_is_no_tagging_is_refused() {
        for body in [
            "",
            "<Tagging/>",
            "<TagSet/>",
            "<Tagging><TagSet/><TagSet/></Tagging>",
            "<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>",
            "<Tagging><TagSet><Tag><Value>v</Value></Tag></TagSet></Tagging>",
            "<Tagging><TagSet><Tag><Key>k</Key><Key>l</Key><Value/></Tag></TagSet></Tagging>",
            "<Tagging><TagSet><Odd/></TagSet></Tagging>",
        ] {
            assert_eq!(TagSet::read(body.as_bytes()), Err(S3Error::malformed_xml()), "{body}");
        }
    }

    #[test]
    fn a_store_may_have_other_limits() {
        let set = TagSet::read_stored(document(&[("aws:k{}", &"v".repeat(300))]).as_bytes()).unwrap();
        assert_eq!(set.len(), 1);
        assert!(TagSet::read_stored(document(&[("a", "1"), ("a", "2")]).as_bytes()).is_err());
    }

    #[test]
    fn headers() {
        let pairs = |text| {
            TagSet::parse_header(text)
                .map(|set| set.iter().map(|(key, value)| format!("{key}:{value}")).collect::<Vec<_>>())
        };
        for (text, expected) in [
            ("", vec![]),
            ("&&", vec![]),
            ("foo=bar&bar", vec!["bar:", "foo:bar"]),
            ("a+b=%2B&c=d%20e", vec!["a b:+", "c:d e"]),
        ] {
            assert_eq!(pairs(text).unwrap(), expected, "{text}");
        }
        for (text, code) in [
            ("a=1&a=2", Code::InvalidArgument),
            ("TagSet=[{Key=a,Value=b}]", Code::InvalidArgument),
            ("a=%FF", Code::InvalidArgument),
            ("=v", Code::InvalidTag),
            ("TagSet%3D%5B%7B", Code::InvalidTag),
            ("a&b&c&d&e&f&g&h&i&j&k", Code::BadRequest),
        ] {
            assert_eq!(pairs(text).unwrap_err().code, code, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn tags_round_trip(tags in proptest::collection::btree_map("[\\p{L}0-9 _.:/=+@-]{1,40}", "[\\p{L}0-9 _.:/=+@-]{0,60}", 0..10)) {
            prop_assume!(tags.keys().all(|key| !key.starts_with("aws:")));
            let set = TagSet(tags);
            prop_assert_eq!(TagSet::read(&set.document()), Ok(set.clone()));
            prop_assert_eq!(TagSet::read_stored(&set.document()), Ok(set.clone()));
            prop_assert_eq!(TagSet::parse_header(&set.header().unwrap_or_default()), Ok(set));
        }
    }
}
