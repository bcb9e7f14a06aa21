//! Decodes the header blocks of a client (RFC 7541). Each is decoded once; what hyper is told of it uses no table.

use super::{
    frame::{Broken, Code},
    huffman,
    meaning::{FIELD_BYTES, Meaning, Paths, Sum},
    table::{Field, STATIC, TABLE_BYTES, Table, append_literal},
};
use std::sync::{Arc, LazyLock};

/// The fields of one call.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) sum: Sum,
    /// All fields, in a form that every decoder understands without a table. Of a list that is longer than allowed there is
    /// no more than it takes to see that.
    pub(super) block: Vec<u8>,
}

/// Decodes the blocks of one connection.
pub(super) struct Decoder {
    table: Table,
    paths: Arc<Paths>,
    /// Longest list of headers that is allowed. One that is far longer ends the connection.
    list_bytes: usize,
    /// A buffer for the next call's fields.
    spare: Vec<u8>,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// How many times as long as allowed a list may be that is followed to its end.
const FAR: usize = 4;
/// Room for one text that stays allocated. There may be thousands of connections.
const KEPT_BYTES: usize = 4 << 10;

/// What remains of a block.
struct Rest<'a>(&'a [u8]);

const BROKEN: Broken = Broken {
    code: Code::Compression,
    rule: "headers that cannot be decoded",
};

/// Of the fields that everybody knows: the meaning of those that mean the same everywhere, and their bytes.
static KNOWN: LazyLock<[(Meaning, usize); STATIC.len()]> = LazyLock::new(|| {
    STATIC.map(|(name, value)| {
        let meaning = Meaning::of(name.as_bytes(), value.as_bytes(), &[]);
        (meaning, name.len() + value.len() + FIELD_BYTES)
    })
});

