//! The partitions of the model. Each load is of one partition, as a topic's keys have it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::PARTITIONS;
use crate::{testing::tickets, ticket::Tickets};

/// One partition.
pub(super) struct Part {
    pub(super) tickets: Tickets,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    Here,
    /// It is handed over, and will leave then.
    HandedOver,
    /// It is leaving; what is told when nothing of it is on the wire any more, and whether that was.
    Leaving(oneshot::Receiver<()>, bool),
    /// What is on disk of it goes to whoever has it next; whether the core knows that it has gone.
    Dropping(bool),
    Away,
}

impl Default for Part {
    fn default() -> Self {
        let tickets = tickets();
        // What a crash leaves unsettled is nobody's defect.
        tickets.stopping();
        Self { tickets, stage: Stage::Here }
    }
}

/// The partition of a load.
pub(super) fn part_of(load: &str) -> usize {
    load.bytes().last().map_or(0, usize::from) % PARTITIONS
}

/// Its name.
pub(super) fn name_of(part: usize) -> Arc<str> {
    format!("p{part}").into()
}
