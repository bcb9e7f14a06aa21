//! Fuzzes lanes below hyper: a client opens some on one connection, and says in made-up frames what the input says. Each lane
//! must reply as if it were alone, and a client that breaks rules must not wait for ever.
//!
//! The target reads the input as a script (`script`), says it to a front and listens (`client`), and judges each lane as the
//! target `lane` does.

mod client;
mod script;

use crate::{
    lane::{check, serving, soon},
    stream::chunks,
};
use bytes::Bytes;
use client::Client;
use hotpath::{exchange::Exchange, front::serve_over, shutdown::Shutdown};
use script::{Script, State};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

/// More than either side says.
const PIPE_BYTES: usize = 4 << 20;

/// Tests one input. Its first byte says how to split the bytes of the frames.
pub(crate) fn serves_each_lane(data: &[u8]) {
    let Some((split, script)) = data.split_first() else {
        return;
    };
    let script = Script::read(script);
    let client = soon(converse(*split, &script));
    if script.breaks_rules {
        return;
    }
    let blamed = client.is_told_to_leave || client.is_blamed;
    assert!(!blamed, "it keeps to the rules");
    for (lane, heard) in script.lanes.iter().zip(client.heard()) {
        // What a client cancels may end in any way.
        if lane.state == State::Ended {
            check(&Bytes::copy_from_slice(&lane.said), heard);
        }
    }
}

/// Says all, and listens until each lane is over.
async fn converse(split: u8, script: &Script) -> Client {
    let (mut ours, theirs) = duplex(PIPE_BYTES);
    let calls = serving();
    let exchange = Exchange::new(&calls, Shutdown::default());
    let serving = tokio::spawn(async move { serve_over(theirs, &calls, exchange).await });
    let mut client = Client::new(script);
    for piece in chunks(split, &Bytes::copy_from_slice(&script.frames)) {
        // The front may have had enough.
        if ours.write_all(&piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    listen(&mut client, &mut ours).await;
    drop(ours);
    let served = serving.await;
    assert!(served.is_ok(), "the front panicked");
    client
}

async fn listen(client: &mut Client, ours: &mut DuplexStream) {
    let mut bytes = vec![0; 64 << 10];
    while !client.has_heard_all() {
        match ours.read(&mut bytes).await {
            Ok(read) if read > 0 => client.hear(&bytes[..read]),
            _ => {
                assert!(client.is_told_to_leave, "it ends with a GOAWAY");
                return;
            }
        }
    }
}
