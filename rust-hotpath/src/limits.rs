//! Every limit of the process in one table. For a limit that can be set, the range is here, and the default is beside
//! the setting.

use std::{ops::RangeInclusive, time::Duration};

/// Longest socket path. The kernel takes 107 bytes, and the socket is bound first under a name that is 4 bytes longer
/// (`.new`).
pub const SOCKET_PATH_BYTES: usize = 103;

/// Longest ledger id.
pub const LEDGER_ID_BYTES: usize = 64;
/// Most methods that one `Hello` may name.
pub const HELLO_METHODS: usize = 256;

/// Most events in one batch of the feed.
pub const BATCH_EVENTS: usize = 10_000;
/// Most bytes in one batch of the feed. A batch of a single event may be longer.
pub const BATCH_BYTES: usize = 4 << 20;
/// Longest message of the feed. A single event must fit.
pub const FEED_MESSAGE_BYTES: usize = 64 << 20;
/// Batches that may wait for the writer. With more, the feed has to wait.
pub const BATCHES_QUEUED: usize = 2;
/// Events decoded in a row. Then other tasks of the same thread get their turn.
pub const EVENTS_PER_TURN: usize = 256;
/// Events applied between two looks at the clock.
pub const EVENTS_PER_CLOCK: usize = 64;
/// Distance in events between the writer and the known head, from which on the writer publishes rarely.
pub const FAR_BEHIND_EVENTS: u64 = 10_000;
/// Time between publications of a writer that is far behind. The shim calls a sidecar stale after a second without one.
pub const CATCH_UP_INTERVAL: Duration = Duration::from_millis(50);

/// How often an idle writer looks whether the model's long work is done.
pub const CHORES_INTERVAL: Duration = Duration::from_millis(5);

/// Versions retained.
pub const RETAIN_VERSIONS: RangeInclusive<u64> = 1..=1_000_000;
/// Age of retained versions, in milliseconds.
pub const RETAIN_MS: RangeInclusive<u64> = 0..=86_400_000;
/// Events retained with the versions.
pub const RETAIN_EVENTS: RangeInclusive<u64> = 1..=100_000_000;
/// Microseconds between publications under load.
pub const PUBLISH_INTERVAL_US: RangeInclusive<u64> = 1..=1_000_000;
/// Bytes of one request or reply.
pub const MESSAGE_BYTES: RangeInclusive<u64> = 65_536..=67_108_864;
/// Milliseconds of waiting for a position.
pub const WAIT_MS: RangeInclusive<u64> = 0..=600_000;
/// Milliseconds of draining.
pub const DRAIN_MS: RangeInclusive<u64> = 0..=600_000;
/// Milliseconds after which a silent feed counts as lost.
pub const STALE_AFTER_MS: RangeInclusive<u64> = 100..=600_000;
/// Threads that serve connections.
pub const THREADS: RangeInclusive<u64> = 1..=1_024;
/// How long the end of the process waits for these threads to drop what they hold.
pub const THREADS_END: Duration = Duration::from_secs(1);
/// Connections.
pub const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
/// Hot requests at once.
pub const IN_FLIGHT: RangeInclusive<u64> = 1..=1_000_000;

/// Bytes of long messages held.
pub const BUFFERED_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;
/// Longest message that is not counted among the long ones.
pub const SHORT_MESSAGE_BYTES: usize = 8 << 10;

/// Longest reply that is compressed on the thread that serves its connection. That takes some 50 µs.
pub const INLINE_PACK_BYTES: usize = 4 << 10;

