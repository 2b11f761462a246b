//! Partitions on their way to the line: the member gives, the line takes, and what is taken away before it was taken is
//! never seen by it. At most as many wait as the topic has partitions.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{Stream, stream::BoxStream, task::AtomicWaker};
use line::{SourcePartition, SourceRecord};
use parking_lot::Mutex;

use crate::fault::KafkaFault;

/// The records of a partition.
pub type RecordStream = BoxStream<'static, Result<SourceRecord, KafkaFault>>;

/// The partitions of a topic, as they are assigned. Never ends; a fault is the last item.
#[derive(Clone, Default)]
pub struct AssignedPartitions(Arc<Inside>);

#[derive(Default)]
struct Inside {
    waiting: Mutex<Waiting>,
    wake: AtomicWaker,
}

#[derive(Default)]
struct Waiting {
    partitions: VecDeque<SourcePartition<RecordStream>>,
    fault: Option<KafkaFault>,
    failed: bool,
}

impl AssignedPartitions {
    /// Gives a partition.
    pub(crate) fn give(&self, partition: SourcePartition<RecordStream>) {
        self.0.waiting.lock().partitions.push_back(partition);
        self.0.wake.wake();
    }

    /// Takes the partition `source` back, if the line has not taken it.
    pub(crate) fn take_back(&self, source: &str) -> bool {
        let mut waiting = self.0.waiting.lock();
        let found = waiting.partitions.iter().position(|partition| &*partition.name == source);
        found.and_then(|at| waiting.partitions.remove(at)).is_some()
    }

    /// Ends the run with `fault`; the first counts.
    pub(crate) fn fail(&self, fault: KafkaFault) {
        let mut waiting = self.0.waiting.lock();
        if !waiting.failed {
            (waiting.failed, waiting.fault) = (true, Some(fault));
        }
        drop(waiting);
        self.0.wake.wake();
    }
}

impl Stream for AssignedPartitions {
    type Item = Result<SourcePartition<RecordStream>, KafkaFault>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.wake.register(context.waker());
        let mut waiting = self.0.waiting.lock();
        if let Some(fault) = waiting.fault.take() {
            return Poll::Ready(Some(Err(fault)));
        }
        match waiting.partitions.pop_front() {
            Some(partition) if !waiting.failed => Poll::Ready(Some(Ok(partition))),
            _ if waiting.failed => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }
}
