//! The table of headers of one direction (RFC 7541): the 61 fields that everybody knows, and those that the peer added.

use super::meaning::{FIELD_BYTES, Meaning, Paths};
use std::collections::VecDeque;

/// What a peer's table may hold unless it is told otherwise, and nobody is told otherwise.
pub(super) const TABLE_BYTES: usize = 4_096;
/// Room in an evicted field's buffer that is worth keeping for the next.
const KEPT_BYTES: usize = 256;

/// A field with its meaning.
#[derive(Debug)]
pub(super) struct Field {
    /// The field as a literal without indexing and without Huffman codes, as hyper is told it.
    literal: Vec<u8>,
    name: (usize, usize),
    value: usize,
    pub(super) meaning: Meaning,
}

/// The fields that the peer added, newest first.
#[derive(Debug)]
pub(super) struct Table {
    fields: VecDeque<Field>,
    bytes: usize,
    most: usize,
    spare: Vec<u8>,
}

impl Field {
    pub(super) fn new(mut literal: Vec<u8>, name: &[u8], value: &[u8], paths: &Paths) -> Self {
        literal.clear();
        let (name_at, value_at) = append_literal(&mut literal, name, value);
        Self {
            literal,
            name: (name_at, name_at + name.len()),
            value: value_at,
            meaning: Meaning::of(name, value, paths),
        }
    }

    pub(super) fn literal(&self) -> &[u8] {
        &self.literal
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.literal[self.name.0..self.name.1]
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.literal[self.value..]
    }

    /// What the field takes of a table, and of a list of headers.
    pub(super) fn bytes(&self) -> usize {
        self.name().len() + self.value().len() + FIELD_BYTES
    }
}

/// Appends a field as a literal without indexing. Returns where its name and its value begin.
pub(super) fn append_literal(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> (usize, usize) {
    out.push(0);
    append_number(out, 7, 0, name.len());
    let name_at = out.len();
    out.extend_from_slice(name);
    append_number(out, 7, 0, value.len());
    let value_at = out.len();
    out.extend_from_slice(value);
    (name_at, value_at)
}

/// Appends a number whose first byte has room for `prefix` bits.
pub(super) fn append_number(out: &mut Vec<u8>, prefix: u32, pattern: u8, number: usize) {
    let most = (1_usize << prefix) - 1;
    let low = |number: usize| u8::try_from(number & 0xff).unwrap_or(0);
    if number < most {
        return out.push(pattern | low(number));
    }
    out.push(pattern | low(most));
    let mut rest = number - most;
    while rest >= 0x80 {
        out.push(0x80 | low(rest & 0x7f));
        rest >>= 7;
    }
    out.push(low(rest));
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            fields: VecDeque::new(),
            bytes: 0,
            most: TABLE_BYTES,
            spare: Vec::new(),
        }
    }

    /// The field with this index among the added ones.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Field> {
        self.fields.get(index)
    }

    /// A buffer for a field that will be added.
    pub(super) fn spare(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    /// Adds a field, and forgets old ones for which there is no room left. One that is longer than the table only
    /// empties it.
    pub(super) fn add(&mut self, field: Field) {
        self.bytes += field.bytes();
        self.fields.push_front(field);
        self.evict();
    }

    /// Changes how much the table may hold.
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most;
        self.evict();
    }

    fn evict(&mut self) {
        while self.bytes > self.most {
            let Some(oldest) = self.fields.pop_back() else {
                return;
            };
            self.bytes -= oldest.bytes();
            if oldest.literal.capacity() <= KEPT_BYTES {
                self.spare = oldest.literal;
            }
        }
    }
}

/// The fields that everybody knows, from index 1.
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> Field {
        Field::new(Vec::new(), name.as_bytes(), value.as_bytes(), &[])
    }

    #[test]
    fn a_field_knows_its_parts() {
        let long = "v".repeat(300);
        let field = field("name", &long);
        assert_eq!(
            (field.name(), field.value()),
            (&b"name"[..], long.as_bytes())
        );
        assert_eq!(&field.literal()[..8], b"\0\x04name\x7f\xad");
        assert_eq!(field.bytes(), 4 + 300 + 32);
    }

    #[test]
    fn the_oldest_fields_make_room() {
        let mut table = Table::new();
        // Each takes 40 bytes.
        for number in 100..300 {
            table.add(field("name0", &number.to_string()));
        }
        let at = |table: &Table, index| table.get(index).map(|field| field.value().to_vec());
        assert_eq!(at(&table, 0).as_deref(), Some(&b"299"[..]));
        assert_eq!(at(&table, 101).as_deref(), Some(&b"198"[..]));
        assert_eq!(at(&table, 102), None);
        table.resize(80);
        assert_eq!(at(&table, 1).as_deref(), Some(&b"298"[..]));
        assert_eq!(at(&table, 2), None);
        table.resize(79);
        assert_eq!(at(&table, 1), None);
        table.add(field("name0", &"x".repeat(80)));
        assert_eq!(at(&table, 0), None, "longer than the table");
        assert_eq!(table.bytes, 0);
    }

    #[test]
    fn numbers_of_the_standard() {
        let number = |prefix, number| {
            let mut out = Vec::new();
            append_number(&mut out, prefix, 0, number);
            out
        };
        assert_eq!(number(5, 10), [10]);
        assert_eq!(number(5, 1_337), [31, 154, 10]);
        assert_eq!(number(8, 42), [42]);
        assert_eq!(number(7, 127), [127, 0]);
    }
}
