//! Reads and writes gRPC's length-prefixed messages in HTTP/2 bodies: one message in, one message out.

use super::{Incoming, budget::Share, head, places::Permit};
use crate::error::{Error, Kind};
use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body as HttpBody, Frame},
    http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE},
};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};
use tonic::body::Body;

/// Bytes of the compression flag and the length.
pub(crate) const PREFIX: usize = 5;
/// The flag of a compressed message.
pub(super) const PACKED: u8 = 1;
pub(super) const ENCODING: &str = "grpc-encoding";
pub(crate) const GRPC: &str = "application/grpc";

/// The compression of a request, and therefore of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

/// A reply of one frame. It keeps its place among the requests in flight, or rests if it is long, until the connection takes
/// it.
struct Reply {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
    _permit: Permit,
}

/// A long reply. It counts against the budget until it leaves, because it stays in HTTP/2's queue while the peer does
/// not read.
struct Long {
    frame: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        match head::encoding(headers).map(HeaderValue::as_bytes) {
            None | Some(b"identity") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                let text = format!("compression {other:?} is not supported");
                Err(Error::new(Kind::Unsupported, text))
            }
        }
    }
}

/// Reads the request's one message, of at most `most` bytes, and tells whether it is compressed. It asks `grow` before
/// it holds more of the message.
pub(super) async fn read<B: Incoming>(
    encoding: Encoding,
    mut body: B,
    most: usize,
    mut grow: impl FnMut(usize) -> Result<(), Error>,
) -> Result<(Bytes, bool), Error> {
    let mut whole = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Error::new(Kind::Malformed, "the request broke off").because(error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        grow(whole.len() + data.len())?;
        whole = join(whole, data);
        check_prefix(&whole, encoding, most)?;
    }
    if whole.len() < PREFIX || whole.len() < PREFIX + length(&whole) {
        return Err(Error::new(
            Kind::Malformed,
            "the request ends within a message",
        ));
    }
    let is_packed = whole[0] == PACKED;
    whole.advance(PREFIX);
    Ok((whole, is_packed))
}

/// Checks a prefix as early as possible, so that no more than one message is ever held.
fn check_prefix(whole: &Bytes, encoding: Encoding, most: usize) -> Result<(), Error> {
    if whole.len() < PREFIX {
        return Ok(());
    }
    let length = length(whole);
    match whole[0] {
        0 => {}
        PACKED if encoding != Encoding::Identity => {}
        PACKED => {
            let text = "the message is said to be compressed, but not how";
            return Err(Error::new(Kind::Malformed, text));
        }
        flag => {
            let text = format!("the message begins with {flag}, which is no flag");
            return Err(Error::new(Kind::Malformed, text));
        }
    }
    if length > most {
        let text = format!("the request of {length} bytes is longer than {most}");
        return Err(Error::new(Kind::TooLong, text));
    }
    if whole.len() > PREFIX + length {
        return Err(Error::new(
            Kind::Malformed,
            "more than one message in a unary request",
        ));
    }
    Ok(())
}

