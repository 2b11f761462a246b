//! What comes with a partition whose state follows it: outcomes, which are merged into the ledger, and deliveries that wait,
//! which take their way to their brokers' queues before the partition's first record.
//!
//! Guarantees: nothing of the partition is read, and nothing of it that waits is sent, before all outcomes are merged and
//! what an earlier stay has left here is gone; a partition that is taken away meanwhile is restored no further.

use futures::{Stream, StreamExt, stream};
use state::{Horizon, Ledger, LedgerEntry, LedgerKey, Record, Restored, SpilledDelivery};

use super::{
    fault::LineFault,
    partitions::{Partition, Partitions},
    taken::{Ingested, Taken},
};
use crate::source::RestoredStream;

/// How many outcomes are merged in one commit.
const MERGE_MAX: usize = 4_096;

/// The deliveries of a partition that come with it. What else is restored is on record before the first of them is given.
pub(super) fn restored(
    from: RestoredStream,
    partition: Partition,
    partitions: Partitions,
    ledger: Ledger,
) -> impl Stream<Item = Ingested> + Send + 'static {
    let restoring = Restoring {
        from,
        partition,
        partitions,
        ledger,
        outcomes: Vec::new(),
        begun: false,
        may_repeat: false,
        ended: false,
    };
    stream::unfold(restoring, async |mut restoring| {
        if restoring.ended {
            return None;
        }
        let item = restoring.next().await;
        restoring.ended = matches!(item, Err(_) | Ok(None));
        Some((item.transpose()?, restoring))
    })
}

/// A partition on its way in.
struct Restoring {
    from: RestoredStream,
    partition: Partition,
    partitions: Partitions,
    ledger: Ledger,
    /// Those that are still to be merged.
    outcomes: Vec<(LedgerKey, LedgerEntry)>,
    begun: bool,
    /// Whether what waits may have been sent by whoever had the partition.
    may_repeat: bool,
    ended: bool,
}

impl Restoring {
    /// The next delivery; none once there are no more, or the partition has been taken away.
    async fn next(&mut self) -> Result<Option<Taken>, LineFault> {
        if !self.begun {
            self.partitions.departed(&self.partition.source).await;
            self.begun = true;
        }
        loop {
            let item = tokio::select! {
                biased;
                () = self.partition.tickets.taken() => return Ok(None),
                item = self.from.next() => item,
            };
            match item.transpose()? {
                None => {
                    self.merge().await?;
                    return Ok(None);
                }
                Some(Restored::Outcome { broker, event_id, entry }) => {
                    self.outcomes.push((LedgerKey::new(&broker, &event_id), entry));
                    if self.outcomes.len() >= MERGE_MAX {
                        self.merge().await?;
                    }
                }
                Some(Restored::Left(left)) => self.hold(left).await?,
                Some(Restored::Waiting(delivery)) => {
                    self.ledger.vouch(&delivery).await?;
                    return Ok(self.give(*delivery));
                }
            }
        }
    }

    async fn merge(&mut self) -> Result<(), LineFault> {
        if self.outcomes.is_empty() {
            return Ok(());
        }
        Ok(self.ledger.restore(std::mem::take(&mut self.outcomes)).await?)
    }

    /// All outcomes are there: from here on what becomes of the partition goes to its log.
    async fn hold(&mut self, left: Option<Horizon>) -> Result<(), LineFault> {
        self.merge().await?;
        let source = &self.partition.source;
        self.may_repeat = left.is_some();
        let doubt = match left {
            Some(doubt) => Record::Doubt(source.clone(), doubt),
            // One of an earlier stay here.
            None => Record::DoubtPassed(source.clone()),
        };
        let _proof = self.ledger.record(doubt).await?;
        self.partitions.hold(&self.partition, &self.ledger);
        if !self.ledger.is_followed(source)? {
            self.partitions.adopt(source).await;
        }
        Ok(())
    }

    fn give(&self, delivery: SpilledDelivery) -> Option<Taken> {
        let mut delivery = self.ledger.by_own_time(delivery);
        delivery.may_repeat |= self.may_repeat;
        let ticket = self.partition.tickets.restore(delivery.event.position.clone())?;
        Some(Taken::Restored(Box::new(delivery), ticket))
    }
}
