//! The partitions that are on their way out of a shard, as the shard and each broker's queue know them.

use std::sync::Arc;

use state::Event;

use super::load_queues::{Backing, Item};
use crate::{partitions::Partition, reply::Reply, ticket::Tickets};

/// A partition that is leaving, as one broker's queue knows it.
#[derive(Clone, Debug)]
pub(crate) struct LeavingHere {
    pub(super) partition: Partition,
    /// Whether there was no room on disk for one of its deliveries. No later one goes there then: it would come before it.
    pub(super) refused: bool,
}

impl LeavingHere {
    pub(super) fn new(partition: Partition) -> Self {
        Self { partition, refused: false }
    }

    /// Whether this delivery is the partition's. One that the source vouches for may have come after the partition was
    /// lost, and came again.
    pub(super) fn has(&self, item: &Item) -> bool {
        match &item.backing {
            Backing::Source(share) => share.is_of(&self.partition.tickets),
            Backing::Disk => is_from(item.delivery.event(), &self.partition.source),
        }
    }
}

/// The partitions that are on their way out of a shard.
#[derive(Debug, Default)]
pub(super) struct Moving {
    leaving: Vec<Leaving>,
    lost: Vec<Tickets>,
}

/// A partition that is leaving.
#[derive(Debug)]
struct Leaving {
    partition: Partition,
    /// Its deliveries that are on their way through the stages, or whose verdict is being recorded.
    running: usize,
    /// Who waits until there are none.
    reply: Option<Reply>,
}

impl Leaving {
    /// The reply, once nothing of it is under way.
    fn quiet(&mut self) -> Option<Reply> {
        if self.running == 0 { self.reply.take() } else { None }
    }
}

impl Moving {
    /// A partition is leaving, of which `running` deliveries are under way. Its reply, if there are none.
    pub(super) fn leave(&mut self, partition: Partition, running: usize, reply: Reply) -> Option<Reply> {
        let mut leaving = Leaving { partition, running, reply: Some(reply) };
        let quiet = leaving.quiet();
        self.leaving.push(leaving);
        quiet
    }

    /// A delivery has ended its run. The reply for its partition, if it was the last one of that.
    pub(super) fn ended(&mut self, item: &Item) -> Option<Reply> {
        let event = item.delivery.event();
        let leaving = self.leaving.iter_mut().find(|leaving| is_from(event, &leaving.partition.source))?;
        leaving.running = leaving.running.saturating_sub(1);
        leaving.quiet()
    }

    /// A partition has left.
    pub(super) fn left(&mut self, partition: &Arc<str>) {
        self.leaving.retain(|leaving| leaving.partition.source != *partition);
    }

    /// What has one of these tickets is lost.
    pub(super) fn lose(&mut self, tickets: Tickets) {
        self.lost.push(tickets);
    }

    /// Nothing is under way any more that has one of these tickets.
    pub(super) fn gone(&mut self, tickets: &Tickets) {
        self.lost.retain(|lost| !lost.is(tickets));
    }

    /// Whether the partition with these tickets is leaving.
    pub(super) fn leaves(&self, tickets: &Tickets) -> bool {
        self.leaving.iter().any(|leaving| leaving.partition.tickets.is(tickets))
    }

    /// Whether the partition of a delivery that the source vouches for is lost.
    pub(super) fn is_lost(&self, item: &Item) -> bool {
        self.lost.iter().any(|tickets| has_ticket(item, tickets))
    }

    /// What a new queue has to know.
    pub(super) fn here(&self) -> impl Iterator<Item = LeavingHere> {
        self.leaving.iter().map(|leaving| LeavingHere::new(leaving.partition.clone()))
    }
}

/// Whether the source vouches for this delivery by one of these tickets.
pub(super) fn has_ticket(item: &Item, tickets: &Tickets) -> bool {
    match &item.backing {
        Backing::Source(share) => share.is_of(tickets),
        Backing::Disk => false,
    }
}

/// Whether this event has come from this partition.
pub(super) fn is_from(event: &Event, partition: &Arc<str>) -> bool {
    event.position.source == *partition
}
