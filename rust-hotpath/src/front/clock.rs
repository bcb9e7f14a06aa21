//! The time limits of one connection.

use crate::limits;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::time::{Sleep, sleep};

/// How long the message of a hot call may be on its way before hyper gets the call.
const GATHER: Duration = Duration::from_millis(5);
/// How long a client may take to answer a ping.
const PING: Duration = Duration::from_secs(20);
/// How many bytes of waiting replies a client must take in the time that it has for them.
const ENOUGH: u64 = 16 << 10;

/// Timers, each of which is set only when it is needed.
pub(super) struct Clock {
    /// How long a client may say nothing before it is asked.
    silent: Duration,
    /// How long it may take to answer.
    ping: Duration,
    /// When the client has said something for the last time.
    heard: Instant,
    /// Whether it has been asked since whether it lives.
    asked: bool,
    alive: Option<Pin<Box<Sleep>>>,
    stall: Option<Pin<Box<Sleep>>>,
    /// How long replies may wait for the client's windows.
    unread: Duration,
    /// For replies that wait, with how many bytes had left when it was set.
    held: Option<(u64, Pin<Box<Sleep>>)>,
    /// For the message of this stream.
    gather: Option<(u32, Pin<Box<Sleep>>)>,
}

/// What must be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Hyper gets the calls whose messages are on their way.
    Gathered,
    Ping,
    /// The client is silent.
    End,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            silent: limits::KEEPALIVE,
            ping: PING,
            heard: Instant::now(),
            asked: false,
            alive: None,
            stall: None,
            unread: limits::UNREAD,
            held: None,
            gather: None,
        }
    }

    /// The client has said something.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = false;
    }

    /// Something has been sent.
    pub(super) fn sent(&mut self) {
        self.stall = None;
    }

    /// Whether the client has read nothing for too long. Call it when nothing can be sent.
    pub(super) fn is_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(sleep(limits::UNREAD)));
        stall.as_mut().poll(cx).is_ready()
    }

    /// Whether the client has left replies for too long by opening no window. A client that reads the socket is not stalled,
    /// and a few of them could hold all bytes that there are for replies. `gone` is how many have left so far.
    pub(super) fn is_left(&mut self, cx: &mut Context<'_>, waits: bool, gone: u64) -> bool {
        if !waits {
            self.held = None;
            return false;
        }
        let begin = || (gone, Box::pin(sleep(self.unread)));
        let (before, timer) = self.held.get_or_insert_with(begin);
        while timer.as_mut().poll(cx).is_ready() {
            if gone - *before < ENOUGH {
                return true;
            }
            *before = gone;
            timer
                .as_mut()
                .reset(tokio::time::Instant::now() + self.unread);
        }
        false
    }

    /// What is due. `oldest` is the first stream whose message is on its way.
    pub(super) fn due(&mut self, cx: &mut Context<'_>, oldest: Option<u32>) -> Due {
        if self.is_late(cx, oldest) {
            return Due::Gathered;
        }
        let begin = || Box::pin(sleep(self.silent));
        let alive = self.alive.get_or_insert_with(begin);
        while alive.as_mut().poll(cx).is_ready() {
            let left = self.silent.saturating_sub(self.heard.elapsed());
            if self.asked {
                return Due::End;
            }
            self.asked = left.is_zero();
            let next = if self.asked { self.ping } else { left };
            alive.as_mut().reset(tokio::time::Instant::now() + next);
            if self.asked {
                return Due::Ping;
            }
        }
        Due::Nothing
    }

    fn is_late(&mut self, cx: &mut Context<'_>, oldest: Option<u32>) -> bool {
        let Some(oldest) = oldest else {
            self.gather = None;
            return false;
        };
        match &mut self.gather {
            Some((stream, timer)) if *stream != oldest => {
                *stream = oldest;
                timer.as_mut().reset(tokio::time::Instant::now() + GATHER);
            }
            Some(_) => {}
            none => *none = Some((oldest, Box::pin(sleep(GATHER)))),
        }
        let timer = self
            .gather
            .as_mut()
            .map(|(_, timer)| timer.as_mut().poll(cx));
        timer.is_some_and(|timer: Poll<()>| timer.is_ready())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn clock() -> Clock {
        Clock {
            silent: Duration::from_millis(30),
            ping: Duration::from_millis(20),
            unread: Duration::from_millis(20),
            ..Clock::new()
        }
    }

    /// The next that is due.
    async fn due(clock: &mut Clock, oldest: Option<u32>) -> Due {
        poll_fn(|cx| match clock.due(cx, oldest) {
            Due::Nothing => Poll::Pending,
            due => Poll::Ready(due),
        })
        .await
    }

    #[tokio::test]
    async fn a_message_that_does_not_come_is_late() {
        let mut clock = Clock::new();
        let began = Instant::now();
        assert_eq!(due(&mut clock, Some(1)).await, Due::Gathered);
        assert!(began.elapsed() >= GATHER);
        let began = Instant::now();
        assert_eq!(due(&mut clock, Some(3)).await, Due::Gathered, "the next");
        assert!(began.elapsed() >= GATHER);
    }

    #[tokio::test]
    async fn a_silent_client_is_asked_once_and_then_left() {
        let mut clock = clock();
        let began = Instant::now();
        assert_eq!(due(&mut clock, None).await, Due::Ping);
        assert!(began.elapsed() >= clock.silent);
        assert_eq!(due(&mut clock, None).await, Due::End);
        assert!(began.elapsed() >= clock.silent + clock.ping);
    }

    #[tokio::test]
    async fn a_client_that_answers_is_asked_again() {
        let mut clock = clock();
        for _ in 0..2 {
            assert_eq!(due(&mut clock, None).await, Due::Ping);
            clock.heard(Instant::now());
        }
    }

    async fn is_left(clock: &mut Clock, waits: bool, gone: u64) -> bool {
        poll_fn(|cx| Poll::Ready(clock.is_left(cx, waits, gone))).await
    }

    #[tokio::test]
    async fn a_client_that_takes_too_little_of_what_waits_has_left_it() {
        let mut clock = clock();
        let mut gone = 0;
        // It takes enough, three times.
        for _ in 0..3 {
            let timer = |clock: &Clock| clock.held.as_ref().map(|held| held.1.deadline());
            assert!(!is_left(&mut clock, true, gone).await);
            let first = timer(&clock).unwrap();
            tokio::time::sleep_until(first).await;
            gone += ENOUGH;
            assert!(!is_left(&mut clock, true, gone).await);
            assert!(timer(&clock).unwrap() > first);
        }
        // Nothing waits any more, and then something else does.
        assert!(!is_left(&mut clock, false, gone).await);
        assert!(clock.held.is_none());
        let began = Instant::now();
        poll_fn(|cx| match clock.is_left(cx, true, gone) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        assert!(began.elapsed() >= clock.unread);
    }
}
