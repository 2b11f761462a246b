//! Gathers what attempts of one broker send at about the same time, for a broker that takes several events in one post.
//!
//! The first to come waits for others until the batch is full or its time is over, sends it, and tells the others what came
//! of it. A batch has at least one part and at most as many parts and bytes as the broker takes.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use super::failure;
use crate::models::{Failure, Ordinal};

/// How many events are sent in one post, and how long the first of them waits for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPolicy {
    /// The most events in one.
    pub max: usize,
    /// The longest wait of the first.
    pub wait: Duration,
    /// The most bytes of bodies in one; a larger event goes alone.
    pub bytes_max: usize,
}

/// What one event brings to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The event's id.
    pub(crate) event_id: Arc<str>,
    /// What is made of it.
    pub(crate) body: Bytes,
    /// Which of its delivery's attempts this is.
    pub(crate) ordinal: Ordinal,
}

/// What came of a batch.
pub(crate) type Outcome = Result<StatusCode, Failure>;

/// The batches of one broker.
#[derive(Debug)]
pub(crate) struct Batches {
    policy: BatchPolicy,
    /// The one that takes more.
    open: Mutex<Option<Arc<Gathering>>>,
}

#[derive(Debug)]
struct Gathering {
    parts: Mutex<Vec<Part>>,
    full: Notify,
    outcome: watch::Sender<Option<Outcome>>,
}

/// How a part was taken in.
enum Place {
    /// As the first one: it sends the batch.
    First(Arc<Gathering>),
    /// With others: it hears what comes of it.
    With(watch::Receiver<Option<Outcome>>),
}

impl Batches {
    pub(crate) fn new(policy: BatchPolicy) -> Self {
        Self { policy, open: Mutex::default() }
    }

    /// The longest wait of the first.
    pub(crate) fn wait(&self) -> Duration {
        self.policy.wait
    }

    /// Sends `part` with others by `post`, which the first of them calls with all parts, in the order in which they came.
    pub(crate) async fn send<F>(&self, part: Part, post: impl FnOnce(Vec<Part>) -> F) -> Outcome
    where
        F: Future<Output = Outcome>,
    {
        match self.place(part) {
            Place::First(gathering) => {
                let first = First { batches: self, gathering };
                let until = Instant::now() + self.policy.wait;
                tokio::select! {
                    () = first.gathering.full.notified() => {}
                    () = sleep_until(until) => {}
                }
                let outcome = post(self.closed(&first.gathering)).await;
                // Where there are no others nobody hears it.
                first.gathering.outcome.send_replace(Some(outcome.clone()));
                outcome
            }
            Place::With(mut outcome) => match outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(abandoned())),
                // The first one was cut off, perhaps on the wire.
                Err(_) => Err(abandoned()),
            },
        }
    }

    fn place(&self, part: Part) -> Place {
        let BatchPolicy { max, bytes_max, .. } = self.policy;
        let mut open = self.open.lock();
        if let Some(gathering) = &*open {
            let mut parts = gathering.parts.lock();
            let bytes: usize = parts.iter().map(|part| part.body.len()).sum();
            if parts.len() < max && bytes + part.body.len() <= bytes_max {
                parts.push(part);
                if parts.len() == max {
                    gathering.full.notify_one();
                }
                return Place::With(gathering.outcome.subscribe());
            }
            gathering.full.notify_one();
        }
        let gathering = Arc::new(Gathering {
            parts: Mutex::new(vec![part]),
            full: Notify::new(),
            outcome: watch::Sender::new(None),
        });
        if max == 1 {
            gathering.full.notify_one();
        }
        *open = Some(gathering.clone());
        Place::First(gathering)
    }

    /// The parts of a batch that takes no more.
    fn closed(&self, gathering: &Arc<Gathering>) -> Vec<Part> {
        let mut open = self.open.lock();
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, gathering)) {
            *open = None;
        }
        std::mem::take(&mut *gathering.parts.lock())
    }
}

/// Closes its batch however it ends, so that nobody joins one that is not sent, or waits for what never comes of it.
struct First<'b> {
    batches: &'b Batches,
    gathering: Arc<Gathering>,
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        drop(self.batches.closed(&self.gathering));
    }
}