fn length(whole: &Bytes) -> usize {
    let length = u32::from_be_bytes([whole[1], whole[2], whole[3], whole[4]]);
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Appends `more`. Almost every request is one DATA frame, and then nothing is copied.
fn join(whole: Bytes, more: Bytes) -> Bytes {
    if whole.is_empty() {
        return more;
    }
    let mut joined = BytesMut::from(whole);
    joined.extend_from_slice(&more);
    joined.freeze()
}

/// Makes a buffer with room for the prefix, to which the reply is appended.
pub(super) fn start() -> Vec<u8> {
    let mut frame = Vec::with_capacity(256);
    frame.resize(PREFIX, 0);
    frame
}

/// Fills in the prefix of a frame.
pub(super) fn finish(mut frame: Vec<u8>) -> Result<Vec<u8>, Error> {
    fill_in(&mut frame)?;
    Ok(frame)
}

/// Fills in the prefix of a frame.
pub(super) fn fill_in(frame: &mut [u8]) -> Result<(), Error> {
    let length = frame.len() - PREFIX;
    let prefix = u32::try_from(length)
        .map_err(|_| Error::new(Kind::TooLong, "the reply is longer than any message"))?;
    frame[1..PREFIX].copy_from_slice(&prefix.to_be_bytes());
    Ok(())
}

/// The message of a request that is whole, not compressed and not too long.
pub(super) fn plain(whole: &[u8], most: usize) -> Option<&[u8]> {
    let (prefix, message) = whole.split_first_chunk::<PREFIX>()?;
    let [flag, length @ ..] = *prefix;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    (flag == 0 && length == message.len() && length <= most).then_some(message)
}

pub(super) fn response(frame: Vec<u8>, mut permit: Permit, share: Share) -> Response<Body> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let is_packed = frame[0] == PACKED;
    let data = if share.is_empty() {
        Bytes::from(frame)
    } else {
        // From now on the budget bounds it.
        permit.rest();
        let _share = share;
        Bytes::from_owner(Long { frame, _share })
    };
    let mut response = Response::new(Body::new(Reply {
        data: Some(data),
        trailers: Some(trailers),
        _permit: permit,
    }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    if is_packed {
        headers.insert(ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The body does not tell its size. Otherwise HTTP would send `content-length`, which gRPC callers would see as
/// metadata.
impl HttpBody for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let trailers = self.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};

    async fn read_parts(parts: &[&[u8]], most: usize) -> Result<Bytes, Error> {
        let frames: Vec<_> = parts
            .iter()
            .map(|part| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(part))))
            .collect();
        let body = Body::new(StreamBody::new(tokio_stream::iter(frames)));
        let (message, is_packed) = read(Encoding::Identity, body, most, |_| Ok(())).await?;
        assert!(!is_packed);
        Ok(message)
    }

    #[tokio::test]
    async fn a_message_in_any_number_of_parts() {
        for parts in [
            &[&b"\0\0\0\0\x03abc"[..]][..],
            &[&b"\0\0"[..], b"\0\0\x03a", b"bc"],
        ] {
            assert_eq!(read_parts(parts, 3).await.expect("whole"), "abc");
        }
        assert_eq!(
            read_parts(&[&b"\0\0\0\0\0"[..]], 3).await.expect("empty"),
            ""
        );
    }

    #[tokio::test]
    async fn what_is_no_single_plain_message_is_refused() {
        let cases: [(&[u8], Kind); 6] = [
            (b"\x02\0\0\0\x01a", Kind::Malformed),
            (b"", Kind::Malformed),
            (b"\0\0\0\0\x03ab", Kind::Malformed),
            (b"\0\0\0\0\x01ab", Kind::Malformed),
            (b"\0\0\0\0\x04abcd", Kind::TooLong),
            (b"\x01\0\0\0\x01a", Kind::Malformed),
        ];
        for (bytes, kind) in cases {
            assert_eq!(
                read_parts(&[bytes], 3).await.expect_err("refused").kind(),
                kind
            );
        }
        let body = Full::new(Bytes::from_static(b"\x01\0\0\0\x01a"));
        let packed = read(Encoding::Gzip, Body::new(body), 3, |_| Ok(())).await;
        assert_eq!(packed.expect("whole"), (Bytes::from_static(b"a"), true));
    }

    #[test]
    fn gzip_is_the_one_encoding() {
        let of = |name| {
            let mut headers = HeaderMap::new();
            headers.insert(ENCODING, HeaderValue::from_static(name));
            Encoding::of(&headers).map_err(|error| error.kind())
        };
        assert_eq!(of("gzip"), Ok(Encoding::Gzip));
        assert_eq!(of("identity"), Ok(Encoding::Identity));
        for other in ["snappy", "deflate", "GZIP", "gzip, identity"] {
            assert_eq!(of(other), Err(Kind::Unsupported), "{other}");
        }
    }

    #[test]
    fn a_reply_is_framed() {
        let mut frame = start();
        frame.extend_from_slice(b"abc");
        assert_eq!(finish(frame).expect("fits"), b"\0\0\0\0\x03abc");
    }
}
