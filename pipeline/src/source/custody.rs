//! Whether the partitions to be read are this directory's: what it keeps enters, and a fault leaves for one that was given
//! away, or that has arrived only in part. Asked before the cluster is.

use state::{Holding, Store};

use super::{FluvioOptions, Partitions, SourceFault, fluvio_name};
use crate::dead::moment;

/// Refuses a run over partitions that another process has by now.
///
/// # Errors
/// [`SourceFault::GivenAway`] or [`SourceFault::Arriving`]; [`SourceFault::State`] if the directory cannot be read.
pub fn refuse_moved(store: &Store, options: &FluvioOptions) -> Result<(), SourceFault> {
    for (source, custody) in store.sources().custodies().map_err(SourceFault::State)? {
        let of_topic = |number: u32| *fluvio_name(&options.topic, number) == *source;
        let wanted = match &options.partitions {
            Partitions::These(these) => these.iter().copied().any(of_topic),
            Partitions::All => {
                source.rsplit('/').next().and_then(|number| number.parse().ok()).is_some_and(of_topic)
            }
        };
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
