//! Integers and strings of a header block.

use super::huffman;
use crate::http2::Violation;

const SHORT: Violation = Violation("a header block that ends in a field");

/// The rest of a header block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads an integer that begins in the lowest `prefix_bits` of the next byte.
    pub(super) fn integer(&mut self, prefix_bits: u32) -> Result<usize, Violation> {
        let full = (1_usize << prefix_bits) - 1;
        let mut value = usize::from(self.byte()?) & full;
        if value < full {
            return Ok(value);
        }
        for shift in [0, 7, 14, 21] {
            let byte = usize::from(self.byte()?);
            value += (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Violation("an integer above 2^28 in a header block"))
    }

    /// Reads a string into `text`.
    pub(super) fn string(&mut self, text: &mut Vec<u8>) -> Result<(), Violation> {
        text.clear();
        let huffman = self.rest.first().is_some_and(|byte| byte & 0x80 != 0);
        let length = self.integer(7)?;
        let (string, rest) = self.rest.split_at_checked(length).ok_or(SHORT)?;
        self.rest = rest;
        if huffman {
            return huffman::decode(string, text);
        }
        text.extend_from_slice(string);
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Violation> {
        let (&byte, rest) = self.rest.split_first().ok_or(SHORT)?;
        self.rest = rest;
        Ok(byte)
    }
}
