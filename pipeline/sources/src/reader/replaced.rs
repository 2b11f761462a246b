//! Handles a file that was truncated or replaced while it was read: its copy is read on, or the loss is recorded.

use tracing::info;

use super::{Reader, Step};
use crate::{ReadFault, tail::Tail};

impl Reader {
    /// The file was truncated. A copy made before (copytruncate) may hold its unread rest.
    pub(super) fn truncated(&mut self) -> Result<Step, ReadFault> {
        let Some(tail) = &mut self.tail else { return Ok(Step::Retry) };
        self.counts.truncation();
        self.leaving = None;
        let (lost, position, epoch) = (tail.identity(), tail.position, self.epoch.unwrap_or(0));
        let not = |tail: &Tail| self.known_files.is_another(tail, epoch);
        let copies = &self.search.siblings;
        if let Some(copy) = copies.marked(&lost, position, not)? {
            info!(path = %tail.path().display(), copy = %copy.path().display(), position, "the file was truncated: its rest comes from its copy");
            self.tail = Some(copy);
            // The same bytes at the same offsets: neither the epoch nor a line in progress ends here.
            return Ok(Step::Retry);
        }
        let is_whole = copies.marked(&lost, 0, not)?.is_some();
        tail.restart()?;
        let (again, identity) = (tail.begins(&lost), tail.identity());
        if !is_whole {
            self.record_loss(epoch, position, "it was truncated, and no copy of it is found");
        }
        self.known_files.leave(epoch, position);
        if again {
            // Its beginning does not distinguish it from before, so no search would find it.
            let fresh = self.known_files.fresh(self.epoch);
            self.known_files.meet(fresh, identity);
            self.epoch = Some(fresh);
        } else {
            self.tail = None;
        }
        Ok(Step::NextFile)
    }

    /// The rest of a compressed file cannot be decompressed.
    pub(super) fn damaged(&mut self, why: &str) -> Step {
        if let (Some(tail), Some(epoch)) = (self.tail.take(), self.epoch) {
            let what = format!("{} cannot be decompressed: {why}", tail.path().display());
            self.record_loss(epoch, tail.position, &what);
            self.known_files.leave(epoch, tail.position);
        }
        Step::NextFile
    }

    /// The log at the path, if it is a longer copy of the current file.
    pub(super) fn grown_copy(&self) -> Result<Option<Tail>, ReadFault> {
        let (Some(tail), Some(current)) = (&self.tail, Tail::open(&self.path)?) else { return Ok(None) };
        let mark = tail.identity();
        let is_copy = mark.is_full() && current.begins(&mark) && current.inode != tail.inode;
        if !is_copy || current.metadata()?.len() <= tail.position {
            return Ok(None);
        }
        let (mut current, offset) = (current, tail.position);
        Ok(current.reach(offset)?.then_some(current))
    }
}
