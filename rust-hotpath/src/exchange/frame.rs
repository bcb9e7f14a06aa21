//! Parses requests of the exchange in place. It copies nothing, and allocates only to report a broken rule.
//!
//! The parser is written by hand, because the generated type allocates three times per request and must see a whole
//! message before its first request can be answered. It accepts and rejects exactly the bytes that the generated type
//! does.

use crate::{
    error::{Error, Kind},
    limits,
};
use prost::{
    DecodeError,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use std::time::Duration;

const FIXED64_BYTES: usize = 8;

/// How far an `ExchangeRequest` has been read. The message itself is kept elsewhere, because it outlives a wake-up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    at: usize,
    /// End of the run of packed ids in which `at` lies.
    packed_until: usize,
}

/// One item of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A request.
    Request(RequestFrame<'a>),
    /// The id of a request whose caller has left.
    Cancelled(u64),
}

/// A request as parsed, before [`Self::check`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFrame<'a> {
    /// Id that the shim chose.
    pub id: u64,
    /// Index of the method.
    pub method: u32,
    /// What is left of the caller's time.
    pub budget_us: u32,
    /// The same as `x-hotpath-min-position`.
    pub min_position: u64,
    /// The same as `x-hotpath-at-position`.
    pub at_position: Option<u64>,
    /// The encoded message.
    pub body: &'a [u8],
    /// The caller's trace context, `traceparent`.
    pub traceparent: &'a str,
    /// The caller's trace context, `tracestate`.
    pub tracestate: &'a str,
}

impl Cursor {
    /// The next item of `message`, or `None` at its end.
    ///
    /// # Errors
    /// Fails if the bytes are no `ExchangeRequest`.
    pub fn next<'a>(&mut self, message: &'a [u8]) -> Result<Option<Item<'a>>, Error> {
        loop {
            let mut rest = message.get(self.at..).unwrap_or_default();
            if self.at < self.packed_until {
                let id = fixed64(&mut rest, "cancelled")?;
                self.at += FIXED64_BYTES;
                return Ok(Some(Item::Cancelled(id)));
            }
            if rest.is_empty() {
                return Ok(None);
            }
            let item = self.field(&mut rest, message.len())?;
            if self.at >= self.packed_until {
                self.at = message.len() - rest.len();
            }
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    fn field<'a>(&mut self, rest: &mut &'a [u8], end: usize) -> Result<Option<Item<'a>>, Error> {
        let (tag, wire_type) = key(rest, "ExchangeRequest")?;
        match (tag, wire_type) {
            (1, WireType::LengthDelimited) => {
                let frame = RequestFrame::parse(bytes(rest, "requests")?)?;
                Ok(Some(Item::Request(frame)))
            }
            (2, WireType::SixtyFourBit) => Ok(Some(Item::Cancelled(fixed64(rest, "cancelled")?))),
            (2, WireType::LengthDelimited) => {
                let ids = bytes(rest, "cancelled")?;
                if ids.len() % FIXED64_BYTES != 0 {
                    return Err(rule("cancelled: must be whole fixed64 numbers"));
                }
                if !ids.is_empty() {
                    self.packed_until = end - rest.len();
                    self.at = self.packed_until - ids.len();
                }
                Ok(None)
            }
            (1, _) => Err(wire_type_rule("requests")),
            (2, _) => Err(wire_type_rule("cancelled")),
            _ => skip(rest, tag, wire_type, "ExchangeRequest").map(|()| None),
        }
    }
}

impl<'a> RequestFrame<'a> {
    /// Parses one `RequestFrame`.
    ///
    /// # Errors
    /// Fails if the bytes are no `RequestFrame`.
    pub fn parse(mut rest: &'a [u8]) -> Result<Self, Error> {
        use WireType::{LengthDelimited, SixtyFourBit, Varint};
        let mut frame = Self::default();
        while !rest.is_empty() {
            let (tag, wire_type) = key(&mut rest, "requests")?;
            match (tag, wire_type) {
                (1, SixtyFourBit) => frame.id = fixed64(&mut rest, "requests.id")?,
                (2, Varint) => frame.method = varint32(&mut rest, "requests.method")?,
                (3, Varint) => frame.budget_us = varint32(&mut rest, "requests.budget_us")?,
                (4, Varint) => frame.min_position = varint(&mut rest, "requests.min_position")?,
                (5, Varint) => {
                    frame.at_position = Some(varint(&mut rest, "requests.at_position")?);
                }
                (6, LengthDelimited) => frame.body = bytes(&mut rest, "requests.body")?,
                (7, LengthDelimited) => {
                    frame.traceparent = text(&mut rest, "requests.traceparent")?;
                }
                (8, LengthDelimited) => frame.tracestate = text(&mut rest, "requests.tracestate")?,
                (1..=8, _) => return Err(wire_type_rule(FIELDS[tag as usize - 1])),
                _ => skip(&mut rest, tag, wire_type, "requests")?,
            }
        }
        Ok(frame)
    }

