//! Values by their stream, each in one of some queues. Finding, adding, moving and removing one takes the same short time
//! however many there are, and nothing is allocated once it is warm.
//!
//! ```text
//!  push ──> queue 0 ── move_to ──> queue 1 ── ... ── remove, from whichever it is in
//! ```

use std::collections::HashMap;

/// Slots that stay allocated once all are free. There may be thousands of connections.
const KEPT_SLOTS: usize = 64;

/// The values. `QUEUES` is the number of queues.
#[derive(Debug)]
pub(super) struct Queues<T, const QUEUES: usize> {
    slots: Vec<Slot<T>>,
    /// Where each stream's slot is.
    places: HashMap<u32, usize, ahash::RandomState>,
    /// Slots without a value.
    free: Vec<usize>,
    ends: [Ends; QUEUES],
}

#[derive(Debug)]
struct Slot<T> {
    stream: u32,
    queue: usize,
    before: Option<usize>,
    behind: Option<usize>,
    value: Option<T>,
}

/// The first slot of a queue, and the last.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    first: Option<usize>,
    last: Option<usize>,
}

impl<T, const QUEUES: usize> Queues<T, QUEUES> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            places: HashMap::default(),
            free: Vec::new(),
            ends: [Ends::default(); QUEUES],
        }
    }

    /// How many values there are in all queues.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The first stream of a queue.
    pub(super) fn first(&self, queue: usize) -> Option<u32> {
        Some(self.slots[self.ends[queue].first?].stream)
    }

    pub(super) fn contains(&self, stream: u32) -> bool {
        !self.is_empty() && self.places.contains_key(&stream)
    }

    pub(super) fn get_mut(&mut self, stream: u32) -> Option<&mut T> {
        if self.is_empty() {
            return None;
        }
        let place = *self.places.get(&stream)?;
        self.slots[place].value.as_mut()
    }

    /// Adds the value of a stream that has none, at the end of a queue.
    pub(super) fn push(&mut self, queue: usize, stream: u32, value: T) {
        let slot = Slot {
            stream,
            queue,
            before: None,
            behind: None,
            value: Some(value),
        };
        let place = if let Some(place) = self.free.pop() {
            self.slots[place] = slot;
            place
        } else {
            self.slots.push(slot);
            self.slots.len() - 1
        };
        self.places.insert(stream, place);
        self.link(queue, place);
    }

    /// Moves a stream to the end of a queue, which may be its own.
    pub(super) fn move_to(&mut self, queue: usize, stream: u32) {
        if let Some(place) = self.places.get(&stream).copied() {
            self.unlink(place);
            self.link(queue, place);
        }
    }

    /// Whether a stream is in this queue.
    pub(super) fn is_in(&self, queue: usize, stream: u32) -> bool {
        let place = self.places.get(&stream);
        place.is_some_and(|place| self.slots[*place].queue == queue)
    }

    pub(super) fn remove(&mut self, stream: u32) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let place = self.places.remove(&stream)?;
        self.unlink(place);
        let value = self.slots[place].value.take();
        self.free.push(place);
        if self.is_empty() && self.slots.len() > KEPT_SLOTS {
            *self = Self::new();
        }
        value
    }

    fn link(&mut self, queue: usize, place: usize) {
        let last = self.ends[queue].last.replace(place);
        match last {
            Some(last) => self.slots[last].behind = Some(place),
            None => self.ends[queue].first = Some(place),
        }
        let slot = &mut self.slots[place];
        (slot.queue, slot.before, slot.behind) = (queue, last, None);
    }

    fn unlink(&mut self, place: usize) {
        let Slot {
            queue,
            before,
            behind,
            ..
        } = self.slots[place];
        match before {
            Some(before) => self.slots[before].behind = behind,
            None => self.ends[queue].first = behind,
        }
        match behind {
            Some(behind) => self.slots[behind].before = before,
            None => self.ends[queue].last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize, u32),
        MoveTo(usize, u32),
        Remove(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0..2_usize, 0..20_u32).prop_map(|(queue, stream)| Step::Push(queue, stream)),
            2 => (0..2_usize, 0..20_u32).prop_map(|(queue, stream)| Step::MoveTo(queue, stream)),
            2 => (0..20_u32).prop_map(Step::Remove),
        ];
        proptest::collection::vec(step, 0..200)
    }

    /// The streams of a queue, from its links in both directions.
    fn streams(queues: &Queues<u32, 2>, queue: usize) -> Vec<u32> {
        let (mut at, mut before, mut streams) = (queues.ends[queue].first, None, Vec::new());
        while let Some(place) = at {
            let slot = &queues.slots[place];
            assert_eq!((slot.queue, slot.before), (queue, before));
            streams.push(slot.stream);
            (before, at) = (at, slot.behind);
        }
        assert_eq!(queues.ends[queue].last, before);
        streams
    }

    proptest! {
        #[test]
        fn it_is_as_two_lists(steps in steps()) {
            let (mut queues, mut naive) = (Queues::<u32, 2>::new(), [Vec::new(), Vec::new()]);
            for step in steps {
                let is_there = |naive: &[Vec<u32>; 2], stream: u32| {
                    naive.iter().position(|queue| queue.contains(&stream))
                };
                match step {
                    Step::Push(queue, stream) if is_there(&naive, stream).is_none() => {
                        naive[queue].push(stream);
                        queues.push(queue, stream, stream + 1);
                    }
                    Step::Push(..) => {}
                    Step::MoveTo(queue, stream) => {
                        if let Some(from) = is_there(&naive, stream) {
                            naive[from].retain(|other| *other != stream);
                            naive[queue].push(stream);
                        }
                        queues.move_to(queue, stream);
                    }
                    Step::Remove(stream) => {
                        let from = is_there(&naive, stream);
                        let removed = queues.remove(stream);
                        prop_assert_eq!(removed, from.map(|_| stream + 1));
                        if let Some(from) = from {
                            naive[from].retain(|other| *other != stream);
                        }
                    }
                }
                for (queue, naive) in naive.iter().enumerate() {
                    prop_assert_eq!(&streams(&queues, queue), naive);
                    prop_assert_eq!(queues.first(queue), naive.first().copied());
                }
                for stream in 0..20 {
                    let from = is_there(&naive, stream);
                    prop_assert_eq!(queues.contains(stream), from.is_some());
                    prop_assert_eq!(queues.is_in(1, stream), from == Some(1));
                    let wanted = from.map(|_| stream + 1);
                    prop_assert_eq!(queues.get_mut(stream).copied(), wanted);
                }
                prop_assert_eq!(queues.len(), naive.concat().len());
            }
        }
    }

    #[test]
    fn slots_are_used_again_and_many_are_given_back() {
        let mut queues = Queues::<u32, 1>::new();
        for stream in 0..10_000 {
            queues.push(0, stream, 0);
            queues.push(0, stream + 1_000_000, 0);
            queues.remove(stream);
            queues.remove(stream + 1_000_000);
        }
        assert_eq!(queues.slots.len(), 2);
        for stream in 0..1_000 {
            queues.push(0, stream, 0);
        }
        for stream in 0..1_000 {
            queues.remove(stream);
        }
        assert_eq!(queues.slots.capacity() + queues.places.capacity(), 0);
    }
}
