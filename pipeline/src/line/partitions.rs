//! The partitions of a run's source: each has tickets and a watermark of its own, so that a record that stays open in one
//! holds nothing of another; what is counted, dropped or stopped is one thing for all of them.

use std::sync::Arc;

use super::ticket::Tickets;

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// The name under which its positions and its checkpoint are kept.
    pub source: Arc<str>,
    /// Its records that were read and are not settled.
    pub tickets: Tickets,
}

/// All partitions of a run; at least one.
#[derive(Clone, Debug)]
pub struct Partitions {
    first: Partition,
    others: Arc<[Partition]>,
}

impl Partitions {
    /// A partition for each of these names, the first of which is there in any case, with `span_max` records between the
    /// oldest unsettled and the newest of each.
    pub(super) fn new(first: Arc<str>, others: impl IntoIterator<Item = Arc<str>>, span_max: usize) -> Self {
        let tickets = Tickets::new(span_max);
        let other = |source| Partition { source, tickets: tickets.beside() };
        let others = others.into_iter().map(other).collect();
        Self { first: Partition { source: first, tickets }, others }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Partition> {
        std::iter::once(&self.first).chain(&*self.others)
    }

    /// Whether one of them may read no more: what it holds open must be seen to.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.iter().any(|partition| partition.tickets.is_full())
    }

    /// From now on an unsettled ticket is an abandoned one.
    pub fn stopping(&self) {
        self.first.tickets.stopping();
    }

    /// Returns once a ticket of any of them has been dropped unsettled.
    pub async fn nacked(&self) {
        self.first.tickets.nacked().await;
    }

    /// Returns once a watermark has moved that has moved since the last call. May be dropped at any time.
    pub(super) async fn moved(&self) {
        self.first.tickets.moved().await;
    }

    /// Tickets and shares of all of them dropped unsettled although the line was not stopping.
    #[must_use]
    pub fn nack_count(&self) -> u64 {
        self.first.tickets.nack_count()
    }

    /// Records read so far, from all of them.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.first.tickets.issued()
    }

    /// Records settled so far, of all of them.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.first.tickets.settled()
    }
}

#[cfg(test)]
impl From<Tickets> for Partitions {
    fn from(tickets: Tickets) -> Self {
        Self { first: Partition { source: Arc::from("test"), tickets }, others: Arc::from([]) }
    }
}

#[cfg(test)]
mod tests {
    use state::Position;

    use super::*;
    use crate::line::testing::after;

    #[tokio::test]
    async fn what_is_open_in_one_fills_it_alone_and_what_is_dropped_stops_them_all() {
        let names = ["t/1", "t/2"].map(Arc::<str>::from);
        let all = Partitions::new("t/0".into(), names, 2);
        let [zero, one, two] = [0, 1, 2].map(|at| all.iter().nth(at).unwrap().clone());
        let issue = |partition: &Partition, at| {
            partition.tickets.issue(Position::new(partition.source.clone(), 0, at), after(at), false)
        };
        let held = [issue(&one, 0), issue(&one, 1)];
        assert!(one.tickets.is_full() && !zero.tickets.is_full() && all.is_full());
        let other = issue(&two, 7);
        assert_eq!((all.issued(), two.tickets.span(), all.settled()), (3, 1, 0));
        assert_eq!(all.nack_count(), 0);
        drop(other);
        all.nacked().await;
        assert_eq!((all.nack_count(), zero.tickets.nack_count()), (1, 1));
        all.stopping();
        drop(held);
        assert_eq!(all.nack_count(), 1, "what is abandoned by a line that stops is nobody's defect");
    }
}
