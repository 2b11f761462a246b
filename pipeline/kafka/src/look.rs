//! Looks at the ends of all partitions and at the group's offsets from time to time, whether or not anyone takes records:
//! the lag must be known best when the line is full.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use topics::Checkpoints;

use crate::{consumer::Consumer, member::Member};

/// How often the logs' ends are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often a lag is logged.
const TELL_EVERY: Duration = Duration::from_secs(60);

impl<C: Consumer, K: Checkpoints> Member<C, K> {
    /// Commits as often as the options say; never ends.
    pub(crate) async fn commit_on(&self) {
        let mut ticks = interval(self.options.commit_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.commit_settled().await;
        }
    }

    /// Looks and tells; never ends.
    pub(crate) async fn look_on(&self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Instant::now();
        loop {
            ticks.tick().await;
            self.look().await;
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                self.tell();
            }
        }
    }

    /// Looks once.
    pub(crate) async fn look(&self) {
        // Also one that gets none of the partitions that were added must know of them: its portion is smaller by then.
        if let Ok(count) = self.consumer.count().await {
            self.set_partitions(count);
        }
        let count = i32::try_from(self.counts.partitions()).unwrap_or(i32::MAX);
        let all: Vec<i32> = (0..count).collect();
        let streams: Vec<_> = self.partitions().into_iter().map(|counts| (counts.stream(), counts)).collect();
        let bounds = self.all_bounds(&all).await;
        for (stream, counts) in streams {
            let seen = bounds.get(counts.partition() as usize).copied().flatten();
            let (Some(stream), None) = (stream, counts.halted()) else { continue };
            match seen {
                Some(bounds) => {
                    let _same = counts.looked(stream, Ok::<u64, &&str>(bounds.end));
                }
                None => {
                    let _same = counts.looked(stream, Err(&"the partition's leader does not answer"));
                }
            }
        }
        if bounds.iter().any(Option::is_some) {
            self.outage.over();
        }
        if !self.in_group() || all.is_empty() {
            return;
        }
        let Ok(committed) = self.consumer.committed(all).await else {
            return self.counts.set_lag(None);
        };
        let behind = bounds.iter().zip(0..).map(|(bounds, partition)| {
            let bounds = (*bounds)?;
            let committed = committed.iter().find(|offset| offset.partition == partition);
            Some(bounds.end.saturating_sub(committed.map_or(bounds.start, |offset| offset.offset)))
        });
        self.counts.set_lag(behind.sum());
    }

    fn tell(&self) {
        for counts in self.partitions() {
            let (source, unread) = (counts.source(), counts.unread());
            if let Some(age_ms) = counts.unread_age(self.clock.now()).filter(|_| unread > 0) {
                tracing::info!(%source, unread, age_ms, "the partition has records that have not been read");
            }
        }
    }
}
