//! What a document is, by its first bytes.

/// What the root element of a document says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// ListObjects or ListObjectsV2.
    Objects,
    /// ListObjectVersions.
    Versions,
    /// ListMultipartUploads.
    Uploads,
    /// Another one, or no XML.
    Other,
}

/// The root of the document that begins so; nothing when that is not enough to tell.
pub fn root(begin: &[u8]) -> Option<Root> {
    let mut rest = begin.strip_prefix(MARK).unwrap_or(begin);
    if MARK.starts_with(rest) {
        return None;
    }
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            [] | [b'<'] => return None,
            [b'<', b'?', ..] => rest = behind(rest, b"?>")?,
            [b'<', b'!', b'-', ..] => rest = behind(rest, b"-->")?,
            [b'<', b'!', ..] => rest = behind(rest, b">")?,
            [b'<', name @ ..] => {
                let end =
                    name.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'))?;
                return Some(Root::of(&name[..end]));
            }
            _ => return Some(Root::Other),
        }
    }
}

/// The byte order mark.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// What follows on the first `end`.
fn behind<'a>(text: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(end.len()).position(|window| window == end)?;
    Some(&text[at + end.len()..])
}

// === impl Root ===

impl Root {
    fn of(name: &[u8]) -> Self {
        match name.rsplit(|byte| *byte == b':').next() {
            Some(b"ListBucketResult") => Self::Objects,
            Some(b"ListVersionsResult") => Self::Versions,
            Some(b"ListMultipartUploadsResult") => Self::Uploads,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_told_by_the_first_bytes() {
        for (document, expected) in [
            ("<ListBucketResult>", Some(Root::Objects)),
            ("<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"/>", Some(Root::Objects)),
            (" <!-- <a> --> <!DOCTYPE l><s3:ListVersionsResult\n", Some(Root::Versions)),
            ("\u{feff}<ListMultipartUploadsResult>", Some(Root::Uploads)),
            ("<ListPartsResult>", Some(Root::Other)),
            ("<L><ListBucketResult>", Some(Root::Other)),
            ("{\"a\":\"<ListBucketResult>\"}", Some(Root::Other)),
        ] {
            for at in 0..document.len() {
                let told = root(&document.as_bytes()[..at]);
                assert!(told.is_none() || told == expected, "{document} {at}");
            }
            assert_eq!(root(document.as_bytes()), expected, "{document}");
        }
        for open in ["", "  ", "<", "<?xml", "<!-", "<!-- > ", "<ListBucketResul"] {
            assert_eq!(root(open.as_bytes()), None, "{open}");
        }
    }
}
