//! GetObjectAttributes: what is asked for, and the answer.

use http::{HeaderMap, HeaderValue};
use model::limits::{LIST_KEYS_MAX, PARTS_MAX};
use model::{ETag, StorageClass};

use crate::checksum::{Checksum, Kind, ObjectChecksum};
use crate::error::{Code, Result, S3Error};
use crate::xml::Writer;

/// The header that names the attributes asked for.
pub const HEADER: &str = "x-amz-object-attributes";

/// What a client asks of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributesRequest {
    /// Its ETag.
    pub etag: bool,
    /// Its checksum.
    pub checksum: bool,
    /// Its parts.
    pub parts: bool,
    /// Its class.
    pub class: bool,
    /// Its size.
    pub size: bool,
    /// Parts after this number.
    pub parts_after: u32,
    /// Most parts, 0 to 1 000.
    pub parts_max: usize,
}

/// An object as GetObjectAttributes tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Its ETag, written here without quotes.
    pub etag: &'a ETag,
    /// Its checksum, where it has one.
    pub checksum: Option<ObjectChecksum>,
    /// Its parts in order; none for an object that was written in one piece.
    pub parts: &'a [Part],
    /// Its class.
    pub class: StorageClass,
    /// Its size in bytes.
    pub size: u64,
}

/// One part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number.
    pub number: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Its checksum, where it has one.
    pub checksum: Option<Checksum>,
}

// === impl AttributesRequest ===

impl AttributesRequest {
    /// Reads [`HEADER`], `x-amz-max-parts` and `x-amz-part-number-marker`.
    ///
    /// Errors: `InvalidRequest` when no attribute is named, `InvalidArgument` for one that does not exist and for
    /// numbers that are none.
    pub fn parse(headers: &HeaderMap) -> Result<Self> {
        let mut request = Self::default();
        let lines = headers.get_all(HEADER).iter().map(|line| line.to_str().unwrap_or("?"));
        for name in
            lines.flat_map(|line| line.split(',')).map(str::trim_ascii).filter(|name| !name.is_empty())
        {
            let asked = match name {
                "ETag" => &mut request.etag,
                "Checksum" => &mut request.checksum,
                "ObjectParts" => &mut request.parts,
                "StorageClass" => &mut request.class,
                "ObjectSize" => &mut request.size,
                _ => return Err(S3Error::argument("Invalid attribute name specified.", HEADER, name)),
            };
            *asked = true;
        }
        if request == Self::default() {
            return Err(S3Error::with_message(Code::InvalidRequest, NONE_NAMED));
        }
        let after = number(headers, "x-amz-part-number-marker")?;
        let most = number(headers, "x-amz-max-parts")?;
        request.parts_after = after.unwrap_or(0);
        request.parts_max = most.map_or(LIST_KEYS_MAX, |most| {
            usize::try_from(most).map_or(LIST_KEYS_MAX, |most| most.min(LIST_KEYS_MAX))
        });
        Ok(request)
    }

    /// The document: what was asked for, as far as the object has it.
    pub fn document(&self, object: &Attributes<'_>) -> Vec<u8> {
        let mut out = Writer::root("GetObjectAttributesResponse");
        if self.etag {
            out.leaf("ETag", object.etag.as_str());
        }
        if let Some(checksum) = object.checksum.filter(|_| self.checksum) {
            out.open("Checksum");
            // A composite value stands here without the number of its parts.
            let value = match checksum {
                ObjectChecksum::Full(value) | ObjectChecksum::Composite { of_parts: value, .. } => value,
            };
            out.leaf(checksum.algorithm().element(), &value.to_base64());
            out.leaf("ChecksumType", checksum.kind().name());
            out.close("Checksum");
        }
        if self.parts && !object.parts.is_empty() {
            out.open("ObjectParts");
            self.write_parts(&mut out, object);
            out.close("ObjectParts");
        }
        if self.class {
            out.leaf("StorageClass", object.class.as_str());
        }
        if self.size {
            out.leaf("ObjectSize", &object.size.to_string());
        }
        out.finish()
    }

    /// Only objects with a composite checksum tell of each part; of others S3 tells the number alone.
    fn write_parts(&self, out: &mut Writer, object: &Attributes<'_>) {
        out.leaf("PartsCount", &object.parts.len().to_string());
        if object.checksum.is_none_or(|checksum| checksum.kind() != Kind::Composite) {
            return;
        }
        let after = object.parts.iter().filter(|part| part.number > self.parts_after);
        let page: Vec<&Part> = after.clone().take(self.parts_max).collect();
        let last = page.last().map_or(0, |part| part.number);
        out.leaf("PartNumberMarker", &self.parts_after.to_string());
        out.leaf("NextPartNumberMarker", &last.to_string());
        out.leaf("MaxParts", &self.parts_max.to_string());
        out.leaf("IsTruncated", if after.count() > page.len() { "true" } else { "false" });
        for part in page {
            out.open("Part");
            out.leaf("PartNumber", &part.number.to_string());
            out.leaf("Size", &part.size.to_string());
            if let Some(checksum) = &part.checksum {
                out.leaf(checksum.algorithm().element(), &checksum.to_base64());
            }
            out.close("Part");
        }
    }
}

