//! Decodes the header blocks of replies.

use super::{ENTRY_BYTES, STATIC_TABLE, TABLE_BYTES, reader::Reader};
use crate::http2::Violation;
use std::collections::VecDeque;

const NO_ENTRY: Violation = Violation("an index beyond the header tables");

/// A copy of the peer's dynamic table.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// The newest entry is first.
    entries: VecDeque<Entry>,
    used: usize,
    limit: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// An entry of the table. Its meaning is worked out when the entry is made: later replies then consist of indexes only,
/// and each costs one look-up.
#[derive(Debug)]
struct Entry {
    name: Box<[u8]>,
    value: Box<[u8]>,
    meaning: Meaning,
}

/// A field of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) meaning: Meaning,
}

/// What a field means to a gRPC client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It means nothing to the client.
    Other,
    /// `:status`; 0 if the value is not a number.
    Http(u16),
    /// `grpc-status`; `None` if the value is not a number.
    Grpc(Option<u32>),
    /// `grpc-message`.
    Message,
    /// `x-hotpath-position`; `None` if the value is not a number.
    Position(Option<u64>),
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            used: 0,
            limit: TABLE_BYTES,
            name: Vec::new(),
            value: Vec::new(),
        }
    }
}

impl Meaning {
    fn of(name: &[u8], value: &[u8]) -> Self {
        match name {
            b":status" => Self::Http(number(value).unwrap_or(0)),
            b"grpc-status" => Self::Grpc(number(value)),
            b"grpc-message" => Self::Message,
            b"x-hotpath-position" => Self::Position(number(value)),
            _ => Self::Other,
        }
    }
}

impl Decoder {
    /// Visits the fields of a complete header block, in order.
    pub(crate) fn decode(
        &mut self,
        block: &[u8],
        mut visit: impl FnMut(Field<'_>),
    ) -> Result<(), Violation> {
        let mut reader = Reader { rest: block };
        let mut fields = false;
        while let Some(&first) = reader.rest.first() {
            match first {
                0x80.. => visit(self.field(reader.integer(7)?)?),
                0x40..0x80 => {
                    self.literal(&mut reader, 6)?;
                    visit(self.read_field());
                    self.insert();
                }
                0x20..0x40 if fields => return Err(Violation("a table size between fields")),
                0x20..0x40 => {
                    self.resize(reader.integer(5)?)?;
                    continue;
                }
                _ => {
                    self.literal(&mut reader, 4)?;
                    visit(self.read_field());
                }
            }
            fields = true;
        }
        Ok(())
    }

    fn field(&self, index: usize) -> Result<Field<'_>, Violation> {
        let before = index.checked_sub(1).ok_or(NO_ENTRY)?;
        if let Some((name, value)) = STATIC_TABLE.get(before) {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            return Ok(Field {
                name,
                value,
                meaning: Meaning::of(name, value),
            });
        }
        let entry = self.entries.get(before - STATIC_TABLE.len());
        let entry = entry.ok_or(NO_ENTRY)?;
        Ok(Field {
            name: &entry.name,
            value: &entry.value,
            meaning: entry.meaning,
        })
    }

    /// Reads a literal field into `name` and `value`.
    fn literal(&mut self, reader: &mut Reader<'_>, prefix_bits: u32) -> Result<(), Violation> {
        let mut name = std::mem::take(&mut self.name);
        let read = match reader.integer(prefix_bits)? {
            0 => reader.string(&mut name),
            index => self.field(index).map(|field| {
                name.clear();
                name.extend_from_slice(field.name);
            }),
        };
        self.name = name;
        read?;
        reader.string(&mut self.value)
    }

    fn read_field(&self) -> Field<'_> {
        Field {
            name: &self.name,
            value: &self.value,
            meaning: Meaning::of(&self.name, &self.value),
        }
    }

    fn insert(&mut self) {
        let bytes = self.name.len() + self.value.len() + ENTRY_BYTES;
        self.evict(self.limit.saturating_sub(bytes));
        // A field that is larger than the table empties it. That is no error.
        if bytes <= self.limit {
            self.used += bytes;
            self.entries.push_front(Entry {
                name: self.name.as_slice().into(),
                value: self.value.as_slice().into(),
                meaning: Meaning::of(&self.name, &self.value),
            });
        }
    }

    fn resize(&mut self, limit: usize) -> Result<(), Violation> {
        if limit > TABLE_BYTES {
            return Err(Violation("a header table larger than was allowed"));
        }
        self.limit = limit;
        self.evict(limit);
        Ok(())
    }

    fn evict(&mut self, limit: usize) {
        while self.used > limit {
            let Some(oldest) = self.entries.pop_back() else {
                return;
            };
            self.used -= oldest.name.len() + oldest.value.len() + ENTRY_BYTES;
        }
    }
}

fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
