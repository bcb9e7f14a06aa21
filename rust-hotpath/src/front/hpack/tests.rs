#![allow(clippy::unwrap_used)]
use super::*;
use crate::front::table::append_number;
use proptest::prelude::*;
use std::collections::VecDeque;

type Pair = (Vec<u8>, Vec<u8>);

fn decoder() -> Decoder {
    Decoder::new(Arc::new(["/s.S/Get".to_owned()]), 1 << 20)
}

fn pairs(fields: &Fields) -> Vec<Pair> {
    let pairs = fields_in(&fields.block);
    pairs
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// RFC 7541, appendices C.3 and C.4: three requests on one connection, without and with Huffman codes.
#[test]
fn the_requests_of_the_standard() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    let wanted: [&[(&str, &str)]; 3] = [
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
        ],
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
            ("cache-control", "no-cache"),
        ],
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ],
    ];
    for blocks in [plain, coded] {
        let mut decoder = decoder();
        for (block, wanted) in blocks.iter().zip(wanted) {
            let fields = decoder.decode(&hex(block)).unwrap();
            let wanted = wanted.iter();
            let wanted: Vec<Pair> = wanted
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect();
            assert_eq!(pairs(&fields), wanted);
        }
    }
}

#[test]
fn broken_blocks_are_told() {
    for bad in [
        &[0x80][..],
        &[0xbe],
        &[0xff],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x40],
        &[0x40, 5, b'a'],
        &[0x7f, 0x20, 0],
        // A table that is larger than allowed, and one that is changed too late.
        &[0x3f, 0xe2, 0x1f],
        &[0x82, 0x20],
        // Bad Huffman codes.
        &[0x00, 0x81, 0xff, 0],
    ] {
        assert_eq!(decoder().decode(bad).unwrap_err(), BROKEN, "{bad:x?}");
    }
    assert!(decoder().decode(&[0x3f, 0xe1, 0x1f, 0x82]).is_ok());
    assert!(decoder().decode(&[0x20, 0x3f, 0xe1, 0x1f, 0x82]).is_ok());
}

#[test]
fn a_bomb_is_not_unpacked() {
    let mut decoder = decoder();
    let mut bomb = vec![0x40, 1, b'x'];
    append_number(&mut bomb, 7, 0, 4_000);
    bomb.extend([b'y'; 4_000]);
    bomb.extend([0xbe; 10_000]);
    let told = decoder.decode(&bomb).unwrap_err();
    assert_eq!(told.code, Code::EnhanceYourCalm);
}

/// How a field is written.
#[derive(Clone, Debug)]
enum Way {
    /// By its index if it has one, else as a literal that enters the table.
    Indexed,
    Added,
    Plain,
    Never,
}

/// An encoder that takes any liberty, with a naive table.
#[derive(Default)]
struct Naive {
    table: VecDeque<Pair>,
    most: usize,
}

impl Naive {
    fn find(&self, is_it: impl Fn(&Pair) -> bool) -> Option<usize> {
        let known = STATIC.iter();
        let known =
            known.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let all = known.chain(self.table.iter().cloned());
        all.collect::<Vec<_>>()
            .iter()
            .position(is_it)
            .map(|at| at + 1)
    }

    fn resize(&mut self, out: &mut Vec<u8>, most: usize) {
        append_number(out, 5, 0x20, most);
        self.most = most;
        self.evict();
    }

    fn evict(&mut self) {
        let bytes = |table: &VecDeque<Pair>| -> usize {
            table
                .iter()
                .map(|(name, value)| name.len() + value.len() + 32)
                .sum()
        };
        while bytes(&self.table) > self.most {
            self.table.pop_back();
        }
    }

    fn write(&mut self, out: &mut Vec<u8>, field: &Pair, way: &Way, coded: bool, by_name: bool) {
        if let (Way::Indexed, Some(index)) = (way, self.find(|known| known == field)) {
            return append_number(out, 7, 0x80, index);
        }
        let (prefix, pattern) = match way {
            Way::Indexed | Way::Added => (6, 0x40),
            Way::Plain => (4, 0),
            Way::Never => (4, 0x10),
        };
        let name = self.find(|(name, _)| *name == field.0).filter(|_| by_name);
        append_number(out, prefix, pattern, name.unwrap_or(0));
        if name.is_none() {
            string(out, &field.0, coded);
        }
        string(out, &field.1, coded);
        if prefix == 6 {
            self.table.push_front(field.clone());
            self.evict();
        }
    }
}

fn string(out: &mut Vec<u8>, text: &[u8], coded: bool) {
    let code = huffman::encode(text);
    let (pattern, bytes) = if coded { (0x80, &code[..]) } else { (0, text) };
    append_number(out, 7, pattern, bytes.len());
    out.extend_from_slice(bytes);
}

type Step = (Pair, Way, bool, bool);

fn steps() -> impl Strategy<Value = Vec<(Option<usize>, Vec<Step>)>> {
    let name = prop_oneof![
        Just(b":path".to_vec()),
        Just(b"grpc-timeout".to_vec()),
        Just(b"content-type".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    let value = prop_oneof![
        Just(Vec::new()),
        Just(b"/s.S/Get".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
        proptest::collection::vec(any::<u8>(), 100..2_000),
    ];
    let way = prop_oneof![
        4 => Just(Way::Indexed),
        2 => Just(Way::Added),
        1 => Just(Way::Plain),
        1 => Just(Way::Never),
    ];
    let step = ((name, value), way, any::<bool>(), any::<bool>());
    let resize = proptest::option::weighted(0.2, 0..=TABLE_BYTES);
    proptest::collection::vec((resize, proptest::collection::vec(step, 0..12)), 1..12)
}

proptest! {
    /// Whatever an encoder does, the fields come back; and again from what hyper is told, without any table.
    #[test]
    fn the_fields_of_any_encoder_come_back(blocks in steps()) {
        let mut naive = Naive { most: TABLE_BYTES, ..Naive::default() };
        let mut decoder = decoder();
        for (resize, steps) in blocks {
            let mut block = Vec::new();
            if let Some(most) = resize {
                naive.resize(&mut block, most);
            }
            let mut wanted = Vec::new();
            for (field, way, coded, by_name) in steps {
                naive.write(&mut block, &field, &way, coded, by_name);
                wanted.push(field);
            }
            let fields = decoder.decode(&block).unwrap();
            prop_assert_eq!(&pairs(&fields), &wanted);
            let bytes: usize = wanted.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
            prop_assert_eq!(fields.sum.bytes, bytes);
            let again = decoder_of_hyper().decode(&fields.block).unwrap();
            prop_assert_eq!(&pairs(&again), &wanted);
            prop_assert_eq!(again.block, fields.block.clone());
            decoder.recycle(fields.block);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..5)) {
        let mut decoder = decoder();
        for block in blocks {
            if let Ok(fields) = decoder.decode(&block) {
                let again = decoder_of_hyper().decode(&fields.block).unwrap();
                prop_assert_eq!(pairs(&again), pairs(&fields));
            }
        }
    }
}

/// A decoder that has no table.
fn decoder_of_hyper() -> Decoder {
    decoder()
}