/// The batch was given up with its first event.
fn abandoned() -> Failure {
    failure::transient("the batch was cut off", None, true)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use tokio::time::{sleep, timeout};

    use super::*;

    const OK: Outcome = Ok(StatusCode::OK);

    fn batches(max: usize) -> Arc<Batches> {
        let wait = Duration::from_secs(1);
        Arc::new(Batches::new(BatchPolicy { max, wait, bytes_max: 100 }))
    }

    fn part(len: usize) -> Part {
        let ordinal = Ordinal { attempt: 1, may_repeat: false };
        Part { event_id: "e".into(), body: vec![b'1'; len].into(), ordinal }
    }

    /// Sends parts of these lengths, all at once, to a receiver that takes so long and answers so; returns the lengths in
    /// each batch, in the order in which the batches were sent, and how long all of it took.
    async fn sent(
        batches: &Arc<Batches>,
        lens: &[usize],
        (takes, answer): (Duration, Outcome),
    ) -> (Vec<Vec<usize>>, Duration) {
        let (posted, begun) = (Arc::<Mutex<Vec<_>>>::default(), Instant::now());
        let one = |len: &usize| {
            let (batches, posted, part, answer) =
                (batches.clone(), posted.clone(), part(*len), answer.clone());
            tokio::spawn(async move {
                let post = |parts: Vec<Part>| async move {
                    posted.lock().push(parts.iter().map(|part| part.body.len()).collect::<Vec<_>>());
                    sleep(takes).await;
                    answer
                };
                batches.send(part, post).await
            })
        };
        let tasks: Vec<_> = lens.iter().map(one).collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), answer, "all hear what came of it");
        }
        (posted.lock().clone(), begun.elapsed())
    }

    const AT_ONCE: (Duration, Outcome) = (Duration::ZERO, OK);

    #[tokio::test(start_paused = true)]
    async fn a_batch_goes_when_it_is_full_or_its_first_event_has_waited() {
        let (parts, took) = sent(&batches(3), &[1; 6], AT_ONCE).await;
        assert_eq!((parts, took.as_secs()), (vec![vec![1; 3]; 2], 0));
        let (parts, took) = sent(&batches(3), &[1; 4], AT_ONCE).await;
        assert_eq!((parts, took.as_secs()), (vec![vec![1; 3], vec![1]], 1));
        let (parts, took) = sent(&batches(1), &[1; 2], AT_ONCE).await;
        assert_eq!((parts, took.as_secs()), (vec![vec![1]; 2], 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_has_no_more_bytes_than_are_allowed_and_a_larger_event_goes_alone() {
        let (mut parts, _) = sent(&batches(10), &[60, 60, 40, 500, 1], AT_ONCE).await;
        parts.sort();
        assert_eq!(parts, [vec![1], vec![60], vec![60, 40], vec![500]]);
    }

    #[tokio::test(start_paused = true)]
    async fn all_hear_of_a_failure_and_another_batch_gathers_while_one_is_on_the_wire() {
        let slow = (Duration::from_secs(60), Err(failure::transient("reset", None, true)));
        let (parts, took) = sent(&batches(2), &[1; 6], slow).await;
        assert_eq!((parts.len(), took.as_secs()), (3, 60));
    }

    /// Whether it is not ready yet.
    async fn waits(future: Pin<&mut (impl Future<Output = Outcome> + ?Sized)>) -> bool {
        timeout(Duration::ZERO, future).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_whose_first_event_is_cut_off_lets_no_other_wait_for_ever() {
        for on_the_wire in [false, true] {
            let batches = batches(if on_the_wire { 2 } else { 3 });
            let never = |_| std::future::pending();
            let mut first = Box::pin(batches.send(part(1), never));
            assert!(waits(first.as_mut()).await);
            let mut other = Box::pin(batches.send(part(1), never));
            assert!(waits(other.as_mut()).await && waits(first.as_mut()).await);
            drop(first);
            let cut_off = other.await.unwrap_err();
            assert!(cut_off.may_have_arrived, "{cut_off:?}");
            assert_eq!(sent(&batches, &[1], AT_ONCE).await.0, [vec![1]], "the next one is another batch");
        }
    }
}
