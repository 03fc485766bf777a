#![allow(clippy::unwrap_used)]
use std::collections::VecDeque;

use dialect::checksum::Demand;
use dialect::sigv4;
use http::HeaderMap;
use proptest::prelude::*;

use super::*;

/// A body that comes in these pieces.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

fn cut(bytes: &[u8], sizes: &[usize]) -> Body {
    let mut rest = Bytes::copy_from_slice(bytes);
    let mut pieces = VecDeque::new();
    for size in sizes {
        pieces.push_back(rest.split_to(rest.len().min(*size)));
    }
    pieces.push_back(rest);
    Pieces(pieces).boxed_unsync()
}

fn reader(declared: usize) -> PayloadReader {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-decoded-content-length", declared.into());
    headers.insert("x-amz-trailer", "x-amz-checksum-crc32".parse().unwrap());
    PayloadReader::with_demand(sigv4::Payload::StreamingUnsignedTrailer, &headers, Demand::default()).unwrap()
}

/// What a reader gets: its bytes, its trailers, and whether the body ended well.
fn read(mut body: Body) -> (Vec<u8>, Option<HeaderMap>, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut bytes, mut trailers) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return (bytes, trailers, false) };
            match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        assert!(body.is_end_stream());
        (bytes, trailers, true)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn pieces_make_no_difference(
        data in proptest::collection::vec(any::<u8>(), 1..200),
        chunk in 1_usize..64,
        sizes in proptest::collection::vec(0_usize..40, 0..12),
        lost in 1_usize..8,
    ) {
        let mut encoded = Vec::new();
        for piece in data.chunks(chunk) {
            encoded.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            encoded.extend_from_slice(piece);
            encoded.extend_from_slice(b"\r\n");
        }
        encoded.extend_from_slice(b"0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n");
        let whole = Payload::wrap(cut(&encoded, &sizes), reader(data.len()));
        prop_assert_eq!(whole.size_hint().exact(), Some(data.len() as u64));
        let (bytes, trailers, ended) = read(whole);
        prop_assert!(ended);
        prop_assert_eq!(bytes, data.clone());
        let trailers = trailers.unwrap();
        prop_assert_eq!(&trailers["x-amz-checksum-crc32"], "NSRBwg==");

        let short = &encoded[..encoded.len() - lost];
        let (bytes, _, ended) = read(Payload::wrap(cut(short, &sizes), reader(data.len())));
        prop_assert!(!ended);
        prop_assert!(bytes.len() < data.len(), "the last piece is held back");
    }
}
