//! All that a seed decides of a group before anything runs, beside the log and the brokers: how many members, when
//! partitions move, and what befalls members and topics.

use std::{num::NonZeroU32, time::Duration};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use stages::WhenFull;
use state::Crash;

use crate::plan::{Plan, TROUBLE, ms, pick};

/// A simulation of several members.
#[derive(Clone, Debug)]
pub(crate) struct GroupPlan {
    pub(crate) members: usize,
    /// When a partition is to be another member's.
    pub(crate) moves: Vec<Move>,
    pub(crate) troubles: Vec<(u64, Trouble)>,
    /// How long the group waits for a member that is silent.
    pub(crate) session: Duration,
    /// The longest time that a record takes to each of the state topics, in milliseconds.
    pub(crate) latency: [u64; 2],
    /// How far ahead a member promises to read.
    pub(crate) horizon_step: u64,
}

/// A partition is to be somebody else's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) at: u64,
    pub(crate) partition: usize,
    pub(crate) to: usize,
}

/// What befalls the group.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// A member dies, perhaps with its disk, after so many more steps of the scheduler, and starts anew after a while.
    Crash { member: usize, crash: Crash, loses_disk: bool, steps: u64, down: u64 },
    /// A member is restarted in good order.
    Restart { member: usize, down: u64 },
    /// A member is cut from the group, which takes it for dead, and goes on; if it is deaf, it reads nothing meanwhile.
    Cut { member: usize, deaf: bool, lasts: u64 },
    /// The state topics take nothing.
    Stall { lasts: u64 },
    /// The waiting topic of a partition is compacted.
    Compact { partition: usize },
}

impl GroupPlan {
    /// What `seed` decides, and the plan of all else.
    pub(crate) fn of(seed: u64) -> (Self, Plan) {
        let rng = &mut SmallRng::seed_from_u64(seed ^ 0x67_726f_7570);
        let partitions = pick(rng, &[1, 2, 3], 2);
        let plan = Self::simple(Plan::over(seed, Some(partitions)));
        let members = pick(rng, &[2, 2, 3], 2);
        let count = rng.random_range(1..8);
        let mut moves: Vec<_> = (0..count)
            .map(|_| Move {
                at: rng.random_range(0..TROUBLE),
                partition: rng.random_range(0..partitions),
                to: rng.random_range(0..members),
            })
            .collect();
        moves.sort_by_key(|to| to.at);
        // A third of them has planned moves and nothing else.
        let count = if rng.random_bool(0.33) { 0 } else { rng.random_range(1..7) };
        let mut troubles: Vec<_> = (0..count)
            .map(|_| (rng.random_range(0..TROUBLE), Trouble::draw(rng, members, partitions)))
            .collect();
        troubles.sort_by_key(|(at, _)| *at);
        let longest = pick(rng, &[0, 2, 20, 200], 2);
        let latency = [rng.random_range(0..=longest), rng.random_range(0..=longest)];
        let (session, horizon_step) = (ms(pick(rng, &[500, 1_000, 4_000], 1_000)), pick(rng, &[1, 4, 16], 4));
        (Self { members, moves, troubles, session, latency, horizon_step }, plan)
    }

    /// Of what one process meets, what says nothing of several is left out.
    fn simple(mut plan: Plan) -> Plan {
        for broker in &mut plan.brokers {
            broker.when_full = WhenFull::Hold;
            broker.bad_loads.clear();
            broker.says_conflict = false;
            broker.gone_at = None;
            broker.paused.clear();
            broker.disabled.clear();
            broker.mended_at = None;
            broker.rate = broker.rate.max(20.0);
        }
        let tuning = &mut plan.tuning;
        // What leaves a member finds room on its disk.
        tuning.limits.spill_broker_max = 1 << 20;
        tuning.limits.spill_total_max = 4 << 20;
        tuning.retry.attempts_max = 1_000;
        tuning.breaker.failures = tuning.breaker.failures.max(NonZeroU32::MIN);
        plan.runs.clear();
        plan.replays.clear();
        plan
    }

    /// Whose a partition is to be at `now`.
    pub(crate) fn owner(&self, partition: usize, now: u64) -> usize {
        let so_far = self.moves.iter().take_while(|to| to.at <= now);
        let last = so_far.filter(|to| to.partition == partition).last();
        last.map_or(partition % self.members, |to| to.to)
    }
}

impl Trouble {
    fn draw(rng: &mut SmallRng, members: usize, partitions: usize) -> Self {
        let member = rng.random_range(0..members);
        match rng.random_range(0..10) {
            0..5 => Self::Crash {
                member,
                crash: pick(rng, &[Crash::Process, Crash::Power], Crash::Process),
                loses_disk: rng.random_bool(0.3),
                steps: rng.random_range(0..12),
                down: pick(rng, &[0, 50, 3_000], 50),
            },
            5 => Self::Restart { member, down: pick(rng, &[0, 2_000], 0) },
            6 | 7 => Self::Cut { member, deaf: rng.random_bool(0.5), lasts: rng.random_range(50..8_000) },
            8 => Self::Stall { lasts: rng.random_range(50..4_000) },
            _ => Self::Compact { partition: rng.random_range(0..partitions) },
        }
    }
}
