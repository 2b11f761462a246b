//! The simulated log: gives each event once it is appended, for ever.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, stream};
use line::{Cursor, SourceFault, SourcePartition, SourceRecord};
use stages::models::RawRecord;
use state::{Clock, Position};
use tokio::time::{Instant, sleep_until};

use super::plan::{Plan, Turns};

/// The name of the log.
const NAME: &str = "rehearsal/0";

/// What the ids of the loads of a broker begin with: it gets these alone.
pub(super) fn prefix(broker: usize) -> String {
    format!("B{broker}-")
}

/// The log of `plan`, which began at `start`.
pub(super) fn log(
    plan: Arc<Plan>,
    clock: Clock,
    start: Instant,
) -> SourcePartition<impl Stream<Item = Result<SourceRecord, SourceFault>> + Send + 'static> {
    let name: Arc<str> = NAME.into();
    let source = (Turns::new(&plan), 0_u64, plan, clock);
    let of = name.clone();
    let records = stream::unfold(source, move |(mut turns, number, plan, clock)| {
        let name = of.clone();
        async move {
            let due = start + plan.appended_at(number);
            if due > Instant::now() {
                sleep_until(due).await;
            }
            let bytes = body(&plan, number, turns.take());
            let raw = RawRecord::whole(Position::new(name, 0, number), bytes, clock.monotonic());
            let next = Cursor { epoch: 0, offset: number + 1, mark: Arc::from([1]) };
            Some((Ok(SourceRecord { raw, next }), (turns, number + 1, plan, clock)))
        }
    });
    SourcePartition::new(name, records)
}

fn body(plan: &Plan, number: u64, broker: usize) -> Bytes {
    let (lane, load) = (prefix(broker), plan.load(number));
    let mut text = format!(
        r#"{{"eventId":"e{number}","loadId":"{lane}{load}","status":"posted","occurredAt":"2023-11-14T22:13:20Z","note":""#
    );
    let rest = plan.body.saturating_sub(text.len() + 2);
    text.extend(std::iter::repeat_n('x', rest));
    text.push_str("\"}");
    text.into()
}
