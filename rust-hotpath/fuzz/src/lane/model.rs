//! A model that answers from the request alone.

use hotpath::model::{Model, Refusal, VerdictCode};

/// The position of the ledger.
pub(crate) const HEAD: u64 = 5;
/// The method whose declared cost is high.
pub(crate) const EXPENSIVE: u32 = 1;

pub(crate) enum Echo {}

/// The outcome of a method: a reply is appended, or a verdict is returned.
pub(crate) fn reply(method: u32, body: &[u8], reply: &mut Vec<u8>) -> Option<String> {
    match method {
        2 => return Some(String::from_utf8_lossy(body).into_owned()),
        3 => reply.extend(body.repeat(8)),
        _ => reply.extend_from_slice(body),
    }
    None
}

impl Model for Echo {
    const SERVICE: &'static str = "echo.v1.EchoService";
    const METHODS: &'static [&'static str] = &["Echo", "Expensive", "Verdict", "Long"];
    const DESCRIPTORS: &'static [u8] = &[];
    type State = u64;
    type Event = u64;
    type Query<'a> = (u32, &'a [u8]);

    fn decode_event(_: &[u8]) -> Result<u64, String> {
        Ok(HEAD)
    }

    fn position(event: &u64) -> u64 {
        *event
    }

    fn apply(state: &mut u64, event: &u64) -> Result<(), String> {
        *state = *event;
        Ok(())
    }

    fn parse(method: usize, request: &[u8]) -> Result<Self::Query<'_>, Refusal> {
        let method = u32::try_from(method);
        let method = method.map_err(|error| Refusal::Malformed(error.to_string()))?;
        Ok((method, request))
    }

    fn answer(_: &u64, query: &Self::Query<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match reply(query.0, query.1, out) {
            None => Ok(()),
            Some(message) => Err(Refusal::verdict(VerdictCode::NotFound, message)),
        }
    }

    fn cost(_: &u64, query: &Self::Query<'_>) -> usize {
        match query.0 {
            EXPENSIVE => usize::MAX,
            _ => 0,
        }
    }

    fn gauges(_: &u64) -> Vec<(&'static str, &'static str, u64)> {
        Vec::new()
    }
}
