//! How much the scenarios of members that come and go have: a short form of their own, and a long one that the environment
//! asks for, see docs/testing.md.

use std::{env, fmt::Debug, str::FromStr};

/// The volume of one scenario.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    pub(crate) events: usize,
    /// Events that are produced a second.
    pub(crate) pace: usize,
    pub(crate) partitions: i32,
    /// The members between two scale-outs.
    pub(crate) few: usize,
    /// The members after a scale-out.
    pub(crate) many: usize,
    /// How often there are `many` of them.
    pub(crate) rounds: usize,
    /// How many members are killed without notice.
    pub(crate) kills: usize,
    /// How many of the cluster's nodes are.
    pub(crate) node_kills: usize,
}

impl Volume {
    /// This one, with what the environment says instead.
    pub(crate) fn or_of_environment(self) -> Self {
        Self {
            events: variable("EVENTS", self.events),
            pace: variable("PACE", self.pace),
            partitions: variable("PARTITIONS", self.partitions),
            few: variable("FEW", self.few),
            many: variable("MANY", self.many),
            rounds: variable("ROUNDS", self.rounds),
            kills: variable("KILLS", self.kills),
            node_kills: variable("NODE_KILLS", self.node_kills),
        }
    }

    /// How many of `all` fall into each move of members, as evenly as they can.
    pub(crate) fn of_each_move(&self, all: usize) -> Vec<usize> {
        let moves = self.rounds * 2;
        (0..moves).map(|nth| all * (nth + 1) / moves - all * nth / moves).collect()
    }
}

/// What `LOADLINE_TEST_KAFKA_…` says, if it is set.
fn variable<T: FromStr<Err: Debug>>(name: &str, otherwise: T) -> T {
    let name = format!("LOADLINE_TEST_KAFKA_{name}");
    let parse = |value: String| value.parse().unwrap_or_else(|error| panic!("{name} is {value}: {error:?}"));
    env::var(&name).map_or(otherwise, parse)
}
