#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::{Decoder, Encoder, Framing, PayloadError, PayloadReader, Received};
use crate::checksum::{Algorithm, Checksum, ChecksumError};
use crate::sigv4::{AmzDate, Payload, PayloadToken, RequestView, Secret, SignatureChain, Signer, Verifier};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request};
use model::Timestamp;
use model::limits::CHUNK_BYTES_MAX;
use proptest::prelude::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TRAILER: &str = "x-amz-checksum-crc32c";

fn now() -> Timestamp {
    AmzDate::parse("20130524T000000Z").unwrap().timestamp()
}

/// The published chunked PUT: its head signed, verified, and the chain that goes on from it.
fn published(trailer: bool) -> (SignatureChain, Payload, HeaderMap) {
    let mut request = Request::builder()
        .method(Method::PUT)
        .uri("https://s3.amazonaws.com/examplebucket/chunkObject.txt")
        .header("x-amz-storage-class", "REDUCED_REDUNDANCY")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", "66560");
    request = if trailer {
        request.header("x-amz-trailer", TRAILER)
    } else {
        request.header("content-length", "66824")
    };
    let mut parts = request.body(()).unwrap().into_parts().0;
    let signer = Signer::new("AKIAIOSFODNN7EXAMPLE", Secret::new(SECRET), "us-east-1");
    let chain = signer.sign(&mut parts, &PayloadToken::StreamingSigned { trailer }, now()).unwrap();
    let verifier = Verifier::new("us-east-1");
    let verdict =
        verifier.verify(&RequestView::of_parts(&parts), now(), |_| Some(Secret::new(SECRET))).unwrap();
    (chain, verdict.payload, parts.headers)
}

fn framing(payload: Payload) -> Framing {
    match payload {
        Payload::StreamingSigned { chain, trailer } => Framing::Signed { chain, trailer },
        _ => Framing::Unsigned,
    }
}

/// Everything decoded when the input comes in pieces of these sizes, the last size repeated.
fn decode(
    mut decoder: Decoder,
    encoded: &[u8],
    sizes: &[usize],
) -> Result<(Vec<u8>, HeaderMap), PayloadError> {
    let (mut rest, mut out, mut sizes) = (encoded, Vec::new(), sizes.iter().copied());
    let mut size = 1;
    while !rest.is_empty() {
        size = sizes.next().unwrap_or(size).clamp(1, rest.len());
        let (piece, tail) = rest.split_at(size);
        let mut input = Bytes::copy_from_slice(piece);
        while let Some(decoded) = decoder.decode(&mut input)? {
            assert!(!decoded.is_empty());
            out.extend_from_slice(&decoded);
        }
        assert!(input.is_empty());
        rest = tail;
    }
    Ok((out, decoder.finish()?))
}

