//! The simulated source: a partition of the log, read from the checkpoint on. It gives an entry once it is appended.

use std::{sync::Arc, time::Duration};

use futures::{Stream, stream};
use line::{Cursor, SourceFault, SourcePartition, SourceRecord};
use stages::models::RawRecord;
use state::{Clock, Position};
use tokio::time::sleep;

use crate::{log::source_name, planted::Planted, trace::Step, world::World};

/// A partition of the log as a source.
pub(crate) struct LogSource {
    pub(crate) world: World,
    pub(crate) partition: usize,
    /// Where it was left.
    pub(crate) from: u64,
    pub(crate) ends: Ends,
    pub(crate) clock: Clock,
}

/// Where a source ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// It waits for more.
    Never,
    /// Behind the last entry that is appended when it gets there.
    AtWhatIsThere,
    /// Behind the last entry of all.
    AtTheLast,
}

impl LogSource {
    /// The partition as the line takes it.
    pub(crate) fn partition(
        self,
    ) -> SourcePartition<impl Stream<Item = Result<SourceRecord, SourceFault>> + Send + 'static> {
        let (name, from) = (source_name(self.partition), self.from);
        let records = stream::unfold((self, from), |(source, offset)| async move {
            let record = source.read(offset).await?;
            Some((Ok(record), (source, offset + 1)))
        });
        // Few records, so that the promise is renewed now and then.
        SourcePartition::new(name.into(), records).with_horizon_step(16)
    }

    async fn read(&self, offset: u64) -> Option<SourceRecord> {
        let log = &self.world.plan().log;
        let Some(number) = log.at(self.partition, offset) else {
            if self.ends == Ends::Never {
                std::future::pending::<()>().await;
            }
            return None;
        };
        let now = self.world.state().now();
        let wait = log.appended(number).saturating_sub(now);
        if wait > 0 {
            if self.ends == Ends::AtWhatIsThere {
                return None;
            }
            sleep(Duration::from_millis(wait)).await;
        }
        if !self.world.step(Step::Read { number }) {
            std::future::pending::<()>().await;
        }
        let bytes =
            log.body(self.world.planted().map_or(number, |planted| planted.swaps(log, number))).clone();
        let position = Position::new(source_name(self.partition).into(), 0, offset);
        let raw = RawRecord::whole(position, bytes, self.clock.monotonic());
        let ahead = u64::from(self.world.planted() == Some(Planted::CheckpointAhead));
        let next = Cursor { epoch: 0, offset: offset + 1 + ahead, mark: Arc::from([1]) };
        Some(SourceRecord { raw, next })
    }
}
