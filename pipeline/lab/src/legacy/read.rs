//! Reads the log, a file that grows, into the partitions, in order. No more than `held_max` records are held; at that,
//! reading waits for a commit.

use std::{convert::Infallible, fs::File, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use state::Clock;

use super::{LegacyFault, consumer::Shared, event::Event};
use sources::{FileMemory, FileOptions, FileSource};

/// How often the file is looked at for more: the delay of a fetch, and little enough to be none in a report.
const POLL: Duration = Duration::from_millis(20);

/// Follows the log until it is dropped.
pub(super) async fn follow(shared: &Shared) -> Result<Infallible, LegacyFault> {
    let rotated = || LegacyFault::Rotated { path: shared.path.clone() };
    let options = FileOptions { poll: POLL, ..FileOptions::default() };
    let source = FileSource::open(&shared.path, true, FileMemory::default(), options, Clock::System).await?;
    let mut records = pin!(source.into_stream());
    while let Some(record) = records.next().await {
        let raw = record?.raw;
        if raw.position.epoch > 0 {
            return Err(rotated());
        }
        if shared.log.get().is_none() {
            let log = File::open(&shared.path).map_err(|detail| LegacyFault::Log {
                path: shared.path.clone(),
                at: raw.position.offset,
                detail,
            })?;
            // Nobody else sets it.
            shared.log.get_or_init(|| Arc::new(log));
        }
        while shared.group.lock().held() >= shared.held_max {
            tokio::time::sleep(POLL).await;
        }
        let load_id = Event::parse(&raw.bytes).ok().and_then(|event| event.load_id);
        let len = u32::try_from(raw.bytes.len()).unwrap_or(u32::MAX);
        shared.group.lock().append(load_id.as_deref(), raw.position.offset, len);
        shared.grown.send_replace(());
        // A backlog is read without a wait; the others must come to their turn.
        tokio::task::consume_budget().await;
    }
    Err(rotated())
}
