//! The outcome of one attempt: a receipt, or a failure that returns the delivery so that it can be tried again.

use http::StatusCode;
use state::Clock;

use super::{Failure, Fresh, Receipt};

/// The outcome of posting one delivery once.
#[derive(Debug)]
pub enum Attempt {
    /// The receiver answered 2xx in time.
    Accepted(Receipt),
    /// It did not; `Fresh` is returned for the next attempt.
    Failed(Fresh, Failure),
}

impl Attempt {
    /// The outcome of posting `fresh`, now: the 2xx of the answer, or why there is none.
    pub(crate) fn of(fresh: Fresh, posted: Result<StatusCode, Failure>, clock: &Clock) -> Self {
        match posted {
            Ok(status) => Self::Accepted(Receipt {
                failed_attempts: fresh.delivery().history.attempts,
                status: status.as_u16(),
                at: clock.monotonic(),
            }),
            Err(failure) => Self::Failed(fresh, failure),
        }
    }
}
