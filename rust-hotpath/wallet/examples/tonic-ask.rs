//! Asks by tonic's client: `tonic-ask ADDRESS plain|metadata QUESTIONS`. A question is a line: the method's path and the
//! message in hex. For each it prints code, text, details and reply. `make clients` compares what it prints.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use bytes::{Buf as _, BufMut as _};
use std::fmt::Write as _;
use tokio::task::JoinSet;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

/// Calls at once.
const AT_ONCE: usize = 16;
const REPLY_BYTES: usize = 64 << 20;

/// Messages are bytes.
#[derive(Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

async fn ask(channel: Channel, metadata: bool, line: String) -> String {
    let (path, message) = line.split_once('\t').unwrap();
    let mut request = Request::new(from_hex(message));
    if metadata {
        let fields = request.metadata_mut();
        fields.insert("authorization", "Bearer of-nothing".parse().unwrap());
        fields.insert_bin("x-cookie-bin", MetadataValue::from_bytes(&[0, 0xff]));
    }
    let mut client = Grpc::new(channel).max_decoding_message_size(REPLY_BYTES);
    client.ready().await.unwrap();
    let path: PathAndQuery = path.parse().unwrap();
    match client.unary(request, path, Bytes).await {
        Ok(reply) => format!("0\t\t\t{}", hex(reply.get_ref())),
        Err(status) => {
            let (code, text) = (i32::from(status.code()), hex(status.message().as_bytes()));
            format!("{code}\t{text}\t{}\t", hex(status.details()))
        }
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, address, how, questions] = &arguments[..] else {
        panic!("usage: tonic-ask ADDRESS plain|metadata QUESTIONS");
    };
    let metadata = how == "metadata";
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let questions = std::fs::read_to_string(questions).unwrap();
    let lines: Vec<_> = questions.lines().map(str::to_owned).collect();
    let mut answers = vec![String::new(); lines.len()];
    let mut calls = JoinSet::new();
    for (at, line) in lines.into_iter().enumerate() {
        if calls.len() == AT_ONCE {
            let (at, answer): (usize, String) = calls.join_next().await.unwrap().unwrap();
            answers[at] = answer;
        }
        let channel = channel.clone();
        calls.spawn(async move { (at, ask(channel, metadata, line).await) });
    }
    while let Some(call) = calls.join_next().await {
        let (at, answer) = call.unwrap();
        answers[at] = answer;
    }
    for answer in answers {
        println!("{answer}");
    }
}
