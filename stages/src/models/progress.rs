//! How far a delivery has come, shared between the line that queues it and the stages that carry it out.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU8, Ordering},
};

use parking_lot::Mutex;
use state::{Claim, LedgerKey, Mark, StateFault};

const LIVE: u8 = 0;
const SPILLED: u8 = 1;
const RECORDING: u8 = 2;
const RECORDING_SPILLED: u8 = 3;

/// Whether a delivery stands on disk, and whether its verdict is being recorded; holds its claim until it is dropped
/// with the last clone of the delivery, which is after the verdict has been recorded; and its place in the attempts
/// journal, from its first attempt until its outcome is on record.
#[derive(Debug, Default)]
pub struct Progress {
    claim: OnceLock<Claim>,
    mark: Mutex<Option<Mark>>,
    state: AtomicU8,
    probe: AtomicBool,
    /// Whether an attempt was counted as a possible repeat after which nothing can have arrived.
    counted: AtomicBool,
    /// Whether it was counted that an earlier run may have sent it.
    after_crash: AtomicBool,
    given_up: AtomicBool,
}

impl Progress {
    /// The progress of a delivery that comes back from the spill.
    pub(crate) fn spilled() -> Self {
        Self { state: AtomicU8::new(SPILLED), ..Self::default() }
    }

    /// The progress of the same delivery when it goes back to wait for another attempt: where it stands is kept, the
    /// claim is not. A delivery that waits with a claim could wait behind one that waits for the claim.
    pub(crate) fn put_back(&self) -> Self {
        let fresh = if self.is_spilled() { Self::spilled() } else { Self::default() };
        Self {
            mark: Mutex::new(self.take_mark()),
            counted: AtomicBool::new(self.counted.load(Ordering::Relaxed)),
            after_crash: AtomicBool::new(self.after_crash.load(Ordering::Relaxed)),
            ..fresh
        }
    }

    /// Notes in the attempts journal that an attempt goes out, unless it stands there already.
    pub(crate) fn mark(&self) -> Result<(), StateFault> {
        // One that was not claimed is not the ledger's.
        let Some(claim) = self.claim.get() else { return Ok(()) };
        let mut mark = self.mark.lock();
        if mark.is_none() {
            *mark = Some(claim.mark()?);
        }
        Ok(())
    }

    /// Its place in the attempts journal, if it has one, for whoever sees to it that it is given up.
    #[must_use]
    pub fn take_mark(&self) -> Option<Mark> {
        self.mark.lock().take()
    }

    /// Notes that the attempt has failed, and whether anything can have arrived.
    pub(crate) fn note_failure(&self, may_have_arrived: bool) {
        if may_have_arrived {
            self.counted.store(false, Ordering::Relaxed);
        }
    }

    /// Whether an earlier run may have sent it, by the attempts journal.
    pub(crate) fn is_unresolved(&self) -> bool {
        self.claim.get().is_some_and(Claim::is_unresolved)
    }

    /// Whether this attempt has to be counted: none that follows a counted one after which nothing can have arrived.
    pub(crate) fn count(&self) -> bool {
        !self.counted.swap(true, Ordering::Relaxed)
    }

    /// Whether it has to be counted that an earlier run may have sent it: once.
    pub(crate) fn count_after_crash(&self, in_doubt: bool) -> bool {
        let unresolved = self.claim.get().is_some_and(Claim::count_once);
        let first = !self.after_crash.swap(true, Ordering::Relaxed);
        unresolved || (in_doubt && first)
    }

    /// Keeps the claim until the delivery is settled, put back or leaves memory.
    pub(crate) fn keep(&self, claim: Claim) {
        drop(self.claim.set(claim));
    }

    /// What has been claimed for it, if anything has.
    pub(crate) fn claimed(&self) -> Option<&LedgerKey> {
        self.claim.get().map(Claim::key)
    }

    /// Notes whether the delivery is the one that finds out how a broker is doing.
    pub fn set_probe(&self, probe: bool) {
        self.probe.store(probe, Ordering::Relaxed);
    }

    /// Whether it is: then it goes on although its broker is held.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.probe.load(Ordering::Relaxed)
    }

    /// Notes that the delivery is given up: it found no room on its broker's disk queue.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether it is: then it is not attempted any more.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Whether the delivery stands on disk, so that its verdict must remove it there.
    #[must_use]
    pub fn is_spilled(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), SPILLED | RECORDING_SPILLED)
    }

    /// Notes that the delivery is being written to disk; false if its verdict is being recorded already, so that it
    /// must not be.
    pub fn spill(&self) -> bool {
        self.change(LIVE, SPILLED) || self.state.load(Ordering::Acquire) == SPILLED
    }

    /// Notes that the verdict is being recorded, and gives whether the delivery stands on disk. From here on it will
    /// not be spilled.
    pub(crate) fn begin_recording(&self) -> bool {
        if self.change(LIVE, RECORDING) {
            return false;
        }
        self.change(SPILLED, RECORDING_SPILLED);
        self.is_spilled()
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_spilled_or_recorded_first_and_the_other_knows() {
        let first_spilled = Progress::default();
        assert!(first_spilled.spill());
        assert!(first_spilled.begin_recording(), "its verdict must remove it from disk");
        let first_recorded = Progress::default();
        assert!(!first_recorded.begin_recording());
        assert!(!first_recorded.spill(), "a delivery whose verdict is being recorded went to disk");
        assert!(!first_recorded.is_spilled());
        let returned = Progress::spilled();
        assert!(returned.is_spilled() && returned.spill() && returned.begin_recording());
    }
}
