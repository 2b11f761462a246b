//! Partitions that a directory has exported, or whose import was interrupted.

use serde::{Deserialize, Serialize};
use state::{Owner, StateFault, Store, timestamp};

/// A partition that was moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MovedStatus {
    /// The name under which its checkpoint was kept.
    pub name: String,
    /// `given-away`, or `arriving` if its import was interrupted.
    pub state: String,
    /// Since when, in RFC 3339.
    pub since: String,
    /// The file it was exported to, or is imported from.
    pub file: String,
}

impl MovedStatus {
    /// The partitions that are not read from `store`.
    ///
    /// # Errors
    /// A fault of the store.
    pub(crate) fn of(store: &Store) -> Result<Vec<Self>, StateFault> {
        let moved = store.sources().ownerships()?.into_iter().filter_map(|(name, ownership)| {
            let (state, since, file) = match ownership.owner {
                Owner::Here => return None,
                Owner::Exported { since, file, .. } => ("given-away", since, file),
                Owner::Importing { since, file, .. } => ("arriving", since, file),
            };
            Some(Self { name, state: state.to_owned(), since: timestamp::text(since), file })
        });
        Ok(moved.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use state::{Checkpoint, Clock, Durability, Record, StoreOptions};

    use super::*;

    #[test]
    fn a_partition_that_was_given_away_is_named_with_its_file_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            durability: Durability::Process,
            dedupe_window: 1_000,
            cache: 1 << 20,
            clock: Clock::System,
        };
        let store = Store::open(&dir.path().join("state"), options).unwrap();
        let settled = |name: &str| {
            Record::Checkpoint(Arc::from(name), Checkpoint { epoch: 0, offset: 1, mark: Vec::new() })
        };
        store.put_all(&[settled("fluvio:t/0"), settled("fluvio:t/1")]).unwrap();
        assert_eq!(MovedStatus::of(&store).unwrap(), []);
        let file = dir.path().join("0.export");
        store.export("fluvio:t/0", &file).unwrap();
        let moved = MovedStatus::of(&store).unwrap();
        let MovedStatus { name, state, since, file: named } = &moved[0];
        assert_eq!((moved.len(), &**name, &**state), (1, "fluvio:t/0", "given-away"));
        assert_eq!((named.as_str(), timestamp::read(since).is_some()), (file.to_str().unwrap(), true));
    }
}
