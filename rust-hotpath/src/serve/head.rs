//! Judges what a call says before its message by the rules of grpc-go's server, in the same order.

use super::{
    frame::{ENCODING, GRPC},
    wants,
};
use crate::error::{Error, Kind};
use hyper::http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST},
};
use tonic::body::Body;

/// Suffix of the names of metadata whose values are bytes.
const BINARY: &str = "-bin";
/// Bytes that HTTP/2 counts for a field besides its name and value.
const FIELD_BYTES: usize = 32;

/// A refusal: the HTTP status for callers that do not speak gRPC, and the error for those that do.
type Refused = (StatusCode, Error);

/// Checks whether a call may be served at all.
///
/// # Errors
/// Returns the response that refuses the call.
pub(crate) fn admit<B>(call: &Request<B>, most_bytes: usize) -> Result<(), Box<Response<Body>>> {
    judge(call, most_bytes).map_err(|(http, error)| {
        let mut response = error.status().into_http();
        *response.status_mut() = http;
        Box::new(response)
    })
}

fn judge<B>(call: &Request<B>, most_bytes: usize) -> Result<(), Refused> {
    let headers = call.headers();
    let (mut bytes, binary) = look(headers);
    bytes += pseudo(call.method(), call.uri());
    if bytes > most_bytes {
        let text = format!("the headers of {bytes} bytes are longer than {most_bytes}");
        return Err((StatusCode::OK, Error::new(Kind::TooLong, text)));
    }
    if headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(bad("host: must be given once".to_owned()));
    }
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    if !kinds.any(|kind| is_grpc(kind.as_bytes())) {
        let kind = headers.get(CONTENT_TYPE);
        let kind = kind.map_or("", |kind| kind.to_str().unwrap_or("?"));
        let error = Error::new(
            Kind::Argument,
            format!("invalid gRPC request content-type {kind:?}"),
        );
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    binary?;
    let timeout = wants::timeout(headers).map_err(bad)?;
    if call.uri().authority().is_none() && !headers.contains_key(HOST) {
        return Err(bad("no host or :authority header present".to_owned()));
    }
    if call.method() != Method::POST {
        let text = format!("the method is {}, not POST", call.method());
        let error = Error::new(Kind::Malformed, text);
        return Err((StatusCode::METHOD_NOT_ALLOWED, error));
    }
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        let error = Error::new(Kind::TooLate, "the caller's time is up");
        return Err((StatusCode::OK, error));
    }
    if let Some(query) = call.uri().query() {
        let path = call.uri().path();
        let text = format!("{path}?{query} is not served by the sidecar");
        return Err((StatusCode::OK, Error::new(Kind::Unsupported, text)));
    }
    Ok(())
}

/// Returns the bytes of these fields, as `SETTINGS_MAX_HEADER_LIST_SIZE` counts them, and what is wrong with binary
/// values.
fn look(headers: &HeaderMap) -> (usize, Result<(), Refused>) {
    let mut binary = Ok(());
    let mut bytes = 0;
    for (name, value) in headers {
        bytes += name.as_str().len() + value.len() + FIELD_BYTES;
        if name.as_str().ends_with(BINARY) && !is_base64(value.as_bytes()) {
            binary = Err(bad(format!("{name}: must be base64")));
        }
    }
    (bytes, binary)
}

fn pseudo(method: &Method, uri: &Uri) -> usize {
    const NAMES: usize = ":method:scheme:authority:path".len() + 4 * FIELD_BYTES;
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    NAMES + method.as_str().len() + uri.scheme_str().map_or(0, str::len) + authority + path
}

fn bad(rule: String) -> Refused {
    (StatusCode::BAD_REQUEST, Error::new(Kind::Malformed, rule))
}

/// Whether a content type is gRPC's, with any subtype.
pub(crate) fn is_grpc(kind: &[u8]) -> bool {
    let subtype = kind.strip_prefix(GRPC.as_bytes());
    subtype.is_some_and(|subtype| matches!(subtype.first(), None | Some(b'+' | b';')))
}

/// Accepts base64 with all of its padding or with none.
pub(crate) fn is_base64(text: &[u8]) -> bool {
    let mut digits = text;
    if text.len().is_multiple_of(4) {
        for _ in 0..2 {
            digits = digits.strip_suffix(b"=").unwrap_or(digits);
        }
    }
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.len() % 4 != 1 && digits.iter().all(is_digit)
}

