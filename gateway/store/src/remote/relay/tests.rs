//! The last piece of a body, whatever the pieces are.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;

use bytes::Bytes;
use dialect::aws_chunked::PayloadReader;
use dialect::checksum::{Algorithm, Checksum};
use dialect::sigv4::Payload;
use futures_util::{FutureExt, StreamExt, stream};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use model::{Body, BodyError};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::super::check::Check;
use super::super::gate::{Gate, Pass};
use super::super::trailed::Trailed;
use super::{Framing, Relay};
use crate::conformance::client::noise;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Well,
    Refused,
    Short,
    Long,
}

fn body(pieces: &[usize], end: End, checksum: Option<String>) -> Body {
    let whole = noise(pieces.iter().sum(), 5);
    let mut at = 0;
    let mut frames: Vec<Result<Frame<Bytes>, BodyError>> = Vec::new();
    for piece in pieces {
        frames.push(Ok(Frame::data(whole.slice(at..at + piece))));
        at += piece;
    }
    match end {
        End::Well => {}
        End::Refused => frames.push(Err(BodyError::Broken(std::io::ErrorKind::Other.into()))),
        End::Short => drop(frames.pop()),
        End::Long => frames.push(Ok(Frame::data(Bytes::from_static(b"!")))),
    }
    if let Some(checksum) = checksum
        && end == End::Well
    {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-amz-checksum-crc32c", checksum.parse().unwrap());
        frames.push(Ok(Frame::trailers(trailers)));
    }
    // Sometimes the source is not ready.
    let frames = stream::iter(frames).enumerate().then(|(at, frame)| async move {
        if at % 3 == 1 {
            tokio::task::yield_now().await;
        }
        frame
    });
    StreamBody::new(Box::pin(frames)).boxed_unsync()
}

/// What the store gets, and whether it was told the end.
async fn sent(mut relay: Relay) -> (Vec<u8>, bool) {
    let announced = relay.size_hint().exact().unwrap();
    let mut out = Vec::new();
    loop {
        match relay.frame().await {
            Some(Ok(frame)) => {
                out.extend_from_slice(&frame.into_data().unwrap());
                assert_eq!(relay.size_hint().exact().unwrap(), announced - out.len() as u64);
                assert_eq!(relay.is_end_stream(), out.len() as u64 == announced);
            }
            Some(Err(_)) => return (out, false),
            None => return (out, true),
        }
    }
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Well), Just(End::Refused), Just(End::Short), Just(End::Long)]
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]

    #[test]
    fn a_body_arrives_whole_or_short(
        pieces in prop::collection::vec(prop_oneof![Just(0_usize), 1..700_usize, Just(262_144)], 1..9),
        last in 1..300_usize,
        end in ends(),
        late in any::<bool>(),
    ) {
        let pieces = [pieces, vec![last]].concat();
        let length: usize = pieces.iter().sum();
        let whole = noise(length, 5);
        let checksum = Checksum::of(Algorithm::Crc32c, &whole).to_base64();
        let framing = if late { Framing::Trailed(Trailed::new(Algorithm::Crc32c, length as u64)) } else { Framing::Plain };
        let gate = Gate::new(Pass::Open);
        let source = body(&pieces, end, Some(checksum));
        let relay = Relay::new(source, length as u64, Check::none(), framing, Arc::clone(&gate));
        let announced = relay.size_hint().exact().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (out, ended) = runtime.block_on(sent(relay));
        assert_eq!(ended, end == End::Well);
        assert_eq!(gate.take_failure().is_none(), ended);
        if !ended {
            assert!((out.len() as u64) < announced, "{} of {announced}", out.len());
        } else if late {
            assert_eq!(out.len() as u64, announced);
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-trailer", "x-amz-checksum-crc32c".parse().unwrap());
            headers.insert("x-amz-decoded-content-length", length.into());
            let mut reader = PayloadReader::new(Payload::StreamingUnsignedTrailer, &headers).unwrap();
            let (mut input, mut read) = (Bytes::from(out), Vec::new());
            while let Some(piece) = reader.read(&mut input).unwrap() {
                read.extend_from_slice(&piece);
            }
            reader.finish().unwrap();
            assert!(read == whole);
        } else {
            assert!(out == whole);
        }
    }
}

#[tokio::test]
async fn a_closed_gate_takes_nothing_and_a_stopped_one_ends() {
    let gate = Gate::new(Pass::Closed);
    let source = body(&[5, 5], End::Well, None);
    let mut relay = Relay::new(source, 10, Check::none(), Framing::Plain, Arc::clone(&gate));
    assert!(relay.frame().now_or_never().is_none());
    gate.open();
    assert_eq!(relay.frame().await.unwrap().unwrap().into_data().unwrap(), noise(10, 5).slice(..5));
    gate.answered();
    assert!(relay.frame().now_or_never().is_none());
    drop(super::super::gate::Lifeline::new(&gate));
    assert!(relay.frame().await.unwrap().is_err());
}