/// A count or part number; beyond every part number it means the last.
fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<u32>> {
    let Some(text) = headers.get(name).map(HeaderValue::to_str) else {
        return Ok(None);
    };
    let text = text.unwrap_or_default();
    let number = text.parse::<i32>().ok().and_then(|number| u32::try_from(number).ok());
    let number = number.ok_or_else(|| {
        S3Error::argument(format!("Provided {name} not an integer or within integer range"), name, text)
    })?;
    Ok(Some(number.min(PARTS_MAX)))
}

const NONE_NAMED: &str =
    "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::checksum::{Algorithm, UploadChecksum};
    use http::HeaderName;

    fn request(pairs: &[(&'static str, &str)]) -> Result<AttributesRequest> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        AttributesRequest::parse(&headers)
    }

    fn inner(request: &AttributesRequest, object: &Attributes<'_>) -> String {
        let text = String::from_utf8(request.document(object)).unwrap();
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <GetObjectAttributesResponse xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
        let inner = text.strip_prefix(head).unwrap().strip_suffix("</GetObjectAttributesResponse>");
        inner.unwrap().to_owned()
    }

    #[test]
    fn requests() {
        let read = request(&[(HEADER, "ETag, ObjectSize"), (HEADER, "Checksum")]).unwrap();
        assert!(read.etag && read.size && read.checksum && !read.parts && !read.class);
        assert_eq!((read.parts_after, read.parts_max), (0, 1000));
        let paged = [(HEADER, "ObjectParts"), ("x-amz-max-parts", "5000"), ("x-amz-part-number-marker", "3")];
        let read = request(&paged).unwrap();
        assert_eq!((read.parts_after, read.parts_max), (3, 1000));
        let missing = Err(S3Error::invalid_request(NONE_NAMED));
        assert_eq!(request(&[]), missing);
        assert_eq!(request(&[(HEADER, " , ")]), missing);
        for pairs in [
            &[(HEADER, "ETag,etag")][..],
            &[(HEADER, "\u{e9}")],
            &[(HEADER, "ETag"), ("x-amz-max-parts", "-1")],
            &[(HEADER, "ETag"), ("x-amz-part-number-marker", "2147483648")],
        ] {
            assert_eq!(request(pairs).unwrap_err().code, Code::InvalidArgument, "{pairs:?}");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_told() {
        let etag = ETag::parse("abc-2").unwrap();
        let full = ObjectChecksum::Full(Checksum::of(Algorithm::Crc64Nvme, b"abc"));
        let part = |number| Part { number, size: 3, checksum: None };
        let parts = [part(1), part(2)];
        let class = StorageClass::Tape(model::TapeClass::Glacier);
        let object = Attributes { etag: &etag, checksum: Some(full), parts: &parts, class, size: 6 };
        for (asked, expected) in [
            ("ETag", "<ETag>abc-2</ETag>"),
            (
                "Checksum",
                "<Checksum><ChecksumCRC64NVME>BeXKuz/B+us=</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType></Checksum>",
            ),
            ("ObjectParts", "<ObjectParts><PartsCount>2</PartsCount></ObjectParts>"),
            ("ObjectSize,StorageClass", "<StorageClass>GLACIER</StorageClass><ObjectSize>6</ObjectSize>"),
        ] {
            assert_eq!(inner(&request(&[(HEADER, asked)]).unwrap(), &object), expected);
        }
        let whole = Attributes { checksum: None, parts: &[], ..object };
        assert_eq!(inner(&request(&[(HEADER, "Checksum,ObjectParts")]).unwrap(), &whole), "");
    }

    #[test]
    fn parts_of_a_composite_checksum_come_in_pages() {
        let etag = ETag::parse("abc-3").unwrap();
        let sum = Checksum::of(Algorithm::Crc32, b"abc");
        let parts = [1, 2, 5].map(|number| Part { number, size: 3, checksum: Some(sum) });
        let upload = UploadChecksum::new(Algorithm::Crc32, None).unwrap();
        let checksum = upload.of_parts(parts.iter().map(|_| (&sum, 3)));
        let object =
            Attributes { etag: &etag, checksum, parts: &parts, class: StorageClass::Standard, size: 9 };
        let page = |pairs: &[(&'static str, &str)]| {
            inner(&request(&[&[(HEADER, "ObjectParts")], pairs].concat()).unwrap(), &object)
        };
        let part = |number| {
            format!(
                "<Part><PartNumber>{number}</PartNumber><Size>3</Size><ChecksumCRC32>NSRBwg==</ChecksumCRC32></Part>"
            )
        };
        assert_eq!(
            page(&[("x-amz-max-parts", "2")]),
            format!(
                "<ObjectParts><PartsCount>3</PartsCount><PartNumberMarker>0</PartNumberMarker>\
                 <NextPartNumberMarker>2</NextPartNumberMarker><MaxParts>2</MaxParts><IsTruncated>true</IsTruncated>\
                 {}{}</ObjectParts>",
                part(1),
                part(2)
            )
        );
        let rest = page(&[("x-amz-part-number-marker", "2")]);
        assert!(rest.contains("<IsTruncated>false</IsTruncated>") && rest.contains(&part(5)), "{rest}");
        assert!(!rest.contains(&part(2)));
    }
}
