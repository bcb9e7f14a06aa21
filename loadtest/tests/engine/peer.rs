//! Tests the generator against a peer that sends scripted bytes: what happens to reads when a connection breaks, and
//! afterwards.

use super::server::{ECHO, Traffic};
use super::{MS, check_accounts, connect, options, run, window};
use loadtest::{
    generator::{Address, Generator, Options},
    measure::Observed,
};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixListener,
    sync::mpsc,
};

const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const DATA: u8 = 0;
const PING: u8 = 6;
const END_STREAM: u8 = 1;

/// What a scripted connection does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Reply,
    /// Replies, and then sends a GOAWAY.
    ReplyAndLeave,
    /// Sends a GOAWAY that covers no request.
    Leave,
    Reset,
    Garbage,
    Close,
}

/// Accepts connections one after the other. For each request, the `i`-th connection takes the next step of
/// `scripts[i]`. It ends with its script, and the receiver is told.
fn play(scripts: Vec<Vec<Then>>) -> (Address, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let (ended, ends) = mpsc::channel();
    std::thread::spawn(move || {
        for script in scripts {
            let (stream, _) = listener.accept().unwrap();
            act(Frames::greet(stream), &script);
            // Not every test waits for it.
            let _ = ended.send(());
        }
    });
    (address, ends)
}

/// Reads the generator's frames, which follow its preface.
struct Frames<S> {
    stream: S,
}

impl<S: Read + Write> Frames<S> {
    fn greet(mut stream: S) -> Self {
        stream.read_exact(&mut [0; 24]).unwrap();
        stream.write_all(SETTINGS).unwrap();
        Self { stream }
    }

    /// Returns kind, flags and stream of the next frame; `None` at the end.
    fn next(&mut self) -> Option<(u8, u8, u32)> {
        let mut header = [0; 9];
        self.stream.read_exact(&mut header).ok()?;
        let [a, b, c, kind, flags, s0, s1, s2, s3] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some((kind, flags, u32::from_be_bytes([s0, s1, s2, s3])))
    }

    fn request(&mut self) -> Option<u32> {
        loop {
            let (kind, flags, stream) = self.next()?;
            if kind == DATA && flags == END_STREAM {
                return Some(stream);
            }
        }
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // The generator may have closed the connection by now.
        let _ = self.stream.write_all(&frame);
    }

    fn reply(&mut self, stream: u32) {
        self.send(1, 4, stream, &[0x88]);
        self.send(DATA, 0, stream, &[0, 0, 0, 0, 2, b'o', b'k']);
        self.send(1, 5, stream, b"\x00\x0bgrpc-status\x010");
    }
}

fn act(mut frames: Frames<TcpStream>, script: &[Then]) {
    for then in script {
        let Some(stream) = frames.request() else {
            return;
        };
        match then {
            Then::Reply => frames.reply(stream),
            Then::ReplyAndLeave => {
                frames.send(7, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
                frames.reply(stream);
                // The generator closes a connection that it can't use any more.
                while frames.next().is_some() {}
            }
            Then::Leave => frames.send(7, 0, 0, &[0; 8]),
            Then::Reset => frames.send(3, 0, stream, &[0, 0, 0, 8]),
            Then::Garbage => frames.stream.write_all(&[0xff; 100]).unwrap(),
            Then::Close => return,
        }
    }
}

fn alone(address: &Address, reads: usize) -> Generator {
    let options = Options {
        connections: 1,
        idle_connections: 0,
        max_in_flight: 1,
        ..options()
    };
    let traffic = Traffic::new(vec![(ECHO, b"hello".to_vec())]).at(vec![MS; reads]);
    connect(address, traffic, options).unwrap()
}

fn against(scripts: Vec<Vec<Then>>) -> Observed {
    let reads = scripts.iter().map(Vec::len).sum();
    let observed = run(&mut alone(&play(scripts).0, reads), &window(1.0, 10, true));
    check_accounts(&observed);
    assert_eq!(
        (observed.planned, observed.sent),
        (reads as u64, reads as u64)
    );
    observed
}

#[test]
fn lost_connections_are_opened_again_and_cost_what_was_in_flight() {
    use Then::{Close, Garbage, Leave, Reply};
    for end in [Close, Garbage, Leave] {
        let observed = against(vec![vec![Reply, Reply, end], vec![end], vec![Reply, Reply]]);
        assert_eq!(observed.ok, 4, "{end:?}");
        assert_eq!(observed.statuses.get(&14), Some(&2), "{end:?}");
        let replies = observed.replies.unwrap();
        let present: Vec<bool> = replies.replies.iter().map(Option::is_some).collect();
        assert_eq!(present, [true, true, false, false, true, true], "{end:?}");
    }
}

#[test]
fn a_goodbye_lets_what_it_covers_finish() {
    use Then::{Reply, ReplyAndLeave};
    let observed = against(vec![
        vec![Reply, ReplyAndLeave],
        vec![ReplyAndLeave],
        vec![Reply],
    ]);
    assert_eq!(observed.ok, 4);
}

#[test]
fn a_reset_ends_one_read_only() {
    use Then::{Reply, Reset};
    let observed = against(vec![vec![Reply, Reset, Reply]]);
    assert_eq!((observed.ok, observed.statuses.get(&1)), (2, Some(&1)));
}

#[test]
fn a_connection_lost_between_windows_is_opened_before_the_next() {
    let (address, ends) = play(vec![vec![Then::Reply], vec![Then::Reply]]);
    let mut generator = alone(&address, 1);
    for _ in 0..2 {
        assert_eq!(run(&mut generator, &window(1.0, 10, false)).ok, 1);
        ends.recv().unwrap();
    }
}

#[test]
fn pings_are_answered_on_unix_sockets_and_idle_connections() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let (acked, acks) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let acked = acked.clone();
            std::thread::spawn(move || {
                let mut frames = Frames::greet(stream.unwrap());
                frames.send(PING, 0, 0, b"12345678");
                while let Some((kind, flags, stream)) = frames.next() {
                    if kind == PING {
                        acked.send(flags).unwrap();
                    } else if kind == DATA && flags == END_STREAM {
                        frames.reply(stream);
                    }
                }
            });
        }
    });
    let address: Address = format!("unix:{}", path.display()).parse().unwrap();
    let options = Options {
        connections: 1,
        idle_connections: 3,
        ..options()
    };
    let traffic = Traffic::new(vec![(ECHO, vec![])]);
    let mut generator = connect(&address, traffic, options).unwrap();
    let observed = run(&mut generator, &window(500.0, 100, false));
    assert_eq!(observed.ok, observed.planned);
    drop(generator);
    let acks: Vec<u8> = acks.iter().take(4).collect();
    assert_eq!(acks, [1; 4]);
}

#[test]
fn a_peer_that_speaks_something_else_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream
                .unwrap()
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = connect(&address, Traffic::new(vec![(ECHO, vec![])]), options()).unwrap_err();
    assert!(
        error.to_string().contains("connections not opened"),
        "{error}"
    );
}
