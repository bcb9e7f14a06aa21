//! The examples of RFC 7541, appendix C; encoder against decoder; and garbage.

use super::{
    STATIC_TABLE,
    decoder::{Decoder, Meaning},
    encoder::{Encoder, Fields},
    put_integer,
    reader::Reader,
};
use crate::http2::Violation;
use proptest::prelude::*;

type Strings = Vec<(String, String)>;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Strings, Violation> {
    let mut fields = Strings::new();
    decoder.decode(block, |field| {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        fields.push((text(field.name), text(field.value)));
    })?;
    Ok(fields)
}

fn strings(fields: &[(&str, &str)]) -> Strings {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    fields.iter().map(own).collect()
}

#[test]
fn integers_of_c_1() {
    for (value, prefix, encoded) in [(10, 5, "0a"), (1337, 5, "1f9a0a"), (42, 8, "2a")] {
        let mut out = Vec::new();
        put_integer(&mut out, 0, prefix, value);
        assert_eq!(out, bytes(encoded));
        assert_eq!(Reader { rest: &out }.integer(prefix), Ok(value));
    }
}

#[test]
fn literals_of_c_2() {
    for (block, name, value) in [
        (
            "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
            "custom-key",
            "custom-header",
        ),
        ("040c2f73616d706c652f70617468", ":path", "/sample/path"),
        ("100870617373776f726406736563726574", "password", "secret"),
        ("82", ":method", "GET"),
    ] {
        let decoded = decode(&mut Decoder::default(), &bytes(block)).unwrap();
        assert_eq!(decoded, strings(&[(name, value)]));
    }
}

#[test]
fn requests_of_c_3_and_c_4() {
    let plain = [
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ];
    let huffman = [
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ];
    let (host, get) = ((":authority", "www.example.com"), (":method", "GET"));
    let (http, https) = ((":scheme", "http"), (":scheme", "https"));
    let expected = [
        strings(&[get, http, (":path", "/"), host]),
        strings(&[
            get,
            http,
            (":path", "/"),
            host,
            ("cache-control", "no-cache"),
        ]),
        strings(&[
            get,
            https,
            (":path", "/index.html"),
            host,
            ("custom-key", "custom-value"),
        ]),
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::default();
        for (block, expected) in blocks.iter().zip(&expected) {
            assert_eq!(&decode(&mut decoder, &bytes(block)).unwrap(), expected);
        }
    }
}

