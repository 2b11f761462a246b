//! Route: a valid event becomes one delivery for each broker that subscribes to it.
//!
//! Enters: a valid event. Leaves: at least one delivery, in the order of the brokers in the config, each broker at
//! most once, all sharing the one event. An event nobody wants ends here as `Unrouted`.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::{
    models::{Delivery, Exit, Step, ValidEvent, Verdict},
    stage::Stage,
    subscriptions::Subscriptions,
};

/// The stage that finds an event's brokers. A clone finds the same.
#[derive(Clone, Debug)]
pub struct Route {
    subscriptions: Arc<ArcSwap<Subscriptions>>,
}

impl Route {
    /// A router over these subscriptions.
    #[must_use]
    pub fn new(subscriptions: Arc<Subscriptions>) -> Self {
        Self { subscriptions: Arc::new(ArcSwap::new(subscriptions)) }
    }

    /// Finds brokers by other subscriptions from now on, here and in every clone: an event is routed wholly by the old
    /// ones or wholly by these.
    pub fn replace(&self, subscriptions: Arc<Subscriptions>) {
        self.subscriptions.store(subscriptions);
    }
}

impl Stage for Route {
    type In = ValidEvent;
    type Out = Vec<Delivery>;

    async fn run(&self, valid: ValidEvent) -> Step<Vec<Delivery>> {
        let event = valid.event();
        let deliveries: Vec<_> = self
            .subscriptions
            .load()
            .matching(&event.load_id, &event.status)
            .map(|broker| Delivery::new(valid.clone(), Arc::clone(broker)))
            .collect();
        if deliveries.is_empty() { Err(Exit::Verdict(Verdict::Unrouted)) } else { Ok(deliveries) }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use state::{BodyDigest, Event, Position};

    use super::*;

    #[tokio::test]
    async fn a_clone_finds_brokers_by_what_has_come_into_force() {
        let route = Route::new(Arc::new(Subscriptions::new(Vec::new())));
        let running = route.clone();
        let broker = Arc::new(crate::testing::broker_with("acme", 1.0, 1));
        let event = || crate::testing::fresh(&broker).delivery().event.clone();
        assert!(running.run(event()).await.is_err());
        route.replace(Arc::new(Subscriptions::new(vec![Arc::clone(&broker)])));
        assert_eq!(running.run(event()).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_event_nobody_wants_is_unrouted() {
        let body = Bytes::from_static(b"{}");
        let event = ValidEvent::new(Event {
            position: Position::new("test".into(), 0, 0),
            event_id: "e-1".into(),
            load_id: "L-7".into(),
            status: "posted".into(),
            occurred_at: 1,
            sequence: None,
            traceparent: None,
            read_at: 2,
            digest: BodyDigest::of(&body),
            body,
        });
        let route = Route::new(Arc::new(Subscriptions::new(Vec::new())));
        assert!(matches!(route.run(event).await, Err(Exit::Verdict(Verdict::Unrouted))));
    }
}