/// Longest time for the message of a hot request to arrive. Meanwhile the request holds a place among those in flight.
pub const REQUEST_ARRIVAL: Duration = Duration::from_secs(10);
/// Bytes of a call's headers, with 32 for each field. The default (64 KiB) is more than a proxy lets through (Envoy's
/// default is 60 KiB). grpc-go's 16 MiB would be too much for each of the streams that a connection may have.
pub const HEADER_BYTES: RangeInclusive<u64> = 4_096..=1_048_576;
/// How many times as long headers may be before HTTP/2 itself refuses them, with a status that is not gRPC's.
pub const HEADER_ROOM: u32 = 4;
/// Streams of one connection at once. By default that is more than the requests in flight: a refusal is better than a
/// silent queue.
pub const STREAMS: u32 = 8_192;
/// Calls that one TCP connection may cancel within a second. The default is more than twice [`STREAMS`], so that a
/// connection may cancel all its open calls and do so again.
pub const RESETS_PER_SECOND: RangeInclusive<u64> = 100..=100_000_000;
/// Resets in one turn of a connection. Once a turn has this many, the connection reads on only in its next turn.
pub const RESETS_PER_TURN: u32 = 1_024;
/// Cancelled calls that HTTP/2 keeps because they were cancelled before it handed them out: those of one turn, and of
/// the read (64 KiB) that filled it.
pub const RESETS_PENDING: usize = 8_192;
/// HTTP/2 window of one stream, in bytes.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// HTTP/2 window of one connection, in bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Bytes that a connection gathers before it must send them. More wait in the kernel, and then in HTTP/2's windows.
pub const OUTBOX_BYTES: usize = 64 << 10;
/// Bytes of the outbox's buffer that stay allocated once it is empty. There may be thousands of connections.
pub const OUTBOX_KEPT_BYTES: usize = 16 << 10;
/// How often a silent peer is asked whether it is alive.
pub const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long a peer may leave replies unread. Keepalive already gives up a silent peer after 50 s.
pub const UNREAD: Duration = Duration::from_secs(60);
/// Pause after a failed accept (out of file descriptors, most likely).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Admin connections at once.
pub const ADMIN_CONNECTIONS: usize = 32;
/// Longest time for the head of an admin request to arrive.
pub const ADMIN_HEAD: Duration = Duration::from_secs(5);
/// Length of a profile, in seconds.
pub const PROFILE_SECONDS: RangeInclusive<u64> = 1..=300;
/// Samples of a profile, per second of CPU time.
pub const PROFILE_HZ: RangeInclusive<u64> = 1..=1_000;

/// Questions of an audit.
pub const AUDIT_QUESTIONS: RangeInclusive<u64> = 1..=1_000_000;
/// Longest time that an audit runs.
pub const AUDIT_TIME: Duration = Duration::from_secs(600);

/// Lanes of the exchange at once, over all connections. A shim opens a few. Each lane holds at most 4.7 MiB that do not
/// count among [`BUFFERED_BYTES`]: the current message and the next one (1 MiB each; the buffer of the next may have
/// doubled), a window of unread bytes (1 MiB), and replies (two messages of up to 160 KiB, and 400 KiB in HTTP/2's
/// queue).
pub const LANES: usize = 64;
/// Bytes of one message of the exchange, either way.
pub const EXCHANGE_MESSAGE_BYTES: usize = 1 << 20;
/// Requests of one lane in flight.
pub const EXCHANGE_IN_FLIGHT: usize = 1_024;
/// Bytes of one body within the exchange. A longer request goes by unary call, and a longer reply leaves in pieces.
pub const EXCHANGE_BODY_BYTES: usize = 64 << 10;
/// Bytes of such a piece. A message has one at most, so that the short replies behind it wait only some 10 µs.
pub const EXCHANGE_PIECE_BYTES: usize = 32 << 10;
/// Bytes of a status message, and of its details.
pub const STATUS_BYTES: usize = 4 << 10;
/// Bytes of each half of a trace context.
pub const TRACE_BYTES: usize = 512;
/// Microseconds that a request may have left before its deadline.
pub const EXCHANGE_BUDGET_US: RangeInclusive<u32> = 1..=60_000_000;
/// Size at which a message of replies leaves. With one more reply it is still far below its limit.
pub const EXCHANGE_REPLY_TARGET_BYTES: usize = 64 << 10;
/// Time after which replies leave, although more could be added.
pub const EXCHANGE_TURN: Duration = Duration::from_micros(200);
/// How long replies may wait for others of their connection, while it has more to answer. Each write wakes the peer: a write
/// per `EXCHANGE_TURN` costs both sides 25-30 µs of CPU more for each request of 100 µs (`make break-even`, `spliced`).
pub const FRONT_LINGER: Duration = Duration::from_millis(1);
/// Most that a request may cost on the thread that serves its connection, in the units of `Model::cost`. It is about
/// 100 µs, the time that cheap requests behind it may have to wait. Moving a request to another thread and back costs
/// 25-30 µs of CPU (`make break-even`).
pub const INLINE_COST: usize = 20_000;
/// Time from which on a request is slow enough for a line in the debug log.
pub const SLOW_REPLY: Duration = Duration::from_millis(10);
