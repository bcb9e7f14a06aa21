//! Long work of the model, on a thread beside the writer's. The thread starts with the first work.

use crate::{
    error::panic_text,
    model::{Chore, Finish},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

/// The way to the thread, and back.
type Worker<S> = (Sender<Chore<S>>, Receiver<Finish<S>>);

/// Work that was handed over and is not finished.
pub(super) struct Chores<S> {
    worker: Option<Worker<S>>,
    under_way: usize,
}

impl<S> Default for Chores<S> {
    fn default() -> Self {
        Self {
            worker: None,
            under_way: 0,
        }
    }
}

impl<S: 'static> Chores<S> {
    /// Whether something is under way.
    pub(super) fn are_under_way(&self) -> bool {
        self.under_way > 0
    }

    /// Hands work over. If there is no thread for it, it is left undone: answers do not depend on it.
    pub(super) fn take(&mut self, chore: Chore<S>) {
        if self.worker.is_none() {
            self.worker = start()
                .inspect_err(|error| {
                    tracing::error!("no thread for the model's long work: {error}");
                })
                .ok();
        }
        if let Some((todo, _)) = &self.worker
            && todo.send(chore).is_ok()
        {
            self.under_way += 1;
        }
    }

    /// How to finish work that is done, if some is.
    pub(super) fn done(&mut self) -> Option<Finish<S>> {
        let (_, done) = self.worker.as_ref()?;
        let finish = done.try_recv().ok()?;
        self.under_way -= 1;
        Some(finish)
    }
}

fn start<S: 'static>() -> std::io::Result<Worker<S>> {
    let (todo, chores) = channel::<Chore<S>>();
    let (finishes, done) = channel::<Finish<S>>();
    let thread = thread::Builder::new().name("chores".to_owned());
    thread.spawn(move || {
        for chore in chores {
            let finish = catch_unwind(AssertUnwindSafe(chore)).unwrap_or_else(|panic| {
                tracing::error!("the model's long work panicked: {}", panic_text(&*panic));
                Box::new(|_| {})
            });
            if finishes.send(finish).is_err() {
                return;
            }
        }
    })?;
    Ok((todo, done))
}
