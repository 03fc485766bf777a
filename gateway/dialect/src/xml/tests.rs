#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

#[test]
fn namespaces_prefixes_and_references_read_the_same() {
    for document in [
        "<A><B>x &amp; &#233;</B></A>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<A xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><B>x &amp; \u{e9}</B></A>",
        "\u{feff}<s3:A xmlns:s3=\"u\"><s3:B><![CDATA[x & \u{e9}]]></s3:B></s3:A>\n",
        "<A><!-- c --><B a=\"1\">x<!-- c --> &amp; &#xe9;</B></A>",
    ] {
        let root = read(document.as_bytes(), "A", 1000).unwrap();
        assert_eq!(root.child("B").unwrap().exact().unwrap(), "x & \u{e9}", "{document}");
    }
}

#[test]
fn what_is_no_document_is_refused() {
    let deep = "<A>".repeat(17) + &"</A>".repeat(17);
    for document in [
        "",
        "A",
        "<A>",
        "<A></B>",
        "<A/><A/>",
        "<A/>x",
        "<B/>",
        "<A>&nbsp;</A>",
        "<A>&#;</A>",
        "<A>&#x;</A>",
        "<A>&#x110000;</A>",
        "<!DOCTYPE A [<!ENTITY x \"y\">]><A>&x;</A>",
        deep.as_str(),
    ] {
        assert_eq!(read(document.as_bytes(), "A", 1000), Err(S3Error::malformed_xml()), "{document}");
    }
    assert_eq!(read(b"<A>\xff</A>", "A", 1000), Err(S3Error::malformed_xml()));
    assert_eq!(read(b"<A></A>", "A", 6).unwrap_err().code, Code::MaxMessageLengthExceeded);
    let many = format!("<A>{}</A>", "<b/>".repeat(ELEMENTS_MAX));
    assert_eq!(read(many.as_bytes(), "A", many.len()), Err(S3Error::malformed_xml()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = read_any(&bytes, 1000);
    }

    #[test]
    fn what_is_written_is_read_back(text in "[\\PC\u{0}-\u{1f}\u{7f}-\u{9f}\u{fffe}\u{ffff}]{0,40}") {
        let mut out = Writer::root("A");
        out.leaf("B", &text);
        let document = out.finish();
        let root = read(&document, "A", 10_000).unwrap();
        prop_assert_eq!(root.child("B").unwrap().exact().unwrap(), text);
    }
}
