//! What happens in a simulation, step by step: a digest of all steps, which two runs of one seed must share, and the last
//! steps, for whoever looks into a failure.

use std::{
    collections::VecDeque,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

/// How many of the last steps are kept.
const KEPT: usize = 5_000;

/// Something that happened.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Step {
    /// A process starts; the disk has seen so many writes.
    Started {
        run: u64,
        writes: u64,
    },
    /// The source gives an entry to the line.
    Read {
        number: usize,
    },
    /// An attempt begins.
    Posted {
        broker: usize,
        number: usize,
        attempt: u64,
        may_repeat: bool,
        writes: u64,
    },
    /// Its request reaches the receiver.
    Arrived {
        broker: usize,
        number: usize,
        taken: bool,
    },
    /// The answer is back, with its status if there is one.
    Answered {
        broker: usize,
        number: usize,
        status: Option<u16>,
    },
    /// The attempt is given up.
    Closed {
        broker: usize,
        number: usize,
    },
    /// An operator has changed a broker.
    Operated {
        broker: usize,
        paused: bool,
        disabled: bool,
    },
    /// A reload: the config names these brokers now.
    Reloaded {
        listed: Vec<usize>,
    },
    /// Dead letters are sent again.
    Replayed {
        letters: Vec<(usize, usize)>,
    },
    /// The line is asked to stop.
    Stopping,
    /// The process ends in good order.
    Ended {
        records: u64,
        settled: u64,
        abandoned: usize,
        spilled: u64,
    },
    /// The process or the machine dies; so many of the unflushed writes are kept.
    Crashed {
        power: bool,
        kept: usize,
        at_risk: usize,
    },
    /// A process begins on a machine.
    MemberStarted {
        member: usize,
        life: u64,
    },
    /// It has ended in good order.
    MemberEnded {
        member: usize,
    },
    /// It dies.
    MemberCrashed {
        member: usize,
        loses_disk: bool,
    },
    /// The group gives a partition, takes it, has it back, or gives it away without an answer.
    Given {
        member: usize,
        partition: i32,
    },
    Taking {
        member: usize,
        partition: i32,
    },
    Taken {
        member: usize,
        partition: i32,
    },
    Expelled {
        member: usize,
        partition: usize,
    },
    /// A member is cut from the group, or back.
    Cut {
        member: usize,
        deaf: bool,
    },
    Back {
        member: usize,
    },
    /// The state topics take nothing, or do again.
    Stalled(bool),
    /// The receivers are well from now on; bad loads too if this says so.
    Well {
        bad_loads_too: bool,
    },
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    digest: DefaultHasher,
    count: u64,
    last: VecDeque<(u64, u64, Step)>,
}

impl Trace {
    /// Adds a step at `at` milliseconds.
    pub(crate) fn push(&mut self, at: u64, step: Step) {
        self.count += 1;
        (at, &step).hash(&mut self.digest);
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back((self.count, at, step));
    }

    /// When the last step was.
    pub(crate) fn at(&self) -> u64 {
        self.last.back().map_or(0, |(_, at, _)| *at)
    }

    /// How many steps there have been.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest.finish()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.last.iter().try_for_each(|(count, at, step)| writeln!(f, "{count:>6} {at:>9} ms  {step:?}"))
    }
}
