//! How full the disk queues are, and whether a delivery finds room. One rule for a running line
//! and for a state directory that no process has open.

/// The bytes of one broker's disk queue and of all of them, and the most they may be.
#[derive(Clone, Copy, Debug)]
pub struct SpillCapacity {
    /// Bytes of the broker's queue.
    pub queue: u64,
    /// The most that may be.
    pub queue_max: u64,
    /// Bytes of all brokers' queues.
    pub total: u64,
    /// The most that may be.
    pub total_max: u64,
}

impl SpillCapacity {
    /// Whether `bytes` more fit.
    #[must_use]
    pub fn has_room(self, bytes: u64) -> bool {
        self.fits(bytes, 1)
    }

    /// Whether a dead letter of `bytes` may come back: it leaves half of both bounds to what comes, which would otherwise
    /// wait in memory, at everyone's cost. One that takes more finds room when nothing else waits (`alone`).
    #[must_use]
    pub fn has_room_for_letter(self, bytes: u64, alone: bool) -> bool {
        self.fits(bytes, 2) || (alone && self.has_room(bytes))
    }

    /// Whether `bytes` more fit into one of so many equal parts of both bounds.
    fn fits(self, bytes: u64, parts: u64) -> bool {
        self.queue + bytes <= self.queue_max / parts && self.total + bytes <= self.total_max / parts
    }
}