fn unsigned(bytes: u64, trailers: &[&'static str]) -> Decoder {
    let names = trailers.iter().map(|name| HeaderName::from_static(name)).collect();
    Decoder::new(Framing::Unsigned, bytes, names).unwrap()
}

/// Reads a whole body through every check.
fn read(payload: Payload, headers: &HeaderMap, body: &[u8]) -> Result<(Vec<u8>, Received), PayloadError> {
    let mut reader = PayloadReader::new(payload, headers)?;
    let (mut input, mut out) = (Bytes::copy_from_slice(body), Vec::new());
    while let Some(piece) = reader.read(&mut input)? {
        out.extend_from_slice(&piece);
    }
    Ok((out, reader.finish()?))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

#[test]
fn published_signed_chunks() {
    let (chain, payload, _) = published(false);
    assert_eq!(chain.last().as_str(), "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
    let mut encoder = Encoder::signed(chain);
    let body = [encoder.chunk(&[b'a'; 65536]), encoder.chunk(&[b'a'; 1024]), encoder.finish(None)].concat();
    let text = String::from_utf8(body.clone()).unwrap();
    for line in [
        "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
        "400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
        "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
    assert_eq!(body.len(), 66824);
    let decoder = Decoder::new(framing(payload), 66560, Vec::new()).unwrap();
    assert_eq!(decode(decoder, &body, &[usize::MAX]).unwrap().0, vec![b'a'; 66560]);
}

#[test]
fn published_signed_chunks_with_trailer() {
    let (chain, payload, headers) = published(true);
    assert_eq!(chain.last().as_str(), "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");
    let mut encoder = Encoder::signed(chain);
    let end = [encoder.chunk(&[b'a'; 65536]), encoder.chunk(&[b'a'; 1024])].concat();
    let body = [end, encoder.finish(Some(&[(TRAILER, "sOO8/Q==")]))].concat();
    let text = String::from_utf8(body.clone()).unwrap();
    for line in [
        "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n",
        "400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n",
        "0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n\
         x-amz-checksum-crc32c:sOO8/Q==\r\n\
         x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
    assert_eq!(body.len(), 66946);
    let (decoded, received) = read(payload, &headers, &body).unwrap();
    assert_eq!(decoded.len(), 66560);
    assert_eq!(received.bytes, 66560);
    assert_eq!(received.trailers[TRAILER], "sOO8/Q==");
    assert_eq!(received.checksum, Some(Checksum::parse(Algorithm::Crc32c, "sOO8/Q==").unwrap()));
}

#[test]
fn nothing_of_an_altered_signed_chunk_gets_out() {
    let (chain, payload, headers) = published(false);
    let mut encoder = Encoder::signed(chain);
    let mut body =
        [encoder.chunk(&[b'a'; 65536]), encoder.chunk(&[b'a'; 1024]), encoder.finish(None)].concat();
    body[70_000 - 4_000] = b'b';
    let mut reader = PayloadReader::new(payload, &headers).unwrap();
    let mut input = Bytes::from(body);
    assert_eq!(reader.read(&mut input).unwrap().unwrap().len(), 65536);
    let error = reader.read(&mut input).unwrap_err();
    assert_eq!(error.code().as_str(), "SignatureDoesNotMatch");
    assert!(error.extras()[0].1.starts_with("AWS4-HMAC-SHA256-PAYLOAD\n20130524T000000Z\n"));
}

#[test]
fn an_altered_trailer_is_noticed() {
    for (from, to) in [("sOO8", "sOO9"), ("x-amz-trailer-signature:d8", "x-amz-trailer-signature:d9")] {
        let (chain, payload, headers) = published(true);
        let mut encoder = Encoder::signed(chain);
        let chunks = [encoder.chunk(&[b'a'; 65536]), encoder.chunk(&[b'a'; 1024])].concat();
        let end = encoder.finish(Some(&[(TRAILER, "sOO8/Q==")]));
        let end = String::from_utf8(end).unwrap().replace(from, to);
        let result = read(payload, &headers, &[&chunks[..], end.as_bytes()].concat());
        assert_eq!(result.unwrap_err().code().as_str(), "SignatureDoesNotMatch");
    }
}

#[test]
fn a_trailer_that_is_no_text_is_refused() {
    for value in ["\u{e9}", "sOO8/Q==\u{a0}", "\u{1}", "\u{7f}"] {
        let (chain, payload, headers) = published(true);
        let mut encoder = Encoder::signed(chain);
        let chunks = [encoder.chunk(&[b'a'; 65536]), encoder.chunk(&[b'a'; 1024])].concat();
        let end = encoder.finish(Some(&[(TRAILER, value)]));
        let result = read(payload, &headers, &[chunks, end].concat());
        assert_eq!(result.unwrap_err(), PayloadError::TrailerMalformed, "{value:?}");
    }
}

#[test]
fn unsigned_bodies_as_clients_write_them() {
    let good: [&[u8]; 4] = [
        b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n",
        b"0003;x=y\r\nabc\r\n0\r\nX-Amz-Checksum-CRC32: NSRBwg==\r\n\r\n",
        b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n",
        b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\n\r\n",
    ];
    let map = headers(&[("x-amz-decoded-content-length", "3"), ("x-amz-trailer", "x-amz-checksum-crc32")]);
    for body in good {
        let (decoded, received) = read(Payload::StreamingUnsignedTrailer, &map, body).unwrap();
        assert_eq!(decoded, b"abc");
        assert_eq!(received.checksum, Some(Checksum::of(Algorithm::Crc32, b"abc")));
    }
    let bad: [(&[u8], &str); 13] = [
        (b"3\r\nabd\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n", "BadDigest"),
        (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRB\r\n\r\n", "InvalidRequest"),
        (b"3\r\nabc\r\n0\r\n\r\n", "IncompleteBody"),
        (b"3\r\nabc\r\n0\r\n\r\n\r\n", "InvalidRequest"),
        (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n", "IncompleteBody"),
        (b"3\r\nabc\r\n0\r\nx-amz-checksum-sha1:NSRBwg==\r\n\r\n", "InvalidRequest"),
        (
            b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n",
            "InvalidRequest",
        ),
        (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\nmore", "InvalidRequest"),
        (b"2\r\nab\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n", "IncompleteBody"),
        (b"4\r\nabcd\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n", "InvalidRequest"),
        (b"3\r\nab", "IncompleteBody"),
        (b"3\r\nabcd\r\n", "InvalidRequest"),
        (b"", "IncompleteBody"),
    ];
    for (body, code) in bad {
        let error = read(Payload::StreamingUnsignedTrailer, &map, body).unwrap_err();
        assert_eq!(error.code().as_str(), code, "{error} for {}", body.escape_ascii());
    }
}

#[test]
fn chunk_headers_are_read_strictly() {
    for header in ["\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", "1 \r\n", "g\r\n", "1\n", "00000000000000001\r\n"] {
        let result = decode(unsigned(1, &[]), format!("{header}a\r\n0\r\n\r\n").as_bytes(), &[usize::MAX]);
        assert!(matches!(result, Err(PayloadError::Malformed { .. })), "{header:?} {result:?}");
    }
    let result = decode(unsigned(1, &[]), b"ffffffffffffffff\r\n", &[usize::MAX]);
    assert_eq!(result.unwrap_err(), PayloadError::TooLong);
    let result = decode(unsigned(1, &[]), &[b'1'; 2000], &[1]);
    assert_eq!(result.unwrap_err(), PayloadError::LineTooLong);
    let (_, payload, _) = published(false);
    let decoder = Decoder::new(framing(payload.clone()), 1 << 30, Vec::new()).unwrap();
    let line = format!("1000001;chunk-signature={}\r\n", "0".repeat(64));
    assert_eq!(decode(decoder, line.as_bytes(), &[usize::MAX]).unwrap_err(), PayloadError::ChunkTooLarge);
    let decoder = Decoder::new(framing(payload), 1, Vec::new()).unwrap();
    assert!(matches!(decode(decoder, b"1\r\na\r\n", &[1]), Err(PayloadError::Malformed { .. })));
}

#[test]
fn plain_bodies_are_checked_against_every_promise() {
    let hash = match PayloadToken::parse("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") {
        Some(PayloadToken::Hash(hash)) => Payload::Hash(hash),
        other => panic!("{other:?}"),
    };
    let check = |payload: &Payload, pairs: &[(&'static str, &str)], body: &[u8]| {
        let result = read(payload.clone(), &headers(pairs), body);
        result.map_or_else(|error| error.code().as_str(), |_| "ok")
    };
    assert_eq!(check(&hash, &[], b"abc"), "ok");
    assert_eq!(check(&hash, &[], b"abd"), "XAmzContentSHA256Mismatch");
    assert_eq!(check(&hash, &[], b""), "XAmzContentSHA256Mismatch");
    let plain = Payload::Unsigned;
    assert_eq!(check(&plain, &[], b""), "ok");
    assert_eq!(check(&plain, &[("content-length", "3")], b"abc"), "ok");
    assert_eq!(check(&plain, &[("content-length", "4")], b"abc"), "IncompleteBody");
    assert_eq!(check(&plain, &[("content-length", "2")], b"abc"), "InvalidRequest");
    assert_eq!(check(&plain, &[("content-md5", "kAFQmDzST7DWlj99KOF/cg==")], b"abc"), "ok");
    assert_eq!(check(&plain, &[("content-md5", "kAFQmDzST7DWlj99KOF/cg==")], b"abd"), "BadDigest");
    assert_eq!(check(&plain, &[("content-md5", "nonsense")], b"abc"), "InvalidDigest");
    assert_eq!(check(&plain, &[("x-amz-checksum-crc32", "NSRBwg==")], b"abc"), "ok");
    assert_eq!(check(&plain, &[("x-amz-checksum-crc32", "NSRBwg==")], b"abd"), "BadDigest");
    assert_eq!(check(&plain, &[("x-amz-trailer", "x-amz-checksum-crc32")], b"abc"), "InvalidRequest");
    assert_eq!(check(&Payload::StreamingUnsignedTrailer, &[], b"0\r\n\r\n"), "MissingContentLength");
    let length = [("x-amz-decoded-content-length", "+3")];
    assert_eq!(check(&Payload::StreamingUnsignedTrailer, &length, b""), "InvalidRequest");
}

#[test]
fn mismatches_use_the_words_of_s3() {
    let map = headers(&[("x-amz-checksum-crc32", "NSRBwg==")]);
    let error = read(Payload::Unsigned, &map, b"abd").unwrap_err();
    assert_eq!(error, PayloadError::Checksum(ChecksumError::Mismatch { algorithm: Algorithm::Crc32 }));
    assert_eq!(error.to_string(), "The CRC32 you specified did not match the calculated checksum.");
    let error = read(Payload::Hash([0; 32]), &HeaderMap::new(), b"").unwrap_err();
    let names: Vec<&str> = error.extras().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["ClientComputedContentSHA256", "S3ComputedContentSHA256"]);
}

#[test]
fn pieces_given_out_are_bounded() {
    let large = vec![7; CHUNK_BYTES_MAX * 2 + 5];
    let (chain, payload, mut headers) = published(false);
    headers.insert("x-amz-decoded-content-length", large.len().into());
    let mut encoder = Encoder::signed(chain);
    let signed = [encoder.chunk(&large), encoder.finish(None)].concat();
    let plain = HeaderMap::new();
    for (payload, headers, body) in [(payload, &headers, &signed), (Payload::Unsigned, &plain, &large)] {
        let mut reader = PayloadReader::new(payload, headers).unwrap();
        let (mut sizes, mut input) = (Vec::new(), Bytes::copy_from_slice(body));
        while let Some(piece) = reader.read(&mut input).unwrap() {
            sizes.push(piece.len());
        }
        assert_eq!(sizes, [CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, 5]);
        assert_eq!(reader.finish().unwrap().bytes, large.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_split_decodes_alike(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..6),
        sizes in proptest::collection::vec(1_usize..200, 1..12),
        signed in any::<bool>(),
        trailer in any::<bool>(),
    ) {
        let whole = chunks.concat();
        let value = Checksum::of(Algorithm::Crc32c, &whole).to_base64();
        let (chain, payload, _) = published(trailer);
        let (mut encoder, framing) = if signed {
            (Encoder::signed(chain), framing(payload))
        } else {
            (Encoder::unsigned(), Framing::Unsigned)
        };
        let mut body: Vec<u8> = chunks.iter().flat_map(|chunk| encoder.chunk(chunk)).collect();
        let trailers = [(TRAILER, value.as_str())];
        body.extend(encoder.finish(trailer.then_some(&trailers[..])));
        let names = if trailer { vec![HeaderName::from_static(TRAILER)] } else { Vec::new() };
        let decoder = Decoder::new(framing, whole.len() as u64, names).unwrap();
        let (decoded, found) = decode(decoder, &body, &sizes).unwrap();
        prop_assert_eq!(decoded, whole);
        prop_assert_eq!(found.get(TRAILER).map(|found| found.to_str().unwrap()), trailer.then_some(value.as_str()));
    }

    #[test]
    fn an_altered_signed_body_is_refused_or_reads_the_same(at in any::<proptest::sample::Index>(), flip in 1_u8..=255) {
        let whole: Vec<u8> = (0..600_u32).map(|number| number as u8).collect();
        let value = Checksum::of(Algorithm::Crc32c, &whole).to_base64();
        let (chain, payload, _) = published(true);
        let mut encoder = Encoder::signed(chain);
        let mut body: Vec<u8> = whole.chunks(200).flat_map(|chunk| encoder.chunk(chunk)).collect();
        body.extend(encoder.finish(Some(&[(TRAILER, &value)])));
        let at = at.index(body.len());
        body[at] ^= flip;
        let decoder = Decoder::new(framing(payload), 600, vec![HeaderName::from_static(TRAILER)]).unwrap();
        if let Ok((decoded, trailers)) = decode(decoder, &body, &[usize::MAX]) {
            prop_assert_eq!(decoded, whole);
            prop_assert_eq!(trailers[TRAILER].to_str().unwrap(), value.as_str());
        }
    }

    #[test]
    fn hostile_bytes_never_panic(
        body in proptest::collection::vec(proptest::sample::select(vec![
            "\r\n", "0", "3", "abc", ";chunk-signature=", "\n", "x-amz-checksum-crc32c:",
            "x-amz-trailer-signature:", "f", "\u{ff}", "\0",
        ]), 0..40),
        sizes in proptest::collection::vec(1_usize..9, 1..6),
        signed in any::<bool>(),
    ) {
        let framing = if signed { framing(published(true).1) } else { Framing::Unsigned };
        let decoder = Decoder::new(framing, 64, vec![HeaderName::from_static(TRAILER)]).unwrap();
        if let Ok((decoded, _)) = decode(decoder, body.concat().as_bytes(), &sizes) {
            prop_assert!(!signed && decoded.len() == 64);
        }
    }
}
