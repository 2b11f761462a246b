//! What all partitions whose state follows them share: the topics' readers and writer, and who is told what comes of them.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use state::Restored;

use super::{options::FollowOptions, port::StateWriter, sending::Sending};
use crate::consumer::Consumer;

/// What a local copy of a partition's outcomes reflects: only what came later has to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The epoch under which the partition was this process's.
    pub epoch: u64,
    /// The first offset of the ledger's topic that the copy may not have.
    pub offset: u64,
}

/// A partition that is to be taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Which.
    pub partition: i32,
    /// The epoch under which the group's offset of it was committed, if it says so: the topics must know of it.
    pub committed_under: Option<u64>,
    /// What a local copy has of its outcomes; none to read all of them.
    pub from: Option<Stamp>,
}

/// Called with the name of a partition that somebody else has claimed, on a task of the runtime.
pub type OnSuperseded = Box<dyn Fn(&str) + Send + Sync>;
/// Called with an outcome of a partition of this process's, which whoever had it before has written late: that delivery was
/// made. On a task of the runtime.
pub type OnLate = Box<dyn Fn(&Arc<str>, Restored) + Send + Sync>;

/// What all partitions share.
pub(crate) struct SharedTopics<C: Consumer, W> {
    pub(super) options: FollowOptions,
    pub(super) sending: Arc<Sending<W>>,
    pub(super) ledger: Arc<C>,
    pub(super) waiting: Arc<C>,
    on_superseded: OnceLock<OnSuperseded>,
    on_late: OnceLock<OnLate>,
    claims: AtomicU64,
}

impl<C: Consumer, W: StateWriter> SharedTopics<C, W> {
    pub(super) fn new(options: FollowOptions, ledger: C, waiting: C, writer: W) -> Self {
        let sending = Arc::new(Sending::new(writer, &options));
        let (ledger, waiting) = (Arc::new(ledger), Arc::new(waiting));
        let (on_superseded, on_late, claims) = (OnceLock::new(), OnceLock::new(), AtomicU64::new(0));
        Self { options, sending, ledger, waiting, on_superseded, on_late, claims }
    }

    /// Tells from now on which partitions somebody else has claimed.
    pub(super) fn on_superseded(&self, tell: OnSuperseded) {
        let _first = self.on_superseded.set(tell).is_ok();
    }

    /// Gives late outcomes from now on.
    pub(super) fn on_late(&self, tell: OnLate) {
        let _first = self.on_late.set(tell).is_ok();
    }

    /// How many claims there were before this one.
    pub(super) fn count_claim(&self) -> u64 {
        self.claims.fetch_add(1, Ordering::Relaxed)
    }

    /// A number that no other claim has.
    pub(super) fn nonce(&self) -> u128 {
        let count = self.count_claim();
        u128::from(self.options.seed) << 64 | u128::from(count)
    }

    pub(super) fn superseded(&self, source: &str) {
        if let Some(tell) = self.on_superseded.get() {
            tell(source);
        }
    }

    pub(super) fn late(&self, source: &Arc<str>, restored: Restored) {
        if let Some(tell) = self.on_late.get() {
            tell(source, restored);
        }
    }
}
