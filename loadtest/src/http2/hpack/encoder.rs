//! Encodes the header blocks of requests as real clients do. The first request of a method puts its fields into the
//! peer's dynamic table. Later requests consist of indexes only.

use super::{ENTRY_BYTES, STATIC_TABLE, TABLE_BYTES, put_integer};

/// Static indexes of `:method: POST` and `:scheme: http`.
const FIXED: [usize; 2] = [3, 6];
const PATH: usize = 4;

/// The header fields of all requests of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields {
    /// The fields of every request, in order.
    common: Vec<Name>,
    /// `:path` of each method.
    paths: Vec<Vec<u8>>,
    /// The field that is added to ask for positions.
    position: Name,
}

/// A field with the static index of its name, or the name itself if it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    name: &'static str,
    index: usize,
    value: Vec<u8>,
}

/// The sender's half of the compression.
#[derive(Debug)]
pub(crate) struct Encoder {
    limit: usize,
    used: usize,
    /// The number of fields that were inserted since the table was empty. None is ever evicted.
    inserted: usize,
    /// Whether the next block must announce that the table was emptied and has a new size.
    announce: bool,
    /// By field (the common ones, the position, the paths): the value of `inserted` when the field was inserted.
    places: Vec<Option<usize>>,
    /// By method, without and with the position: a header block, and the value of `inserted` for which it is valid.
    cache: Vec<(Vec<u8>, usize)>,
}

impl Fields {
    pub(crate) fn new(authority: &str, timeout: &str, paths: Vec<Vec<u8>>) -> Self {
        let agent = concat!("loadtest/", env!("CARGO_PKG_VERSION"));
        Self {
            common: vec![
                Name::new(":authority", authority),
                Name::new("content-type", "application/grpc"),
                Name::new("te", "trailers"),
                Name::new("user-agent", agent),
                Name::new("grpc-timeout", timeout),
            ],
            paths,
            position: Name::new("x-hotpath-position", "want"),
        }
    }
}

impl Name {
    fn new(name: &'static str, value: &str) -> Self {
        let index = STATIC_TABLE.iter().position(|(known, _)| *known == name);
        Self {
            name,
            index: index.map_or(0, |before| before + 1),
            value: value.as_bytes().to_vec(),
        }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            limit: TABLE_BYTES,
            used: 0,
            inserted: 0,
            announce: false,
            places: Vec::new(),
            cache: Vec::new(),
        }
    }
}

impl Encoder {
    /// Sets the peer's SETTINGS_HEADER_TABLE_SIZE. If that changes the table's size, the table is emptied and filled
    /// anew: this is simpler than evicting, and rare.
    pub(crate) fn resize(&mut self, bytes: usize) {
        let limit = bytes.min(TABLE_BYTES);
        if limit == self.limit {
            return;
        }
        *self = Self {
            limit,
            announce: true,
            ..Self::default()
        };
    }

    /// Returns the header block of a request of `fields.paths[method]`.
    pub(crate) fn block(&mut self, fields: &Fields, method: u16, position: bool) -> &[u8] {
        let method = usize::from(method);
        let at = method * 2 + usize::from(position);
        if self.cache.len() <= at {
            self.cache.resize_with(at + 1, || (Vec::new(), usize::MAX));
        }
        let current = self.cache.get(at).is_some_and(|(_, n)| *n == self.inserted);
        if !current || self.announce {
            let (mut block, _) = self
                .cache
                .get_mut(at)
                .map(std::mem::take)
                .unwrap_or_default();
            block.clear();
            let before = self.inserted;
            self.encode(fields, method, position, &mut block);
            // A block that inserts a field is sent only once. The next request gets a new one.
            let announced = std::mem::take(&mut self.announce);
            let repeatable = self.inserted == before && !announced;
            let holds_for = if repeatable { before } else { usize::MAX };
            if let Some(cached) = self.cache.get_mut(at) {
                *cached = (block, holds_for);
            }
        }
        self.cache.get(at).map_or(&[], |(block, _)| block)
    }

    fn encode(&mut self, fields: &Fields, method: usize, position: bool, block: &mut Vec<u8>) {
        if self.announce {
            put_integer(block, 0x20, 5, 0);
            put_integer(block, 0x20, 5, self.limit);
        }
        for index in FIXED {
            put_integer(block, 0x80, 7, index);
        }
        let positions = fields.common.len();
        if let Some(path) = fields.paths.get(method) {
            self.put(block, positions + 1 + method, "", PATH, path);
        }
        for (place, field) in fields.common.iter().enumerate() {
            self.put(block, place, field.name, field.index, &field.value);
        }
        if position {
            let Name { name, index, value } = &fields.position;
            self.put(block, positions, name, *index, value);
        }
    }

    /// Appends a field as an index, or as a literal that is inserted if there is room.
    fn put(&mut self, block: &mut Vec<u8>, place: usize, name: &str, index: usize, value: &[u8]) {
        if self.places.len() <= place {
            self.places.resize(place + 1, None);
        }
        if let Some(&Some(inserted)) = self.places.get(place) {
            put_integer(
                block,
                0x80,
                7,
                STATIC_TABLE.len() + self.inserted - inserted,
            );
            return;
        }
        let known = index.checked_sub(1).and_then(|i| STATIC_TABLE.get(i));
        let bytes = known.map_or(name.len(), |(name, _)| name.len()) + value.len() + ENTRY_BYTES;
        if self.used + bytes <= self.limit {
            self.used += bytes;
            if let Some(slot) = self.places.get_mut(place) {
                *slot = Some(self.inserted);
            }
            self.inserted += 1;
            put_integer(block, 0x40, 6, index);
        } else {
            put_integer(block, 0, 4, index);
        }
        if index == 0 {
            put_string(block, name.as_bytes());
        }
        put_string(block, value);
    }
}

fn put_string(block: &mut Vec<u8>, text: &[u8]) {
    put_integer(block, 0, 7, text.len());
    block.extend_from_slice(text);
}
