//! Decodes Huffman-coded strings. The code is canonical: the lengths of its symbols define it.

use crate::http2::Violation;

const END: u16 = 256;
const LONGEST_BITS: usize = 30;
/// Symbols up to this length, which are the usual ones, are found by one look-up.
const SHORT_BITS: usize = 8;

/// Bits of each symbol (RFC 7541, appendix B).
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, //
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, //
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, //
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, //
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, //
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, //
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, //
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, //
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, //
    30,
];

static CODE: Code = Code::new();

struct Code {
    /// By length: the end of the codes of this length, left-aligned in 32 bits. Smaller codes have at most this length.
    limit: [u64; LONGEST_BITS + 1],
    /// By length: the first code, and the place of its symbol in `symbols`.
    first: [(u32, u16); LONGEST_BITS + 1],
    /// All symbols, by length and then by code.
    symbols: [u16; 257],
    /// By the next eight bits: symbol and length. Length 0 means that the symbol is longer.
    short: [(u8, u8); 1 << SHORT_BITS],
}

impl Code {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a const fn has no checked conversion; all values are below 257"
    )]
    const fn new() -> Self {
        let mut made = Self {
            limit: [0; LONGEST_BITS + 1],
            first: [(0, 0); LONGEST_BITS + 1],
            symbols: [0; 257],
            short: [(0, 0); 1 << SHORT_BITS],
        };
        let (mut code, mut count, mut bits) = (0_u32, 0_usize, 1);
        while bits <= LONGEST_BITS {
            code <<= 1;
            made.first[bits] = (code, count as u16);
            let mut symbol = 0;
            while symbol < LENGTHS.len() {
                if LENGTHS[symbol] as usize == bits {
                    made.symbols[count] = symbol as u16;
                    if bits <= SHORT_BITS {
                        made.fill_short(code, bits, symbol as u8);
                    }
                    count += 1;
                    code += 1;
                }
                symbol += 1;
            }
            made.limit[bits] = (code as u64) << (32 - bits);
            bits += 1;
        }
        made
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "as above; bits is at most 8"
    )]
    const fn fill_short(&mut self, code: u32, bits: usize, symbol: u8) {
        let free = SHORT_BITS - bits;
        let mut rest = 0;
        while rest < 1_usize << free {
            self.short[((code as usize) << free) | rest] = (symbol, bits as u8);
            rest += 1;
        }
    }

    /// Returns the symbol that `bits` begin with, and its length.
    fn symbol(&self, bits: u32) -> Option<(u16, usize)> {
        if let Some(&(symbol, length @ 1..)) = self.short.get((bits >> 24) as usize) {
            return Some((u16::from(symbol), usize::from(length)));
        }
        let mut lengths = SHORT_BITS + 1..=LONGEST_BITS;
        let length =
            lengths.find(|&length| self.limit.get(length).is_some_and(|&l| u64::from(bits) < l))?;
        let &(code, at) = self.first.get(length)?;
        let offset = (bits >> (32 - length)).checked_sub(code)? as usize;
        let &symbol = self.symbols.get(usize::from(at) + offset)?;
        Some((symbol, length))
    }
}

/// Appends the decoded string.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
    const BAD: Violation = Violation("a string that is no Huffman code");
    let mut bytes = coded.iter();
    // The next bits are the highest of `bits`. Past the end, ones follow, like the encoder's padding.
    let (mut bits, mut held) = (0_u64, 0_usize);
    loop {
        while held <= 56 {
            let Some(&byte) = bytes.next() else { break };
            bits |= u64::from(byte) << (56 - held);
            held += 8;
        }
        let filled = bits
            | u64::MAX
                .checked_shr(u32::try_from(held).unwrap_or(64))
                .unwrap_or(0);
        if held < 8 && filled == u64::MAX {
            return Ok(());
        }
        let next = u32::try_from(filled >> 32).unwrap_or(u32::MAX);
        let (symbol, length) = CODE.symbol(next).ok_or(BAD)?;
        if length > held || symbol == END {
            return Err(BAD);
        }
        out.push(u8::try_from(symbol).map_err(|_| BAD)?);
        bits <<= length;
        held -= length;
    }
}
