//! Routes a valid event: makes one delivery for each broker that subscribes to it, in the order of the config. The
//! deliveries share the event. An event without a subscribed broker ends as `Unrouted`.

mod field_rule;
mod subscriptions;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use self::{
    field_rule::{FieldRule, FieldTest},
    subscriptions::{Index, Subscriptions},
};
use crate::{
    models::{Delivery, Exit, Step, ValidEvent, Verdict},
    stage::Stage,
};

/// The stage that finds an event's brokers. Clones share the subscriptions.
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

    /// Replaces the subscriptions, here and in every clone. An event is routed entirely by the old ones or entirely
    /// by these.
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
            .wanting(event)
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
    async fn a_broker_gets_the_events_whose_fields_pass_all_its_rules() {
        let broker = Arc::new(crate::testing::broker_with("acme", 1.0, 1));
        let mut terms = (*broker.terms()).clone();
        let rule = |pointer: &str, test| FieldRule { pointer: pointer.to_owned(), test };
        let is_ltl = rule("/mode", FieldTest::OneOf(vec!["ltl".into()]));
        terms.subscription.fields = vec![is_ltl, rule("/trailer", FieldTest::Exists(true))];
        broker.agree(terms);
        let everything = Arc::new(crate::testing::broker_with("blue", 1.0, 1));
        let route = Route::new(Arc::new(Subscriptions::new(vec![broker, everything])));
        let table: [(&'static [u8], &[&str]); 3] = [
            (br#"{"mode":"ltl","trailer":7}"#, &["acme", "blue"]),
            (br#"{"mode":"ltl"}"#, &["blue"]),
            (br#"{"mode":"ftl","trailer":7}"#, &["blue"]),
        ];
        for (body, expected) in table {
            let deliveries = route.run(event(body)).await.unwrap();
            let names: Vec<_> = deliveries.iter().map(|delivery| &*delivery.broker.id).collect();
            assert_eq!(names, expected);
        }
    }

    #[tokio::test]
    async fn an_event_nobody_wants_is_unrouted() {
        let route = Route::new(Arc::new(Subscriptions::new(Vec::new())));
        assert!(matches!(route.run(event(b"{}")).await, Err(Exit::Verdict(Verdict::Unrouted))));
    }

    fn event(body: &'static [u8]) -> ValidEvent {
        let body = Bytes::from_static(body);
        ValidEvent::new(Event {
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
        })
    }
}
