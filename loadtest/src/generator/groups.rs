//! The connections that reads are spread over, and the reads that wait for one.

use super::{links::Links, tally::Token};
use crate::{
    http2::{connection::Connection, hpack::encoder::Fields},
    traffic::Method,
};
use std::{collections::VecDeque, ops::Range};

/// Connections to the front, and those for hot methods if they have an address of their own.
#[derive(Debug)]
pub(super) struct Groups {
    groups: Vec<Group>,
    /// By method.
    group_of: Vec<usize>,
    /// No read in flight or waiting has to be given up before.
    expire_at: u64,
}

#[derive(Debug)]
struct Group {
    links: Range<usize>,
    /// Next in turn.
    turn: usize,
    fields: Fields,
    /// Due reads that were held back, in the order planned.
    waiting: VecDeque<Waiting>,
}

/// A read that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) n: u64,
    pub(super) seed: u64,
    pub(super) method: u16,
    pub(super) planned: u64,
}

impl Groups {
    /// Front first, then hot if there is one.
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

    /// The next connection in turn that a read of this method can go out on.
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

    /// Reads wait that have to go out before one of this method.
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

    /// The read that has waited longest, and its group; of those not `blocked`.
    pub(super) fn longest_waiting(&self, blocked: [bool; 2]) -> Option<(usize, Waiting)> {
        let groups = self.groups.iter().enumerate().zip(blocked);
        let open = groups.filter(|(_, blocked)| !blocked);
        open.filter_map(|((at, group), _)| Some((at, *group.waiting.front()?)))
            .min_by_key(|(_, read)| read.planned)
    }

    /// The longest waiting read of a group waits no more.
    pub(super) fn done_waiting(&mut self, group: usize) {
        if let Some(group) = self.groups.get_mut(group) {
            group.waiting.pop_front();
        }
    }

    /// Takes out a waiting read that was planned at `planned_by` or before.
    pub(super) fn drop_waiting(&mut self, planned_by: u64) -> Option<Waiting> {
        (self.groups.iter_mut())
            .find_map(|group| (group.waiting).pop_front_if(|read| read.planned <= planned_by))
    }

    pub(super) fn expire_at(&self) -> u64 {
        self.expire_at
    }

    /// A read is in flight or waits that has to be given up at that time.
    pub(super) fn expire_by(&mut self, at: u64) {
        self.expire_at = self.expire_at.min(at);
    }

    /// Looks for the next read to be given up: connections and waiting reads are in the order planned, so that the first
    /// of each will do.
    pub(super) fn reckon_expiry(&mut self, links: &Links, timeout: u64) {
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
