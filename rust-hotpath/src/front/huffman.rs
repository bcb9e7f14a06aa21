//! HPACK's Huffman code (RFC 7541, appendix B). It is canonical: among codes of one length, the numbers ascend with the
//! symbols, so the lengths say everything.

use std::sync::LazyLock;

/// Bits of each symbol's code; the last symbol is the end of a string, which never occurs in one.
const BITS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const END: u16 = 256;
const LONGEST: u32 = 30;

/// How to decode.
struct Table {
    /// Symbols by the length of their codes, then by themselves.
    symbols: [u16; 257],
    /// Of each length that occurs: its bits, the first number above its codes (aligned to the left of 32 bits, so one bit
    /// wider), its first code, and the index of that code's symbol.
    lengths: Vec<(u32, u64, u64, usize)>,
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

impl Table {
    fn new() -> Self {
        let mut symbols: [u16; 257] =
            std::array::from_fn(|symbol| u16::try_from(symbol).unwrap_or(END));
        symbols.sort_by_key(|symbol| BITS[usize::from(*symbol)]);
        let (mut lengths, mut next, mut index) = (Vec::new(), 0_u64, 0);
        for bits in 1..=LONGEST {
            next <<= 1;
            let count = BITS
                .iter()
                .filter(|length| u32::from(**length) == bits)
                .count();
            if count > 0 {
                let first = next;
                next += count as u64;
                lengths.push((bits, next << (32 - bits), first, index));
                index += count;
            }
        }
        Self { symbols, lengths }
    }
}

/// Appends what `code` says; none if it is no proper code.
pub(super) fn decode(code: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let table = &*TABLE;
    // Aligned to the left.
    let (mut bits, mut have, mut bytes) = (0_u64, 0_u32, code.iter());
    loop {
        while have <= 56 {
            let Some(byte) = bytes.next() else { break };
            bits |= u64::from(*byte) << (56 - have);
            have += 8;
        }
        // What is not there reads as zeros: a code that needs them is found to be too long.
        let next = bits >> 32;
        let found = table.lengths.iter().find(|(_, end, ..)| next < *end);
        let (length, _, first, index) = *found?;
        if length > have {
            return ends_well(bits, have);
        }
        let number = next >> (32 - length);
        let symbol = table.symbols[index + usize::try_from(number - first).ok()?];
        // The end of a string is coded by padding only.
        out.push(u8::try_from(symbol).ok()?);
        bits <<= length;
        have -= length;
    }
}

/// What is left must be the beginning of the end's code, which is all ones, and less than a byte.
fn ends_well(bits: u64, have: u32) -> Option<()> {
    (have < 8 && bits.leading_ones() == have).then_some(())
}

/// Encodes, for tests.
#[cfg(test)]
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let table = &*TABLE;
    let (mut out, mut bits, mut have) = (Vec::new(), 0_u64, 0_u32);
    for byte in text {
        let at = table
            .symbols
            .iter()
            .position(|symbol| *symbol == u16::from(*byte));
        let at = at.unwrap_or_default();
        let length = table.lengths.iter().rev().find(|(.., index)| *index <= at);
        let (length, _, first, index) = *length.unwrap_or(&table.lengths[0]);
        bits = bits << length | (first + (at - index) as u64);
        have += length;
        while have >= 8 {
            have -= 8;
            out.push((bits >> have & 0xff) as u8);
        }
    }
    if have > 0 {
        out.push((bits << (8 - have) & 0xff) as u8 | 0xff >> have);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn decoded(code: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(code, &mut out).map(|()| out)
    }

    /// RFC 7541, appendix C.
    #[test]
    fn the_examples_of_the_standard() {
        let cases: [(&[u8], &str); 5] = [
            (
                b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
                "www.example.com",
            ),
            (b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache"),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", "custom-value"),
            (b"\x64\x02", "302"),
            (
                b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3",
                "https://www.example.com",
            ),
        ];
        for (code, text) in cases {
            assert_eq!(decoded(code).unwrap(), text.as_bytes());
            assert_eq!(encode(text.as_bytes()), code);
        }
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encode(&all)).unwrap(), all);
        for byte in all {
            for count in 0..9 {
                let text = vec![byte; count];
                assert_eq!(decoded(&encode(&text)).unwrap(), text);
            }
        }
    }

    #[test]
    fn what_is_no_proper_code_is_refused() {
        for bad in [
            // Padding of a byte or more.
            &[0xff][..],
            &[0x1f, 0xff],
            // Padding that is not all ones: "a" and three zeros.
            &[0x18],
            // The end of a string within one.
            &[0xff, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xfc],
        ] {
            assert_eq!(decoded(bad), None, "{bad:x?}");
        }
        assert_eq!(decoded(&[]).unwrap(), b"");
        assert_eq!(decoded(&[0x1f]).unwrap(), b"a");
    }
}
