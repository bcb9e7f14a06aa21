//! Long work of the model, on a thread beside the writer's. The thread starts with the first work.

use super::Counts;
use crate::{
    error::panic_text,
    model::{Chore, Finish},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, Release},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Instant,
};

/// The way to the thread, and back.
type Worker<S> = (Sender<Chore<S>>, Receiver<Finish<S>>);

/// Work that was handed over and is not finished.
pub(super) struct Chores<S> {
    worker: Option<Worker<S>>,
    counts: Arc<Counts>,
}

impl<S: 'static> Chores<S> {
    pub(super) fn new(counts: Arc<Counts>) -> Self {
        Self {
            worker: None,
            counts,
        }
    }

    /// Whether something is under way.
    pub(super) fn are_under_way(&self) -> bool {
        self.counts.chores_under_way() > 0
    }

    /// Hands work over. If there is no thread for it, it is left undone: answers do not depend on it.
    pub(super) fn take(&mut self, chore: Chore<S>) {
        if self.worker.is_none() {
            self.worker = start(Arc::clone(&self.counts))
                .inspect_err(|error| {
                    tracing::error!("no thread for the model's long work: {error}");
                })
                .ok();
        }
        if let Some((todo, _)) = &self.worker
            && todo.send(chore).is_ok()
        {
            self.counts.chores_taken.fetch_add(1, Relaxed);
        }
    }

    /// How to finish work that is done, if some is.
    pub(super) fn done(&mut self) -> Option<Finish<S>> {
        let (_, done) = self.worker.as_ref()?;
        let finish = done.try_recv().ok()?;
        self.counts.chores_ended.fetch_add(1, Release);
        Some(finish)
    }
}

fn start<S: 'static>(counts: Arc<Counts>) -> std::io::Result<Worker<S>> {
    let (todo, chores) = channel::<Chore<S>>();
    let (finishes, done) = channel::<Finish<S>>();
    let thread = thread::Builder::new().name("chores".to_owned());
    thread.spawn(move || {
        for chore in chores {
            let begun = Instant::now();
            let finish = catch_unwind(AssertUnwindSafe(chore)).unwrap_or_else(|panic| {
                tracing::error!("the model's long work panicked: {}", panic_text(&*panic));
                counts.chores_failed.fetch_add(1, Relaxed);
                Box::new(|_| {})
            });
            let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            counts.chores_micros.fetch_add(micros, Relaxed);
            if finishes.send(finish).is_err() {
                return;
            }
        }
    })?;
    Ok((todo, done))
}