impl Decoder {
    pub(super) fn new(paths: Arc<Paths>, list_bytes: usize) -> Self {
        Self {
            table: Table::new(),
            paths,
            list_bytes,
            spare: Vec::new(),
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Gives a buffer back, for the next call.
    pub(super) fn recycle(&mut self, block: Vec<u8>) {
        if block.capacity() <= 1_024 && block.capacity() > self.spare.capacity() {
            self.spare = block;
        }
    }

    /// Decodes a block.
    pub(super) fn decode(&mut self, block: &[u8]) -> Result<Fields, Broken> {
        let mut fields = Fields {
            sum: Sum::default(),
            block: std::mem::take(&mut self.spare),
        };
        fields.block.clear();
        let mut rest = Rest(block);
        let mut begun = false;
        while let Some(first) = rest.0.first().copied() {
            match first {
                0x80.. => self.indexed(&mut rest, &mut fields)?,
                0x40.. => self.literal(&mut rest, 6, &mut fields)?,
                // Before the first field only.
                0x20.. if !begun => {
                    let size = rest.number(5)?;
                    if size > TABLE_BYTES {
                        return Err(BROKEN);
                    }
                    self.table.resize(size);
                    continue;
                }
                0x20.. => return Err(BROKEN),
                _ => self.literal(&mut rest, 4, &mut fields)?,
            }
            begun = true;
            if fields.sum.bytes > self.list_bytes.saturating_mul(FAR) {
                let rule = "headers that are far too long";
                return Err(Broken::new(Code::EnhanceYourCalm, rule));
            }
        }
        Ok(fields)
    }

    #[inline]
    fn indexed(&self, rest: &mut Rest<'_>, fields: &mut Fields) -> Result<(), Broken> {
        let index = rest.number(7)?.checked_sub(1).ok_or(BROKEN)?;
        let is_told = fields.sum.bytes <= self.list_bytes;
        if let Some((meaning, bytes)) = KNOWN.get(index) {
            fields.sum.add(*meaning, *bytes);
            if is_told {
                let index = u8::try_from(index + 1).unwrap_or(0);
                fields.block.push(0x80 | index);
            }
            return Ok(());
        }
        let field = self.table.get(index - STATIC.len()).ok_or(BROKEN)?;
        fields.sum.add(field.meaning, field.bytes());
        if is_told {
            fields.block.extend_from_slice(field.literal());
        }
        Ok(())
    }

    /// A literal, which enters the table if its index has six bits.
    fn literal(
        &mut self,
        rest: &mut Rest<'_>,
        prefix: u32,
        fields: &mut Fields,
    ) -> Result<(), Broken> {
        self.name.clear();
        self.value.clear();
        match rest.number(prefix)?.checked_sub(1) {
            None => rest.string(&mut self.name)?,
            Some(index) => {
                let known = STATIC.get(index).map(|(name, _)| name.as_bytes());
                let added = || self.table.get(index - STATIC.len()).map(Field::name);
                self.name
                    .extend_from_slice(known.or_else(added).ok_or(BROKEN)?);
            }
        }
        rest.string(&mut self.value)?;
        let (name, value) = (&self.name[..], &self.value[..]);
        if prefix == 6 {
            let field = Field::new(self.table.spare(), name, value, &self.paths);
            fields.sum.add(field.meaning, field.bytes());
            fields.tell(name, value, self.list_bytes);
            self.table.add(field);
        } else {
            let meaning = Meaning::of(name, value, &self.paths);
            let bytes = name.len() + value.len() + FIELD_BYTES;
            fields.sum.add(meaning, bytes);
            fields.tell(name, value, self.list_bytes);
        }
        self.name.clear();
        self.name.shrink_to(KEPT_BYTES);
        self.value.clear();
        self.value.shrink_to(KEPT_BYTES);
        Ok(())
    }
}

impl Fields {
    /// Adds the newest field to the block. If the list is too long with it, the field is cut; behind that, there are none.
    #[inline]
    fn tell(&mut self, name: &[u8], value: &[u8], list_bytes: usize) {
        let over = self.sum.bytes.saturating_sub(list_bytes);
        let cut = over.saturating_sub(1);
        if over == 0 {
            append_literal(&mut self.block, name, value);
        } else if over <= name.len() + value.len() + FIELD_BYTES {
            let of_value = cut.min(value.len());
            let of_name = (cut - of_value).min(name.len().saturating_sub(1));
            let (name, value) = (
                &name[..name.len() - of_name],
                &value[..value.len() - of_value],
            );
            append_literal(&mut self.block, name, value);
        }
    }
}

impl Rest<'_> {
    /// A number whose first byte has `prefix` bits for it.
    #[inline]
    fn number(&mut self, prefix: u32) -> Result<usize, Broken> {
        let (first, mut rest) = self.0.split_first().ok_or(BROKEN)?;
        let most = (1_usize << prefix) - 1;
        let mut number = usize::from(*first) & most;
        if number == most {
            for shift in [0, 7, 14, 21, 28] {
                // No number in a block needs more than four such bytes.
                let (next, more) = rest.split_first().filter(|_| shift < 28).ok_or(BROKEN)?;
                rest = more;
                number += usize::from(next & 0x7f) << shift;
                if next & 0x80 == 0 {
                    break;
                }
            }
        }
        self.0 = rest;
        Ok(number)
    }

    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        let coded = self.0.first().ok_or(BROKEN)? & 0x80 != 0;
        let length = self.number(7)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(BROKEN)?;
        self.0 = rest;
        if coded {
            return huffman::decode(text, out).ok_or(BROKEN);
        }
        out.extend_from_slice(text);
        Ok(())
    }
}

/// The fields in a block of [`Fields`].
pub(super) fn fields_in(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let (first, more) = rest.split_first()?;
        rest = more;
        if first & 0x80 != 0 {
            let (name, value) = STATIC.get(usize::from(first & 0x7f).checked_sub(1)?)?;
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let mut string = || {
            let mut at = Rest(rest);
            let length = at.number(7).ok()?;
            let (text, more) = at.0.split_at_checked(length)?;
            rest = more;
            Some(text)
        };
        Some((string()?, string()?))
    })
}

#[cfg(test)]
mod tests;
