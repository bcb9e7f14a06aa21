//! Tests the HTTP server for operators.

use crate::harness::{Engine, SOON, get, until};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Returns status, head and body.
async fn fetch(address: SocketAddr, method: &str, target: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {target} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    // Looking up a profile's symbols takes seconds of CPU in a debug build, and minutes if others want the cores too.
    tokio::time::timeout(10 * SOON, stream.read_to_end(&mut reply))
        .await
        .unwrap()
        .unwrap();
    let end = reply
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(reply[..end].to_vec()).unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head, reply[end + 4..].to_vec())
}

pub async fn fetch_text(address: SocketAddr, target: &str) -> (u16, String) {
    let (code, _, body) = fetch(address, "GET", target).await;
    (code, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn readiness_and_its_reason() {
    let engine = Engine::start(&[]).await;
    let admin = engine.running.addresses.admin;
    assert_eq!(
        fetch_text(admin, "/healthz").await,
        (200, "ok\n".to_owned())
    );
    assert_eq!(
        fetch_text(admin, "/readyz").await,
        (503, "waiting for the first feed\n".to_owned())
    );
    let _feed = engine.feed("l", 7).await.unwrap();
    assert_eq!(
        fetch_text(admin, "/readyz").await,
        (503, "catching up: at 0 of 7\n".to_owned())
    );
    let (engine, _feed) = Engine::fed(&[], 1).await;
    assert_eq!(
        fetch_text(engine.running.addresses.admin, "/readyz").await,
        (200, "serving\n".to_owned())
    );
}

#[tokio::test]
async fn metrics() {
    let (engine, _feed) = Engine::fed(&[], 3).await;
    let mut client = engine.client().await;
    client.get(get("a", &[])).await.unwrap();
    client.get(get("b", &[])).await.unwrap_err();
    engine.feed("other", 1).await.err().expect("refused");
    let (code, text) = fetch_text(engine.running.addresses.admin, "/metrics").await;
    assert_eq!(code, 200);
    for line in [
        "hotpathd_requests_total{method=\"Get\",code=\"OK\"} 1",
        "hotpathd_requests_total{method=\"Get\",code=\"NOT_FOUND\"} 1",
        "hotpathd_request_seconds_count{method=\"Get\"} 2",
        "hotpathd_request_seconds_bucket{le=\"+Inf\",method=\"Get\"} 2",
        "hotpathd_position 3",
        "hotpathd_feed_head_position 3",
        "hotpathd_feed_connected 1",
        "hotpathd_ready 1",
        "hotpathd_events_applied_total 3",
        "hotpathd_feed_refusals_total{reason=\"LEDGER_MISMATCH\"} 1",
        "hotpathd_feed_refusals_total{reason=\"FEED_GAP\"} 0",
        "hotpathd_model_counters 1",
        "hotpathd_chores_total 0",
        "hotpathd_chores_failed_total 0",
        "hotpathd_chores_under_way 0",
        "hotpathd_chores_seconds_total 0.0",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    for name in [
        "hotpathd_publications_total ",
        "hotpathd_publication_seconds_count ",
        "hotpathd_retained_versions ",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "{name} is not in\n{text}"
        );
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn memory() {
    let (engine, _feed) = Engine::fed(&[], 3).await;
    let (code, text) = fetch_text(engine.running.addresses.admin, "/debug/memory").await;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (
            code,
            json["position"].as_u64(),
            json["model"]["counters"].as_u64()
        ),
        (200, Some(3), Some(1))
    );
    assert!(json["resident_bytes"].as_u64().unwrap() > 0);
    // This test program's allocator does not count.
    assert!(json["allocated_bytes"].is_null());
}

#[tokio::test]
async fn mistakes_are_answered_with_what_would_be_right() {
    let engine = Engine::start(&[]).await;
    let admin = engine.running.addresses.admin;
    let (code, text) = fetch_text(admin, "/nothing").await;
    assert!(
        code == 404 && text.contains("/debug/pprof/profile?seconds=N"),
        "{text}"
    );
    let (code, head, _) = fetch(admin, "POST", "/metrics").await;
    assert!(
        code == 405 && head.to_lowercase().contains("allow: get"),
        "{head}"
    );
    let rule = "seconds: must be a whole number from 1 to 300\n".to_owned();
    assert_eq!(
        fetch_text(admin, "/debug/pprof/profile?seconds=0").await,
        (400, rule.clone())
    );
    assert_eq!(
        fetch_text(admin, "/debug/pprof/flamegraph?seconds=x").await,
        (400, rule)
    );
    let unknown = "second: is unknown; there are seconds and hz\n".to_owned();
    assert_eq!(
        fetch_text(admin, "/debug/pprof/profile?second=1").await,
        (400, unknown)
    );
    let rule = "questions: must be a whole number from 1 to 1000000\n".to_owned();
    assert_eq!(
        fetch_text(admin, "/debug/audit?questions=0").await,
        (400, rule)
    );
    let nothing = "this model has nothing to compare\n".to_owned();
    assert_eq!(fetch_text(admin, "/debug/audit").await, (501, nothing));
    let mut garbage = TcpStream::connect(admin).await.unwrap();
    garbage.write_all(b"\0\xff\r\n\r\n").await.unwrap();
    assert_eq!(fetch_text(admin, "/healthz").await.0, 200);
}

/// Asks for the longest profile again and again, until it is not refused. Dropping this future closes the connection.
async fn profile_for_ever(admin: SocketAddr) {
    loop {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        let request = b"GET /debug/pprof/profile?seconds=300 HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        // Only a refusal comes within 300 s.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

/// Tries 30 times, because the spinner may get no CPU in a second. The tries are counted and not timed, because looking
/// up symbols takes long.
async fn shows_this_test(admin: SocketAddr, kind: &str) -> bool {
    // Field 6 of a profile is its string table, which has symbols as they are.
    let symbol = b"profiles_one_at_a_time";
    for _ in 0..30 {
        let target = format!("/debug/pprof/{kind}?seconds=1&hz=200");
        let (code, head, body) = fetch(admin, "GET", &target).await;
        // A flamegraph of no samples is a 500.
        assert!(code == 200 || code == 500, "{code}");
        // This build has frame pointers.
        assert!(!head.contains("x-hotpath-warning"), "{head}");
        if body.windows(symbol.len()).any(|window| window == symbol) {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn profiles_one_at_a_time_until_done_or_not_waited_for() {
    let engine = Engine::start(&[]).await;
    let admin = engine.running.addresses.admin;
    // The first profile of a process reads its debug symbols. It cannot be given up meanwhile.
    fetch(admin, "GET", "/debug/pprof/profile?seconds=1&hz=1").await;
    let first = tokio::spawn(profile_for_ever(admin));
    let conflict = until("the first profile runs", || async {
        let (code, text) = fetch_text(admin, "/debug/pprof/flamegraph?seconds=1&hz=1").await;
        (code == 409).then_some(text)
    });
    assert_eq!(
        conflict.await,
        "another profile is being taken; try again later\n"
    );
    let (code, _) = fetch_text(admin, "/debug/pprof/profile?seconds=1").await;
    assert_eq!(code, 409, "a refusal must not end the claim of the first");
    first.abort();

    let busy = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let spinner = std::thread::spawn({
        let busy = busy.clone();
        move || {
            while busy.load(std::sync::atomic::Ordering::Relaxed) {
                std::hint::black_box((0..1_000_u64).sum::<u64>());
            }
        }
    });
    until("the first profile has ended", || async {
        let (code, _, _) = fetch(admin, "GET", "/debug/pprof/profile?seconds=1&hz=1").await;
        (code != 409).then_some(())
    })
    .await;
    for kind in ["profile", "flamegraph"] {
        assert!(shows_this_test(admin, kind).await, "never in a {kind}");
    }
    busy.store(false, std::sync::atomic::Ordering::Relaxed);
    spinner.join().unwrap();
}
