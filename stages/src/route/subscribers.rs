//! Who subscribes to a load, asked of somebody outside the config, such as a database.

use std::{fmt, pin::Pin, sync::Arc};

/// An answer that is waited for.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One subscription of a broker to a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// The broker's id.
    pub broker: Arc<str>,
    /// The statuses it wants, by their canonical names; none for all.
    pub statuses: Option<Arc<[String]>>,
    /// The number of the row that says so.
    pub row: i64,
}

impl Subscriber {
    /// Whether it wants events of this status.
    #[must_use]
    pub fn wants(&self, status: &str) -> bool {
        self.statuses.as_ref().is_none_or(|wanted| wanted.iter().any(|one| one == status))
    }
}

/// Whoever knows the subscriptions to a load.
///
/// The contract: an answer reflects everything that was committed before it was asked for, so that a subscription which is
/// older than an event is seen for that event. There is no answer that is no answer: what cannot be known yet is waited for.
pub trait Subscribers: fmt::Debug + Send + Sync + 'static {
    /// The subscriptions to this load.
    fn of_load<'a>(&'a self, load_id: &'a Arc<str>) -> Answer<'a, Arc<[Subscriber]>>;

    /// Returns once the brokers that were committed before the call are in force.
    fn brokers_now(&self) -> Answer<'_, ()>;

    /// Nobody is known under this name, although a subscription names it.
    fn unknown(&self, subscriber: &Subscriber);
}
