//! The SETTINGS of both sides.

use super::{
    Violation,
    frame::{kind, put_header, put_number},
};

/// Largest flow control window.
pub(crate) const MAX_WINDOW: u32 = 0x7fff_ffff;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DEFAULT_WINDOW: u32 = 65_535;
const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;

/// What the peer allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) header_table_bytes: usize,
    pub(crate) max_streams: usize,
    pub(crate) initial_window: i64,
    pub(crate) max_frame_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            header_table_bytes: 4096,
            max_streams: usize::MAX,
            initial_window: i64::from(DEFAULT_WINDOW),
            max_frame_bytes: 16_384,
        }
    }
}

impl Settings {
    /// Applies a SETTINGS frame of the peer.
    pub(crate) fn apply(&mut self, payload: &[u8]) -> Result<(), Violation> {
        let (items, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Violation("SETTINGS of a length that is no multiple of 6"));
        }
        for &[k0, k1, v0, v1, v2, v3] in items {
            let value = u32::from_be_bytes([v0, v1, v2, v3]);
            match u16::from_be_bytes([k0, k1]) {
                HEADER_TABLE_SIZE => self.header_table_bytes = value as usize,
                MAX_CONCURRENT_STREAMS => self.max_streams = value as usize,
                INITIAL_WINDOW_SIZE if value > MAX_WINDOW => {
                    return Err(Violation("an initial window above 2^31-1"));
                }
                INITIAL_WINDOW_SIZE => self.initial_window = i64::from(value),
                MAX_FRAME_SIZE if !(16_384..=0xff_ffff).contains(&value) => {
                    return Err(Violation("a largest frame outside of 2^14 to 2^24-1"));
                }
                MAX_FRAME_SIZE => self.max_frame_bytes = value as usize,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Appends a client's greeting: no pushes, and windows so large that they hold up no reply. The header table stays at
/// its default size, so that servers compress as they do for any other client.
pub(crate) fn put_greeting(out: &mut Vec<u8>) {
    out.extend_from_slice(PREFACE);
    put_header(out, 12, kind::SETTINGS, 0, 0);
    for (key, value) in [(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, MAX_WINDOW)] {
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&u32::to_be_bytes(value));
    }
    put_number(out, kind::WINDOW_UPDATE, 0, MAX_WINDOW - DEFAULT_WINDOW);
}
