//! Whether the partitions to be read are this directory's: what it keeps enters, and a fault leaves for one that was given
//! away, or that has arrived only in part. Asked before the cluster is.

use state::{Holding, Store};

use super::{FluvioOptions, Partitions, SourceFault, cluster::partition_of_name};
use crate::dead::moment;

/// Refuses a run over partitions that another process has by now.
///
/// # Errors
/// [`SourceFault::GivenAway`] or [`SourceFault::Arriving`]; [`SourceFault::State`] if the directory cannot be read.
pub fn refuse_moved(store: &Store, options: &FluvioOptions) -> Result<(), SourceFault> {
    for (source, custody) in store.sources().custodies().map_err(SourceFault::State)? {
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
        let (source_name, generation) = (source, custody.generation);
        match custody.holding {
            Holding::Here => {}
            Holding::Away { since, file, .. } => {
                let at = moment::text(since);
                return Err(SourceFault::GivenAway { source_name, file, at, generation });
            }
            Holding::Arriving { since, file, .. } => {
                return Err(SourceFault::Arriving { source_name, file, at: moment::text(since) });
            }
        }
    }
    Ok(())
}
