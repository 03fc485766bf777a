//! Names of members inside the tar: readable, unique, and unable to leave the directory they are extracted into.
//!
//! A name is `<bucket>/<component>/.../<component>~<ArchiveId>[.NNNNN-of-NNNNN]`. Each component of the key has `%`, `~`,
//! `\` and control characters escaped as `%XX` (per UTF-8 byte); `.` and `..` become `%2E` and `%2E%2E`; an empty component
//! becomes `%-`; a component that would pass 255 bytes continues in the next one, the break marked by a trailing `%`.
//! So a directory never has a `~` and a file always has: `a` and `a/b` cannot collide, and two files differ by ArchiveId.
//! The name is for people: the exact key stands in the member's header.

use super::id::{MemberId, PackId};
use super::record::Segment;

/// Bytes of one path component on the file systems a pack may be extracted to.
const COMPONENT_BYTES_MAX: usize = 255;

/// The name of a member in the tar.
pub fn member_name(bucket: &str, key: &str, id: MemberId, segment: Option<Segment>) -> String {
    let mut suffix = format!("~{id}");
    if let Some(Segment { index, count }) = segment {
        suffix.push_str(&format!(".{index:05}-of-{count:05}"));
    }
    let mut name = String::with_capacity(bucket.len() + key.len() + suffix.len() + 16);
    push_component(&mut name, bucket, 0);
    let mut components = key.split('/').peekable();
    while let Some(component) = components.next() {
        name.push('/');
        let reserve = if components.peek().is_none() { suffix.len() } else { 0 };
        push_component(&mut name, component, reserve);
    }
    name.push_str(&suffix);
    name
}

/// The name of a pack's manifest in its tar: at the top, where no bucket can stand because of its `~`.
pub fn manifest_name(pack: PackId) -> String {
    format!("manifest~{pack}.jsonl")
}

/// Appends `component` escaped, cut into several where it is too long; the last leaves `reserve` bytes of room.
fn push_component(name: &mut String, component: &str, reserve: usize) {
    match component {
        "" => return name.push_str("%-"),
        "." => return name.push_str("%2E"),
        ".." => return name.push_str("%2E%2E"),
        _ => {}
    }
    // One byte is kept for the mark of a break. The reserve is kept on every piece: which is the last is known late.
    let room = COMPONENT_BYTES_MAX - 1 - reserve;
    let mut used = 0;
    for character in component.chars() {
        let mut utf8 = [0; 4];
        let bytes = character.encode_utf8(&mut utf8).as_bytes();
        let mut escape = character.is_control() || matches!(character, '%' | '~' | '\\');
        let width = |escape| if escape { bytes.len() * 3 } else { bytes.len() };
        if used + width(escape) > room {
            name.push_str("%/");
            used = 0;
            // A piece of dots alone would be a step up.
            escape |= character == '.';
        }
        if escape {
            bytes.iter().for_each(|byte| name.push_str(&format!("%{byte:02X}")));
        } else {
            name.push(character);
        }
        used += width(escape);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use ulid::Ulid;

    fn name(key: &str) -> String {
        member_name("bucket", key, MemberId(Ulid(7)), None)
    }

    /// The inverse, written apart from the escaping above: (bucket, key, suffix).
    fn parse(name: &str) -> (String, String, String) {
        let (path, suffix) = name.rsplit_once('~').unwrap();
        let joined = path.replace("%/", "");
        let mut components = joined.split('/').map(|component| {
            let mut bytes = Vec::new();
            let mut rest = component.as_bytes();
            while let Some((&byte, tail)) = rest.split_first() {
                match (byte, tail) {
                    (b'%', [b'-', after @ ..]) => rest = after,
                    (b'%', [high, low, after @ ..]) => {
                        let digits = String::from_utf8(vec![*high, *low]).unwrap();
                        bytes.push(u8::from_str_radix(&digits, 16).unwrap());
                        rest = after;
                    }
                    _ => {
                        bytes.push(byte);
                        rest = tail;
                    }
                }
            }
            String::from_utf8(bytes).unwrap()
        });
        let bucket = components.next().unwrap();
        (bucket, components.collect::<Vec<_>>().join("/"), suffix.into())
    }

    #[test]
    fn odd_keys() {
        let id = MemberId(Ulid(7)).to_string();
        for (key, expected) in [
            ("a", "bucket/a"),
            ("a/b", "bucket/a/b"),
            ("x//y", "bucket/x/%-/y"),
            ("/x", "bucket/%-/x"),
            ("x/", "bucket/x/%-"),
            ("/", "bucket/%-/%-"),
            ("..", "bucket/%2E%2E"),
            ("../../etc/passwd", "bucket/%2E%2E/%2E%2E/etc/passwd"),
            ("./...", "bucket/%2E/..."),
            ("100%~\\", "bucket/100%25%7E%5C"),
            ("tab\tnl\n\u{85}", "bucket/tab%09nl%0A%C2%85"),
            ("käse+ 1", "bucket/käse+ 1"),
        ] {
            assert_eq!(name(key), format!("{expected}~{id}"), "{key:?}");
        }
    }

    #[test]
    fn a_long_component_is_broken_and_a_segment_is_numbered() {
        let name =
            member_name("b", &"k".repeat(1_000), MemberId(Ulid(7)), Some(Segment { index: 2, count: 30 }));
        assert!(name.ends_with(".00002-of-00030"));
        assert!(name.split('/').all(|component| component.len() <= 255));
        assert_eq!(name.matches('k').count(), 1_000);
    }

    proptest! {
        #[test]
        fn names_are_reversible_and_harmless(
            bucket in "[a-z.~%/]{1,8}",
            key in prop_oneof!["\\PC{1,40}", "[./%~\\-\\\\\\x00\\n a]{1,12}", "[é./\\x01]{200,400}", "a{252,256}\\.{1,3}/?b{0,2}"],
        ) {
            let bucket = bucket.replace('/', "-");
            let segment = Some(Segment { index: 1, count: 99_999 });
            let name = member_name(&bucket, &key, MemberId(Ulid(7)), segment);
            let (parsed_bucket, parsed_key, _) = parse(&name);
            prop_assert_eq!((parsed_bucket, parsed_key), (bucket, key));
            for component in name.split('/') {
                prop_assert!((1..=255).contains(&component.len()));
                prop_assert!(component != "." && component != "..");
                prop_assert!(!component.chars().any(char::is_control));
            }
            let (directories, file) = name.rsplit_once('/').unwrap();
            prop_assert!(!directories.contains('~') && file.contains('~'));
        }
    }
}
