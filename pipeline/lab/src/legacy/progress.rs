//! The model's report of its progress: one line of JSON, read back by whoever started it.

use serde::{Deserialize, Serialize};

/// How far the model has come. Records are counted as they stand in the log, from 0, empty lines left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// Records read from the file into the model's partitions.
    pub read: u64,
    /// All records before this one are committed, whatever became of them.
    pub settled: u64,
    /// Records not yet committed, over all partitions.
    pub lag: u64,
    /// The oldest record not yet committed.
    pub oldest: Option<u64>,
    /// Messages being handled; some of them may be committed already.
    pub in_flight: u32,
    /// Members of the group, also while a rebalance holds them.
    pub consumers: u32,
    /// Whether a rebalance holds them.
    pub rebalancing: bool,
    /// How often a message was started over after an error.
    pub retries: u64,
    /// How often a message was handled to its end; one that was replayed counts again.
    pub handled: u64,
    /// How often a message was begun that had been begun before: after a rebalance or a crash.
    pub replayed: u64,
    /// How often a malformed message crashed its consumer.
    pub crashes: u64,
    /// Malformed messages that were skipped after as many crashes as are allowed.
    pub skipped: u64,
    /// Messages a rebalance took from their handler when they were committed already: nobody will take them up again.
    pub abandoned: u64,
}

impl Progress {
    /// Whether nothing is left to do: all that was read is committed, and nothing is being handled.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.lag == 0 && self.in_flight == 0 && !self.rebalancing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_its_names_stay() {
        let progress = Progress { read: 7, oldest: Some(3), in_flight: 2, ..Progress::default() };
        let line = serde_json::to_string(&progress).unwrap();
        let names =
            r#"{"read":7,"settled":0,"lag":0,"oldest":3,"inFlight":2,"consumers":0,"rebalancing":false,"#;
        assert!(line.starts_with(names), "{line}");
        assert_eq!(serde_json::from_str::<Progress>(&line).unwrap(), progress);
    }
}
