//! Texts of error documents.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::filled;

#[test]
fn a_text_is_added_where_there_is_none() {
    let check = |document: &str, expected: Option<&str>| {
        let filled = filled(document.as_bytes()).map(|filled| String::from_utf8(filled).unwrap());
        assert_eq!(filled.as_deref(), expected, "{document}");
    };
    let head = "<?xml version=\"1.0\"?>";
    for empty in ["<Message></Message>", "<Message/>", "<Message />", ""] {
        check(
            &format!("{head}<Error><Code>NoSuchKey</Code>{empty}<HostId>a&amp;b</HostId></Error>"),
            Some(&format!(
                "{head}<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><HostId>a&amp;b</HostId></Error>"
            )),
        );
    }
    check(
        "<Error><Code>Odd&lt;</Code></Error>",
        Some(
            "<Error><Code>Odd&lt;</Code><Message>The store refused the request (Odd&lt;).</Message></Error>",
        ),
    );
    for kept in
        ["<Error><Code>A</Code><Message>told</Message></Error>", "<Error></Error>", "<html></html>", "", "{}"]
    {
        check(kept, None);
    }
}
