//! The recorder of a receiver: it is told of each request once, taken or turned away.

use crate::BodyDigest;
use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;
use state::UnixMillis;

use super::{Post, Refusal, Taken, Times};

/// Is told of every request, in the order in which they were judged on their connection.
///
/// It is called on the way to the answer, from many tasks: what takes long here makes the receiver slow, and what
/// blocks here blocks a runtime thread.
pub trait Recorder: Send + Sync {
    /// The event was taken. The answer has not been sent yet, and may never be.
    fn taken(&self, taken: &Taken<'_>);

    /// The caller of a taken request is about to be told `status`. Not called if the caller gave up before.
    fn answered(&self, _taken: &Taken<'_>, _status: StatusCode) {}

    /// A post came whole to a receiver that answers by a rule, and is about to be answered with `status`; none if it is
    /// left without an answer. What became of it is told as well.
    fn posted(&self, _post: Post<'_>, _status: Option<StatusCode>) {}

    /// The request was not taken.
    fn turned_away(&self, _at: UnixMillis, _path: &str, _why: Refusal) {}
}

/// Records nothing; the counts are kept all the same.
impl Recorder for () {
    fn taken(&self, _: &Taken<'_>) {}
}

/// A recorder that keeps the first so many taken requests in memory, for tests and small runs.
#[derive(Debug)]
pub struct Journal {
    max: usize,
    bodies: bool,
    entries: Mutex<Vec<JournalEntry>>,
}

/// A taken request, as a journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// When it was taken.
    pub at: UnixMillis,
    /// The path it was posted to.
    pub path: String,
    /// Its `webhook-id`, or empty.
    pub webhook_id: String,
    /// The event's id, or empty.
    pub event_id: String,
    /// The load, or empty.
    pub load_id: String,
    /// The status, or empty.
    pub status: String,
    /// The body's digest.
    pub digest: BodyDigest,
    /// The body, if the journal keeps bodies.
    pub body: Option<Bytes>,
    /// Whether its id had been taken before.
    pub times: Times,
}

impl Journal {
    /// A journal for at most `max` entries; later requests are not kept.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, bodies: false, entries: Mutex::new(Vec::new()) }
    }

    /// The same, bodies included.
    #[must_use]
    pub fn with_bodies(mut self) -> Self {
        self.bodies = true;
        self
    }

    /// A copy of what has been kept, in the order in which it was taken.
    #[must_use]
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.entries.lock().clone()
    }
}

impl Recorder for Journal {
    fn taken(&self, taken: &Taken<'_>) {
        let peek = taken.peek();
        let entry = JournalEntry {
            at: taken.at,
            path: taken.path.to_owned(),
            webhook_id: taken.webhook_id.to_owned(),
            event_id: peek.event_id.into_owned(),
            load_id: peek.load_id.into_owned(),
            status: peek.status.into_owned(),
            digest: taken.digest,
            body: self.bodies.then(|| taken.body.clone()),
            times: taken.times,
        };
        let mut entries = self.entries.lock();
        if entries.len() < self.max {
            entries.push(entry);
        }
    }
}
