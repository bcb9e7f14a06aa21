//! What a field of a request means to the front. It is worked out when the field enters the table of headers, or comes as
//! a literal; a call's fields are then only put together.

use crate::serve;
use hyper::http::{HeaderName, HeaderValue, uri::Authority};
use std::time::Duration;

/// Bytes that HTTP/2 counts for a field besides its name and value.
pub(super) const FIELD_BYTES: usize = 32;

/// Paths of the methods that may be answered below hyper, by their index.
pub(crate) type Paths = [String];

/// The meaning of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Post,
    Scheme,
    /// The path of a hot method.
    Path(usize),
    Authority,
    ContentType,
    Timeout(Duration),
    /// How long the message is, with its prefix.
    Length(usize),
    /// One of `x-hotpath-*`.
    Position,
    /// What a call may have, and nobody here looks at.
    Other,
    /// What only hyper can judge.
    Odd,
}

/// The fields of one call, put together.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    post: bool,
    scheme: bool,
    path: Option<usize>,
    authority: bool,
    content_type: bool,
    pub(super) timeout: Option<Duration>,
    /// What the message's length has to be, if the call says so. Clients that know no gRPC do (h2load).
    pub(super) length: Option<usize>,
    /// Whether the call asks for positions.
    pub(super) asked: bool,
    /// Whether the fields without a colon have begun.
    regular: bool,
    odd: bool,
    /// As `SETTINGS_MAX_HEADER_LIST_SIZE` counts them.
    pub(super) bytes: usize,
}

impl Meaning {
    pub(super) fn of(name: &[u8], value: &[u8], paths: &Paths) -> Self {
        let sound = |good: bool, meaning| if good { meaning } else { Self::Odd };
        match name {
            b":method" => sound(value == b"POST", Self::Post),
            b":scheme" => sound(matches!(value, b"http" | b"https"), Self::Scheme),
            b":path" => {
                let index = paths.iter().position(|path| path.as_bytes() == value);
                index.map_or(Self::Odd, Self::Path)
            }
            b":authority" => {
                let good = !value.is_empty() && Authority::try_from(value).is_ok();
                sound(good, Self::Authority)
            }
            b"content-type" => sound(serve::is_grpc(value), Self::ContentType),
            b"te" => sound(value == b"trailers", Self::Other),
            b"grpc-encoding" => sound(value == b"identity", Self::Other),
            b"grpc-timeout" => {
                let time = std::str::from_utf8(value).ok().and_then(serve::duration);
                let time = time.filter(|time| !time.is_zero());
                time.map_or(Self::Odd, Self::Timeout)
            }
            b"content-length" => length(value).map_or(Self::Odd, Self::Length),
            // `host` beside `:authority`, and what belongs to connections of HTTP/1.
            b"host" | b"connection" | b"keep-alive" | b"proxy-connection"
            | b"transfer-encoding" | b"upgrade" | b"expect" => Self::Odd,
            _ => {
                let good = HeaderName::from_lowercase(name).is_ok()
                    && HeaderValue::from_bytes(value).is_ok()
                    && (!name.ends_with(b"-bin") || serve::is_base64(value));
                let asks = name.starts_with(b"x-hotpath-");
                sound(good, if asks { Self::Position } else { Self::Other })
            }
        }
    }
}

/// A length in digits, as hyper reads it, if it is no longer than any message here.
fn length(value: &[u8]) -> Option<usize> {
    let digits = (1..10).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits)?;
    text.parse().ok()
}

impl Sum {
    /// Adds a field that counts as `bytes`.
    #[inline]
    pub(super) fn add(&mut self, meaning: Meaning, bytes: usize) {
        self.bytes += bytes;
        match meaning {
            Meaning::Post => self.once(|sum| &mut sum.post),
            Meaning::Scheme => self.once(|sum| &mut sum.scheme),
            Meaning::Authority => self.once(|sum| &mut sum.authority),
            Meaning::Path(index) => {
                self.odd |= self.path.replace(index).is_some() || self.regular;
            }
            Meaning::ContentType => {
                self.odd |= std::mem::replace(&mut self.content_type, true);
                self.regular = true;
            }
            Meaning::Timeout(time) => {
                self.odd |= self.timeout.replace(time).is_some();
                self.regular = true;
            }
            Meaning::Length(length) => {
                self.odd |= self.length.replace(length).is_some();
                self.regular = true;
            }
            Meaning::Position => (self.asked, self.regular) = (true, true),
            Meaning::Other => self.regular = true,
            Meaning::Odd => self.odd = true,
        }
    }

