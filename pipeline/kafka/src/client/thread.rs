//! The thread that polls: for as long as it runs, this process is a member of its group.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{Message as _, consumer::Consumer as _, error::KafkaError, types::RDKafkaErrorCode};

use super::{
    ClusterConsumer,
    context::{Context, NativeConsumer},
};
use crate::{events::Events, fault::KafkaFault};

/// How long one poll waits for an event: the end of a run is seen so late.
const POLL: Duration = Duration::from_millis(100);
/// How long leaving the group may take, in polls.
const LEAVE_POLLS: u32 = 100;

/// The thread. When this is dropped, it leaves the group and ends by itself.
pub(crate) struct PollThread {
    consumer: ClusterConsumer,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PollThread {
    /// Polls `consumer` and tells `events`.
    ///
    /// # Errors
    /// [`KafkaFault::Interrupted`] if the system gives no thread.
    pub(crate) fn start(consumer: &ClusterConsumer, events: &Arc<dyn Events>) -> Result<Self, KafkaFault> {
        consumer.native.context().follow(events);
        let stop = Arc::new(AtomicBool::new(false));
        let in_group = consumer.in_group;
        let (native, asked) = (Arc::clone(&consumer.native), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name("kafka-poll".to_owned())
            .spawn(move || run(&native, in_group, &asked));
        let thread = thread.map_err(|error| KafkaFault::Interrupted { detail: error.to_string() })?;
        Ok(Self { consumer: consumer.clone(), stop, thread: Some(thread) })
    }

    /// Leaves the group; waits for it off the runtime's threads.
    pub(crate) async fn end(mut self) {
        self.ask();
        if let Some(thread) = self.thread.take() {
            let _ended = tokio::task::spawn_blocking(move || thread.join().is_ok()).await.is_ok();
        }
    }

    fn ask(&self) {
        self.consumer.native.context().closing.store(true, Ordering::Release);
        self.stop.store(true, Ordering::Release);
    }
}

impl Drop for PollThread {
    fn drop(&mut self) {
        self.ask();
    }
}

fn run(native: &Arc<NativeConsumer>, in_group: bool, stop: &AtomicBool) {
    let _guard = LostThread(native);
    while !stop.load(Ordering::Acquire) {
        match native.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                // Each partition has a queue of its own before it is assigned.
                let (partition, offset) = (message.partition(), message.offset());
                let detail = format!("the record at {offset} of partition {partition} came past its queue");
                fail(native.context(), detail, false);
            }
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                let (code, detail) = native.client().fatal_error().unwrap_or((code, code.to_string()));
                let taken = matches!(
                    code,
                    RDKafkaErrorCode::FencedInstanceId | RDKafkaErrorCode::UnreleasedInstanceId
                );
                fail(native.context(), detail, taken);
            }
            // Told by the context, or by the partition's queue.
            Some(Err(_)) => {}
        }
    }
    leave(native, in_group);
}

/// Ends the run if the thread is lost: without it the group gives the partitions to others, and nobody here would know.
struct LostThread<'n>(&'n NativeConsumer);

impl Drop for LostThread<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            fail(self.0.context(), "the thread that polls has panicked".to_owned(), false);
        }
    }
}

fn fail(context: &Context, detail: String, taken: bool) {
    if let Some(events) = context.events() {
        events.failed(detail, taken);
    }
}

/// Gives every partition back and says goodbye, so that the others need not wait for the session's end.
fn leave(native: &NativeConsumer, in_group: bool) {
    if !in_group {
        // Nobody waits for it.
        return;
    }
    native.unsubscribe();
    for _ in 0..LEAVE_POLLS {
        if native.assignment().is_ok_and(|assigned| assigned.count() == 0) {
            return;
        }
        let _event = native.poll(POLL).is_some();
    }
}
