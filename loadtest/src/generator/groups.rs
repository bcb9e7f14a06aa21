//! The connections that reads are spread over, and the reads that are held back.

use super::{links::Links, tally::Token};
use crate::{
    http2::{connection::Connection, hpack::encoder::Fields},
    traffic::Method,
};
use std::{collections::VecDeque, ops::Range};

/// The groups of connections: those to `front`, and those to `hot` if there is such an address.
#[derive(Debug)]
pub(super) struct Groups {
    groups: Vec<Group>,
    /// By method: the index of its group.
    group_of: Vec<usize>,
    /// No read that is in flight or held back has to be given up before this time.
    expire_at: u64,
}

#[derive(Debug)]
struct Group {
    links: Range<usize>,
    /// The connection that is next in turn.
    turn: usize,
    fields: Fields,
    /// Reads that are due and held back, in the order planned.
    waiting: VecDeque<Waiting>,
}

/// A read that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) n: u64,
    pub(super) seed: u64,
    pub(super) method: u16,
    pub(super) planned: u64,
}

impl Groups {
    /// Makes the groups: `front` first, then `hot` if there is one.
    pub(super) fn new(groups: Vec<(Range<usize>, Fields)>, methods: &[Method]) -> Self {
        let hot = groups.len() - 1;
        let group = |(links, fields): (Range<usize>, Fields)| Group {
            turn: links.start,
            links,
            fields,
            waiting: VecDeque::new(),
        };
        Self {
            groups: groups.into_iter().map(group).collect(),
            group_of: (methods.iter())
                .map(|method| if method.hot { hot } else { 0 })
                .collect(),
            expire_at: u64::MAX,
        }
    }

    fn of(&self, method: u16) -> usize {
        self.group_of.get(usize::from(method)).copied().unwrap_or(0)
    }

    /// All connections that carry reads.
    pub(super) fn links(&self) -> Range<usize> {
        let end = self.groups.last().map_or(0, |group| group.links.end);
        0..end
    }

    /// Returns the next connection in turn on which a read of this method can be sent.
    pub(super) fn free<'a>(
        &'a mut self,
        method: u16,
        links: &'a mut Links,
    ) -> Option<(&'a mut Connection<Token>, &'a Fields)> {
        let at = self.of(method);
        let group = self.groups.get_mut(at)?;
        for _ in group.links.clone() {
            let at = group.turn;
            group.turn += 1;
            if group.turn == group.links.end {
                group.turn = group.links.start;
            }
            if links.accepts(at) {
                return links.sending(at).map(|http| (http, &group.fields));
            }
        }
        None
    }

    pub(super) fn nothing_waits(&self) -> bool {
        self.groups.iter().all(|group| group.waiting.is_empty())
    }

    /// Whether reads are held back that must be sent before another one of this method.
    pub(super) fn any_waits(&self, method: u16) -> bool {
        let group = self.groups.get(self.of(method));
        group.is_some_and(|group| !group.waiting.is_empty())
    }

    pub(super) fn wait(&mut self, read: Waiting) {
        let at = self.of(read.method);
        if let Some(group) = self.groups.get_mut(at) {
            group.waiting.push_back(read);
        }
    }

    /// Returns the read that was planned first among those held back, and its group; `blocked` groups are left out.
    pub(super) fn longest_waiting(&self, blocked: [bool; 2]) -> Option<(usize, Waiting)> {
        let groups = self.groups.iter().enumerate().zip(blocked);
        let open = groups.filter(|(_, blocked)| !blocked);
        open.filter_map(|((at, group), _)| Some((at, *group.waiting.front()?)))
            .min_by_key(|(_, read)| read.planned)
    }

    /// Removes the read at the head of a group's queue.
    pub(super) fn done_waiting(&mut self, group: usize) {
        if let Some(group) = self.groups.get_mut(group) {
            group.waiting.pop_front();
        }
    }

    /// Takes out a read that is held back and was planned at `planned_by` or before.
    pub(super) fn drop_waiting(&mut self, planned_by: u64) -> Option<Waiting> {
        (self.groups.iter_mut())
            .find_map(|group| (group.waiting).pop_front_if(|read| read.planned <= planned_by))
    }

    pub(super) fn expire_at(&self) -> u64 {
        self.expire_at
    }

    /// Notes that a read that is in flight or held back has to be given up at that time.
    pub(super) fn expire_by(&mut self, at: u64) {
        self.expire_at = self.expire_at.min(at);
    }

    /// Computes when the next read has to be given up. Connections and queues are in the order planned, so it looks at
    /// the first read of each only.
    pub(super) fn update_expiry(&mut self, links: &Links, timeout: u64) {
        let in_flight = (self.links())
            .filter_map(|at| links.http(at)?.oldest())
            .map(|token| token.planned);
        let waiting = (self.groups.iter())
            .filter_map(|group| group.waiting.front())
            .map(|read| read.planned);
        let next = in_flight.chain(waiting).min();
        self.expire_at = next.map_or(u64::MAX, |planned| planned.saturating_add(timeout));
    }
}
