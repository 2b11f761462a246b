//! The state of one delivery's run through the stages: its claim, its place in the attempts journal, and which
//! possible repeats were counted.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use state::{Claim, LedgerKey, Mark, StateFault};

/// The claim of a delivery, until its verdict is recorded; its slot in the attempts journal, from its first attempt
/// until its outcome is recorded; and which possible repeats were counted. Shared by the stages and the recording of
/// the verdict. The queues do not use it: what a run leaves to the next one is in its end, as [`Leftover`].
#[derive(Debug, Default)]
pub struct RunState {
    claim: OnceLock<Claim>,
    mark: Mutex<Option<Mark>>,
    /// Whether an attempt was counted as a possible repeat, and nothing can have arrived since.
    counted: AtomicBool,
    /// Whether a possible repeat of an earlier process was counted.
    after_crash: AtomicBool,
    /// Whether it was requested to begin no attempt.
    halted: AtomicBool,
}

/// What a run that ended without a verdict leaves to the next run of the same delivery. The claim is released: a
/// delivery that waits with a claim could wait behind one that waits for that claim.
#[derive(Debug, Default)]
#[must_use = "the next run needs it"]
pub struct Leftover {
    mark: Option<Mark>,
    counted: bool,
    after_crash: bool,
}

impl RunState {
    /// The state of the next run.
    #[must_use]
    pub fn after(left: Leftover) -> Self {
        let Leftover { mark, counted, after_crash } = left;
        Self {
            claim: OnceLock::new(),
            mark: Mutex::new(mark),
            counted: AtomicBool::new(counted),
            after_crash: AtomicBool::new(after_crash),
            halted: AtomicBool::new(false),
        }
    }

    /// Ends this run; returns what the next one needs.
    pub fn leave(&self) -> Leftover {
        Leftover {
            mark: self.take_mark(),
            counted: self.counted.load(Ordering::Relaxed),
            after_crash: self.after_crash.load(Ordering::Relaxed),
        }
    }

    /// Writes the attempt to the attempts journal, unless it is there already.
    pub(crate) fn mark(&self) -> Result<(), StateFault> {
        // A delivery without a claim is not in the ledger.
        let Some(claim) = self.claim.get() else { return Ok(()) };
        let mut mark = self.mark.lock();
        if mark.is_none() {
            *mark = Some(claim.mark()?);
        }
        Ok(())
    }

    /// Requests that it begins no attempt. The caller wakes it, see [`Halt`](crate::Halt).
    pub(crate) fn halt(&self) {
        self.halted.store(true, Ordering::Release);
    }

    /// Whether that was requested.
    pub(crate) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Acquire)
    }

    /// Takes its slot in the attempts journal, if it has one. The caller must release it.
    #[must_use]
    pub fn take_mark(&self) -> Option<Mark> {
        self.mark.lock().take()
    }

    /// Records that the attempt has failed, and whether anything can have arrived.
    pub(crate) fn note_failure(&self, may_have_arrived: bool) {
        if may_have_arrived {
            self.counted.store(false, Ordering::Relaxed);
        }
    }

    /// Whether an earlier process may have sent it, according to the attempts journal.
    pub(crate) fn is_unresolved(&self) -> bool {
        self.claim.get().is_some_and(Claim::is_unresolved)
    }

    /// Whether a possible repeat must be counted: not if one was counted and nothing can have arrived since.
    pub(crate) fn count(&self) -> bool {
        !self.counted.swap(true, Ordering::Relaxed)
    }

    /// Whether a possible repeat of an earlier process must be counted: once.
    pub(crate) fn count_after_crash(&self, in_doubt: bool) -> bool {
        let unresolved = self.claim.get().is_some_and(Claim::count_once);
        let first = !self.after_crash.swap(true, Ordering::Relaxed);
        unresolved || (in_doubt && first)
    }

    /// Holds the claim until the delivery is settled, put back or leaves memory.
    pub(crate) fn keep(&self, claim: Claim) {
        drop(self.claim.set(claim));
    }

    /// The claimed key, if there is a claim.
    pub(crate) fn claimed(&self) -> Option<&LedgerKey> {
        self.claim.get().map(Claim::key)
    }
}
