//! What a member asks of the line whose partitions it gives and takes. The line is behind it; the tests put their own
//! there.

use std::sync::Arc;

use futures::future::BoxFuture;
use line::{Cursor, LineHandle};

/// How a partition was taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// How far it is settled; none if nothing of it has been settled.
    pub cursor: Option<Cursor>,
    /// Whether nothing of it can have been sent of which no outcome is on record.
    pub clean: bool,
}

/// The line, as far as partitions come and go.
pub trait PartitionDrain: Send + Sync + 'static {
    /// How far each partition is settled that is the line's now; those of which nothing is settled yet are left out.
    fn settled(&self) -> Vec<(Arc<str>, Cursor)>;

    /// Takes a partition, whose stream has ended, away in good order. Ends when nothing of it is on its way any more, which
    /// the timeout of an attempt bounds.
    fn release<'d>(&'d self, source: &'d str) -> BoxFuture<'d, Drained>;

    /// Takes a partition away at once: somebody else may have it already.
    fn lose(&self, source: &str);
}

impl PartitionDrain for LineHandle {
    fn settled(&self) -> Vec<(Arc<str>, Cursor)> {
        let there = self.partitions().snapshot();
        let settled = there
            .iter()
            .filter_map(|partition| Some((Arc::clone(&partition.source), partition.tickets.watermark()?)));
        settled.collect()
    }

    fn release<'d>(&'d self, source: &'d str) -> BoxFuture<'d, Drained> {
        Box::pin(async move {
            let released = Self::release(self, source).await;
            Drained { cursor: released.cursor, clean: released.clean }
        })
    }

    fn lose(&self, source: &str) {
        Self::lose(self, source);
    }
}