    /// Checks everything that the frame alone shows, on a lane with this number of methods.
    ///
    /// # Errors
    /// Returns the field and the rule that it breaks.
    pub fn check(&self, methods: usize) -> Result<(), Error> {
        if self.id == 0 {
            return Err(rule("requests.id: must not be 0"));
        }
        if usize::try_from(self.method).map_or(true, |method| method >= methods) {
            return Err(rule(
                "requests.method: must be the index of an accepted method",
            ));
        }
        if !limits::EXCHANGE_BUDGET_US.contains(&self.budget_us) {
            return Err(rule("requests.budget_us: must be 1-60000000"));
        }
        for (name, length, most) in [
            ("body", self.body.len(), limits::EXCHANGE_BODY_BYTES),
            ("traceparent", self.traceparent.len(), limits::TRACE_BYTES),
            ("tracestate", self.tracestate.len(), limits::TRACE_BYTES),
        ] {
            if length > most {
                let text = format!("requests.{name}: must be at most {most} bytes, not {length}");
                return Err(Error::new(Kind::TooLong, text));
            }
        }
        Ok(())
    }

    /// What is left of the caller's time.
    #[must_use]
    pub fn budget(&self) -> Duration {
        Duration::from_micros(u64::from(self.budget_us))
    }
}

const FIELDS: [&str; 8] = [
    "requests.id",
    "requests.method",
    "requests.budget_us",
    "requests.min_position",
    "requests.at_position",
    "requests.body",
    "requests.traceparent",
    "requests.tracestate",
];

fn rule(text: &str) -> Error {
    Error::new(Kind::Argument, text)
}

#[cold]
fn wire_type_rule(field: &str) -> Error {
    rule(&format!("{field}: has another wire type"))
}

#[cold]
fn ends_early(field: &str) -> Error {
    rule(&format!("{field}: ends early"))
}

#[cold]
fn undecodable(field: &str, error: &DecodeError) -> Error {
    rule(&format!("{field}: cannot be decoded: {error}"))
}

/// The helpers below are inlined, because calls between them took as long as their work.
#[inline(always)]
fn key(rest: &mut &[u8], field: &str) -> Result<(u32, WireType), Error> {
    if let [byte @ 8..0x80, after @ ..] = *rest
        && let Ok(wire_type) = WireType::try_from(u64::from(*byte & 7))
    {
        *rest = after;
        return Ok((u32::from(*byte >> 3), wire_type));
    }
    decode_key(rest).map_err(|error| undecodable(field, &error))
}

#[inline(always)]
fn varint(rest: &mut &[u8], field: &str) -> Result<u64, Error> {
    if let [byte @ 0..0x80, after @ ..] = *rest {
        *rest = after;
        return Ok(u64::from(*byte));
    }
    decode_varint(rest).map_err(|error| undecodable(field, &error))
}

/// Higher bits are dropped, as protobuf says.
#[allow(clippy::cast_possible_truncation)]
#[inline(always)]
fn varint32(rest: &mut &[u8], field: &str) -> Result<u32, Error> {
    varint(rest, field).map(|value| value as u32)
}

#[inline(always)]
fn fixed64(rest: &mut &[u8], field: &str) -> Result<u64, Error> {
    let (number, after) = rest.split_first_chunk().ok_or_else(|| ends_early(field))?;
    *rest = after;
    Ok(u64::from_le_bytes(*number))
}

#[inline(always)]
fn bytes<'a>(rest: &mut &'a [u8], field: &str) -> Result<&'a [u8], Error> {
    let length = usize::try_from(varint(rest, field)?).ok();
    let split = length.and_then(|length| rest.split_at_checked(length));
    let (taken, after) = split.ok_or_else(|| ends_early(field))?;
    *rest = after;
    Ok(taken)
}

fn text<'a>(rest: &mut &'a [u8], field: &str) -> Result<&'a str, Error> {
    let text = std::str::from_utf8(bytes(rest, field)?);
    text.map_err(|_| rule(&format!("{field}: must be UTF-8")))
}

fn skip(rest: &mut &[u8], tag: u32, wire_type: WireType, within: &str) -> Result<(), Error> {
    let skipped = skip_field(wire_type, tag, rest, DecodeContext::default());
    skipped.map_err(|error| undecodable(within, &error))
}

#[cfg(test)]
mod tests;