    /// A field with a colon: once, and before those without.
    fn once(&mut self, seen: impl FnOnce(&mut Self) -> &mut bool) {
        self.odd |= self.regular || std::mem::replace(seen(self), true);
    }

    /// The method that is called, if the front may answer the call.
    pub(super) fn hot(&self, most_bytes: usize) -> Option<usize> {
        let whole = self.post && self.scheme && self.authority && self.content_type;
        self.path
            .filter(|_| whole && !self.odd && self.bytes <= most_bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: [(&str, &str); 7] = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/s.S/Get"),
        (":authority", "localhost:1"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", "5S"),
    ];

    fn summed<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Sum {
        let paths = ["/s.S/List".to_owned(), "/s.S/Get".to_owned()];
        let mut sum = Sum::default();
        for (name, value) in fields {
            let meaning = Meaning::of(name.as_bytes(), value.as_bytes(), &paths);
            sum.add(meaning, name.len() + value.len() + FIELD_BYTES);
        }
        sum
    }

    fn hot<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<usize> {
        summed(fields).hot(1_000)
    }

    #[test]
    fn a_plain_call_is_hot_with_any_metadata() {
        let sum = summed(GOOD);
        assert_eq!(sum.hot(1_000), Some(1));
        assert_eq!(sum.timeout, Some(Duration::from_secs(5)));
        assert!(!sum.asked);
        assert_eq!(sum.hot(sum.bytes), Some(1));
        assert_eq!(sum.hot(sum.bytes - 1), None, "too long");
        for more in [
            ("user-agent", "grpc-go/1.85"),
            ("authorization", "Bearer x"),
            ("grpc-encoding", "identity"),
            ("grpc-accept-encoding", "gzip"),
            ("grpc-trace-bin", "AA=="),
            ("traceparent", "00-x"),
            ("content-length", "5"),
        ] {
            assert_eq!(hot(GOOD.into_iter().chain([more])), Some(1), "{more:?}");
        }
        let long = GOOD.into_iter().chain([("content-length", "123")]);
        assert_eq!(summed(long.clone()).length, Some(123));
        assert_eq!(hot(long.chain([("content-length", "123")])), None, "twice");
        let asking = GOOD.into_iter().chain([("x-hotpath-min-position", "7")]);
        assert!(summed(asking).asked);
    }

    #[test]
    fn each_field_may_be_missed_once_only() {
        for (at, (name, _)) in GOOD.iter().enumerate() {
            let without = GOOD.into_iter().enumerate();
            let without = without
                .filter(|(index, _)| *index != at)
                .map(|(_, field)| field);
            let needed = !["te", "grpc-timeout"].contains(name);
            assert_eq!(hot(without).is_none(), needed, "{name}");
        }
    }

    #[test]
    fn what_is_twice_or_late_is_for_hyper() {
        for field in GOOD.into_iter().filter(|(name, _)| *name != "te") {
            assert_eq!(hot(GOOD.into_iter().chain([field])), None, "{field:?}");
        }
        let late = GOOD.into_iter().skip(1).chain([GOOD[0]]);
        assert_eq!(hot(late), None);
    }

    #[test]
    fn what_is_odd_is_for_hyper() {
        for (name, value) in [
            (":method", "GET"),
            (":scheme", "ftp"),
            (":path", "/s.S/Get?x"),
            (":path", "/s.S/Other"),
            (":authority", ""),
            (":authority", "%2Ftmp%2Fs.sock"),
            ("content-type", "text/html"),
            ("content-type", "application/grpcx"),
            ("te", "gzip"),
            ("grpc-timeout", "0S"),
            ("grpc-timeout", "5x"),
        ] {
            let changed = GOOD.map(|field| {
                if field.0 == name {
                    (name, value)
                } else {
                    field
                }
            });
            assert_eq!(hot(changed), None, "{name}: {value}");
        }
        for more in [
            ("host", "localhost"),
            ("content-length", ""),
            ("content-length", "+5"),
            ("content-length", "5 "),
            ("content-length", "0000000005"),
            ("connection", "close"),
            ("grpc-encoding", "gzip"),
            ("grpc-encoding", ""),
            ("X-Upper", "x"),
            (":status", "200"),
            ("x-bin", "!"),
            ("x", "\u{7f}"),
            ("x y", ""),
            ("", ""),
        ] {
            assert_eq!(hot(GOOD.into_iter().chain([more])), None, "{more:?}");
        }
    }
}