/// The encoding that counts: the last of the request, unless it is empty.
pub(super) fn encoding(headers: &HeaderMap) -> Option<&HeaderValue> {
    let last = headers.get_all(ENCODING).iter().next_back()?;
    (!last.is_empty()).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::http::Request;
    use tonic::Code;

    /// The decision of grpc-go 1.85 (`internal/transport/http2_server.go`): HTTP status and code, or none if it serves
    /// the call.
    fn verdict(change: impl FnOnce(&mut Request<()>)) -> Option<(u16, Code)> {
        let request = Request::post("http://localhost/s.S/Get")
            .header("content-type", "application/grpc")
            .body(());
        let mut request = request.expect("a request");
        change(&mut request);
        let refused = judge(&request, 1_000).err()?;
        Some((refused.0.as_u16(), refused.1.code()))
    }

    fn with(fields: &[(&'static str, &'static str)]) -> Option<(u16, Code)> {
        verdict(|request| {
            let headers = request.headers_mut();
            for (name, value) in fields {
                let value = HeaderValue::from_static(value);
                if *name == "content-type" {
                    headers.insert(*name, value);
                } else {
                    headers.append(*name, value);
                }
            }
        })
    }

    #[test]
    fn timeouts() {
        let malformed = Some((400, Code::Internal));
        for bad in [
            "",
            "S",
            "5",
            "5x",
            "-5S",
            "+5S",
            "1.5S",
            "5 S",
            "123456789S",
        ] {
            assert_eq!(with(&[("grpc-timeout", bad)]), malformed, "{bad:?}");
            let two = [("grpc-timeout", bad), ("grpc-timeout", "5S")];
            assert_eq!(with(&two), malformed, "{bad:?} first");
        }
        assert_eq!(with(&[("grpc-timeout", "99999999H")]), None);
        let late = Some((200, Code::DeadlineExceeded));
        assert_eq!(with(&[("grpc-timeout", "0m")]), late);
        assert_eq!(
            with(&[("grpc-timeout", "5S"), ("grpc-timeout", "0S")]),
            late,
            "the last of two counts"
        );
        assert_eq!(
            with(&[("grpc-timeout", "0S"), ("grpc-timeout", "5S")]),
            None
        );
    }

    #[test]
    fn content_types() {
        for good in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;x",
        ] {
            assert_eq!(with(&[("content-type", good)]), None, "{good:?}");
        }
        let refused = Some((415, Code::InvalidArgument));
        for bad in [
            "",
            "application/grpcx",
            "application/grpc-web",
            "Application/grpc",
        ] {
            assert_eq!(with(&[("content-type", bad)]), refused, "{bad:?}");
        }
        let none = verdict(|request| drop(request.headers_mut().remove("content-type")));
        assert_eq!(none, refused);
        let both = [("content-type", "text/html"), ("x-bin", "!")];
        assert_eq!(with(&both), refused, "before what else is wrong");
    }

    #[test]
    fn binary_metadata() {
        for good in ["", "AA", "AA==", "AAA", "AAA=", "AAAA", "+/+/"] {
            assert_eq!(with(&[("x-bin", good)]), None, "{good:?}");
        }
        for bad in [
            "A", "A===", "AA=", "====", "AAAAA", "-_-_", "AA==AA==", "AA,AA",
        ] {
            let refused = Some((400, Code::Internal));
            assert_eq!(with(&[("x-bin", bad)]), refused, "{bad:?}");
        }
        assert_eq!(with(&[("x-binary", "!")]), None);
    }

    #[test]
    fn methods_paths_and_hosts() {
        let put = verdict(|request| *request.method_mut() = Method::PUT);
        assert_eq!(put, Some((405, Code::Internal)));
        for path in [
            "http://localhost/s.S/Get?query",
            "http://localhost/s.S/Get?",
        ] {
            let query = verdict(|request| *request.uri_mut() = Uri::from_static(path));
            assert_eq!(query, Some((200, Code::Unimplemented)));
        }
        let nowhere = verdict(|request| *request.uri_mut() = Uri::from_static("/s.S/Get"));
        assert_eq!(nowhere, Some((400, Code::Internal)));
        let two = with(&[("host", "a"), ("host", "a"), ("content-type", "text/html")]);
        assert_eq!(two, Some((400, Code::Internal)));
        let by_host = verdict(|request| {
            *request.uri_mut() = Uri::from_static("/s.S/Get");
            request
                .headers_mut()
                .insert(HOST, HeaderValue::from_static("a"));
        });
        assert_eq!(by_host, None);
    }

    #[test]
    fn bytes_are_counted_as_http2_does() {
        let counted = |length: usize| {
            verdict(|request| {
                let value = HeaderValue::from_str(&"x".repeat(length)).expect("a value");
                request.headers_mut().insert("x", value);
            })
        };
        const OTHERS: usize =
            (7 + 4 + 32) + (7 + 4 + 32) + (10 + 9 + 32) + (5 + 8 + 32) + (12 + 16 + 32) + (1 + 32);
        assert_eq!(counted(1_000 - OTHERS), None);
        let refused = Some((200, Code::ResourceExhausted));
        assert_eq!(counted(1_001 - OTHERS), refused);
    }
}
