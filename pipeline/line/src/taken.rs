//! What the line takes in: records of its source, and what came with a partition.

use stages::models::RawRecord;
use state::SpilledDelivery;

use super::{fault::LineFault, ticket::Ticket};

/// What is taken in, with the obligation to settle it.
#[derive(Debug)]
pub enum Taken {
    /// A record.
    Record(RawRecord, Ticket),
    /// A delivery that came with its partition.
    Restored(Box<SpilledDelivery>, Ticket),
}

/// What is taken in next, or why there is no more.
pub type Ingested = Result<Taken, LineFault>;
