//! Checks that this directory owns the partitions to be read: refuses one that was exported, or whose import was not
//! completed. Checked before the cluster is contacted.

use state::{Owner, Store, timestamp};

use super::{FluvioOptions, Partitions, TopicFault, partition_of_name};

/// Refuses a run over partitions that this directory does not own.
///
/// # Errors
/// [`TopicFault::GivenAway`] or [`TopicFault::Arriving`]; [`TopicFault::State`] if the directory cannot be read.
pub fn check_ownership(store: &Store, options: &FluvioOptions) -> Result<(), TopicFault> {
    for (source, ownership) in store.sources().ownerships().map_err(TopicFault::State)? {
        let wanted = partition_of_name(&source).is_some_and(|(topic, number)| {
            topic == options.topic
                && match &options.partitions {
                    Partitions::These(these) => these.contains(&number),
                    Partitions::All => true,
                }
        });
        if !wanted {
            continue;
        }
        let (source_name, generation) = (source, ownership.generation);
        match ownership.owner {
            Owner::Here => {}
            Owner::Exported { since, file, .. } => {
                let at = timestamp::text(since);
                return Err(TopicFault::GivenAway { source_name, file, at, generation });
            }
            Owner::Importing { since, file, .. } => {
                return Err(TopicFault::Arriving { source_name, file, at: timestamp::text(since) });
            }
        }
    }
    Ok(())
}
