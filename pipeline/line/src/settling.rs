//! Verdicts that the intake has found by itself, while they are recorded.

use futures::{future::BoxFuture, stream::FuturesUnordered};
use stages::models::Fault;
use state::Recorded;

use super::{fault::LineFault, in_flight_permits::Permit, ticket::Share};

/// A verdict being recorded that is known here: what it settles, and the place it holds meanwhile.
pub(super) type Settling = (Share, Permit, Result<Recorded, Fault>);

/// What has begun to be recorded.
pub(super) type Begun = Vec<BoxFuture<'static, Settling>>;

/// The verdicts being recorded.
pub(super) type Settlings = FuturesUnordered<BoxFuture<'static, Settling>>;

/// One is recorded, or could not be.
pub(super) fn finish((share, _permit, recorded): Settling) -> Result<(), LineFault> {
    share.settle(recorded?);
    Ok(())
}