#[test]
fn responses_of_c_6_evict() {
    let blocks = [
        // The example has a table of 256 bytes.
        "3fe101
         488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff
         6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdf
         cd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ];
    let (private, place) = (
        ("cache-control", "private"),
        ("location", "https://www.example.com"),
    );
    let date = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
    let later = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
    let cookie = (
        "set-cookie",
        "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    );
    let expected = [
        strings(&[(":status", "302"), private, date, place]),
        strings(&[(":status", "307"), private, date, place]),
        strings(&[
            (":status", "200"),
            private,
            later,
            place,
            ("content-encoding", "gzip"),
            cookie,
        ]),
    ];
    let mut decoder = Decoder::default();
    for (block, expected) in blocks.iter().zip(&expected) {
        assert_eq!(&decode(&mut decoder, &bytes(block)).unwrap(), expected);
    }
}

#[test]
fn meanings_are_known_from_tables_and_literals() {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    // `:status` 200 and 404 come from the static table. `grpc-status` is inserted as a literal; then the next literal
    // refers to its name.
    let mut block = vec![0x88, 0x8d, 0x40, 11];
    block.extend(b"grpc-status\x0214");
    block.extend([0xbe, 0x00, 18]);
    block.extend(b"x-hotpath-position\x0599999");
    decoder
        .decode(&block, |field| seen.push(field.meaning))
        .unwrap();
    let status = Meaning::Grpc(Some(14));
    let position = Meaning::Position(Some(99_999));
    assert_eq!(
        seen,
        [
            Meaning::Http(200),
            Meaning::Http(404),
            status,
            status,
            position
        ]
    );
}

#[test]
fn broken_blocks_are_violations() {
    for block in [
        "80",             // index 0
        "be",             // an empty dynamic table
        "ffffffffff7f",   // an endless index
        "400a6375",       // a string beyond the end
        "40",             // no name
        "823f e101",      // a size between fields
        "3fe21f",         // a size above 4096: 31 + 4066
        "008101ff",       // padding of a whole byte
        "0084ffffffff00", // the end symbol
    ] {
        let decoded = decode(&mut Decoder::default(), &bytes(block));
        assert!(decoded.is_err(), "{block}: {decoded:?}");
    }
}

fn fields() -> Fields {
    let paths = (0..60).map(|n| format!("/package.Service/Method{n}").into_bytes());
    Fields::new("localhost", "5000000u", paths.collect())
}

#[test]
fn requests_of_one_method_become_indexes() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let fields = fields();
    let first = encoder.block(&fields, 3, false).to_vec();
    let decoded = decode(&mut decoder, &first).unwrap();
    assert_eq!(
        decoded[2],
        (":path".to_owned(), "/package.Service/Method3".to_owned())
    );
    let names: Vec<&str> = decoded.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        ":method",
        ":scheme",
        ":path",
        ":authority",
        "content-type",
        "te",
        "user-agent",
        "grpc-timeout",
    ];
    assert_eq!(names, expected);
    for _ in 0..2 {
        let next = encoder.block(&fields, 3, false).to_vec();
        assert!(
            next.len() == 8 && next.iter().all(|byte| byte & 0x80 != 0),
            "{next:x?}"
        );
        assert_eq!(decode(&mut decoder, &next).unwrap(), decoded);
    }
}

/// Checks that a peer reads the same fields, for any methods, with and without the position, in any order and with any
/// table size.
fn check_encoder(requests: &[(u16, bool)], sizes: &[usize]) {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let fields = fields();
    let each = requests.len().div_ceil(sizes.len()).max(1);
    for (requests, &size) in requests.chunks(each).zip(sizes) {
        encoder.resize(size);
        for &(method, position) in requests {
            let decoded = decode(&mut decoder, encoder.block(&fields, method, position)).unwrap();
            let path = format!("/package.Service/Method{method}");
            assert_eq!(decoded[2], (":path".to_owned(), path));
            assert_eq!(
                decoded[4],
                ("content-type".to_owned(), "application/grpc".to_owned())
            );
            assert_eq!(decoded.len(), 8 + usize::from(position));
            if position {
                assert_eq!(
                    decoded[8],
                    ("x-hotpath-position".to_owned(), "want".to_owned())
                );
            }
        }
    }
}

#[test]
fn more_methods_than_the_table_holds_stay_right() {
    let requests: Vec<_> = (0..60).chain(0..60).map(|method| (method, false)).collect();
    check_encoder(&requests, &[4096]);
    check_encoder(&requests, &[0]);
    assert_eq!(STATIC_TABLE.len(), 61);
}

proptest! {
    #[test]
    fn the_peer_reads_what_was_sent(
        requests in prop::collection::vec((0_u16..60, any::<bool>()), 1..200),
        sizes in prop::collection::vec(prop_oneof![Just(4096_usize), 0..5000_usize], 1..4),
    ) {
        check_encoder(&requests, &sizes);
    }

    #[test]
    fn garbage_never_panics(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20)) {
        let mut decoder = Decoder::default();
        for block in blocks {
            let _ = decode(&mut decoder, &block);
        }
    }

    #[test]
    fn integers_come_back(value in 0_usize..1 << 28, prefix in 4_u32..8) {
        let mut out = Vec::new();
        put_integer(&mut out, 0, prefix, value);
        let mut reader = Reader { rest: &out };
        prop_assert_eq!(reader.integer(prefix), Ok(value));
        prop_assert!(reader.rest.is_empty());
    }
}
