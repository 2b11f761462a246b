//! How full the disk queues are: a delivery's bytes enter, whether there is room for it leaves. One rule for a running line
//! and for a state directory that no process has open.

/// The bytes of one broker's disk queue and of all of them, and the most they may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    pub(crate) queue: u64,
    pub(crate) queue_max: u64,
    pub(crate) total: u64,
    pub(crate) total_max: u64,
}

impl Fill {
    /// Whether `bytes` more fit.
    pub(crate) fn has_room(self, bytes: u64) -> bool {
        self.fits(bytes, 1)
    }

    /// Whether a dead letter of `bytes` may come back: it leaves half of both bounds to what comes, which would otherwise
    /// wait in memory, at everyone's cost. One that takes more finds room when nothing else waits (`alone`).
    pub(crate) fn has_room_for_letter(self, bytes: u64, alone: bool) -> bool {
        self.fits(bytes, 2) || (alone && self.has_room(bytes))
    }

    /// Whether `bytes` more fit into one of so many equal parts of both bounds.
    fn fits(self, bytes: u64, parts: u64) -> bool {
        self.queue + bytes <= self.queue_max / parts && self.total + bytes <= self.total_max / parts
    }
}
