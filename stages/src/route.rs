//! Routes a valid event: makes one delivery for each broker that subscribes to it, in the order of the config. The
//! deliveries share the event. An event without a subscribed broker ends as `Unrouted`.
//!
//! Who subscribes is what the brokers' terms say, and what [`Subscribers`] answer for the event's load, if there are such.

mod field_rule;
mod subscribers;
mod subscriptions;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use self::{
    field_rule::{FieldRule, FieldTest},
    subscribers::{Answer, Subscriber, Subscribers},
    subscriptions::{Index, Subscriptions},
};
use crate::{
    broker::Broker,
    models::{Delivery, Exit, Step, ValidEvent, Verdict},
    stage::Stage,
};

/// The stage that finds an event's brokers. Clones share the subscriptions.
#[derive(Clone, Debug)]
pub struct Route {
    subscriptions: Arc<ArcSwap<Subscriptions>>,
    outside: Option<Arc<dyn Subscribers>>,
}

impl Route {
    /// A router over these subscriptions.
    #[must_use]
    pub fn new(subscriptions: Arc<Subscriptions>) -> Self {
        Self { subscriptions: Arc::new(ArcSwap::new(subscriptions)), outside: None }
    }

    /// The same, which asks `outside` about each event's load besides.
    #[must_use]
    pub fn asking(self, outside: Option<Arc<dyn Subscribers>>) -> Self {
        Self { outside, ..self }
    }

    /// Replaces the subscriptions, here and in every clone. An event is routed entirely by the old ones or entirely
    /// by these.
    pub fn replace(&self, subscriptions: Arc<Subscriptions>) {
        self.subscriptions.store(subscriptions);
    }
}

impl Route {
    /// The brokers, all of `subscribers` among them unless nobody knows these.
    async fn knowing(&self, subscribers: &[Subscriber], outside: &dyn Subscribers) -> Arc<Subscriptions> {
        let brokers = self.subscriptions.load_full();
        if subscribers.iter().all(|subscriber| brokers.knows(&subscriber.broker)) {
            return brokers;
        }
        // A broker may be as new as its subscription.
        outside.brokers_now().await;
        let brokers = self.subscriptions.load_full();
        for subscriber in subscribers.iter().filter(|subscriber| !brokers.knows(&subscriber.broker)) {
            outside.unknown(subscriber);
        }
        brokers
    }
}

impl Stage for Route {
    type In = ValidEvent;
    type Out = Vec<Delivery>;

    async fn run(&self, valid: ValidEvent) -> Step<Vec<Delivery>> {
        let event = valid.event();
        let delivery = |broker: &Arc<Broker>| Delivery::new(valid.clone(), Arc::clone(broker));
        let deliveries: Vec<_> = match &self.outside {
            None => self.subscriptions.load().wanting(event).map(delivery).collect(),
            Some(outside) => {
                let subscribers = outside.of_load(&event.load_id).await;
                let brokers = self.knowing(&subscribers, &**outside).await;
                let wanting = brokers.wanting_beside(event, &subscribers);
                wanting.map(|(broker, row)| Delivery { row, ..delivery(broker) }).collect()
            }
        };
        if deliveries.is_empty() { Err(Exit::Verdict(Verdict::Unrouted)) } else { Ok(deliveries) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use parking_lot::Mutex;
    use rustc_hash::FxHashSet;
    use state::{BodyDigest, Event, Position};

    use super::*;
    use crate::broker::LoadFilter;

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

    /// Answers with one subscription, and brings its broker only when it is asked to.
    #[derive(Debug)]
    struct Outside {
        subscriber: Subscriber,
        brings: Mutex<Option<(Route, Arc<Broker>)>>,
        unknown: AtomicUsize,
    }

    impl Subscribers for Outside {
        fn of_load<'a>(&'a self, load_id: &'a Arc<str>) -> Answer<'a, Arc<[Subscriber]>> {
            assert_eq!(&**load_id, "L-7");
            Box::pin(async { Arc::from([self.subscriber.clone()]) })
        }

        fn brokers_now(&self) -> Answer<'_, ()> {
            if let Some((route, broker)) = self.brings.lock().take() {
                route.replace(Arc::new(Subscriptions::new(vec![broker])));
            }
            Box::pin(async {})
        }

        fn unknown(&self, subscriber: &Subscriber) {
            assert_eq!(subscriber, &self.subscriber);
            self.unknown.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_subscription_from_outside_waits_for_its_broker_and_asks_for_its_statuses() {
        let broker = Arc::new(crate::testing::broker_with("acme", 1.0, 1));
        let mut terms = (*broker.terms()).clone();
        terms.subscription.loads = LoadFilter::List(FxHashSet::default());
        broker.agree(terms);
        for (statuses, expected) in [(None, 1), (Some("posted"), 1), (Some("delivered"), 0)] {
            let statuses = statuses.map(|status| Arc::from([status.to_owned()]));
            let subscriber = Subscriber { broker: "acme".into(), statuses, row: 1 };
            let route = Route::new(Arc::new(Subscriptions::new(Vec::new())));
            let brings = Mutex::new(Some((route.clone(), broker.clone())));
            let outside = Arc::new(Outside { subscriber, brings, unknown: AtomicUsize::new(0) });
            let route = route.asking(Some(outside.clone()));
            let routed = route.run(event(b"{}")).await;
            assert_eq!(routed.map_or(0, |deliveries| deliveries.len()), expected);
            assert_eq!(outside.unknown.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn a_delivery_knows_the_least_of_the_rows_that_made_it_and_none_if_the_config_did() {
        let listed = Arc::new(crate::testing::broker_with("acme", 1.0, 1));
        let mut terms = (*listed.terms()).clone();
        terms.subscription.loads = LoadFilter::List(FxHashSet::default());
        listed.agree(terms);
        let everything = Arc::new(crate::testing::broker_with("blue", 1.0, 1));
        let brokers = Subscriptions::new(vec![listed, everything]);
        let subscriber = |broker: &str, status: Option<&str>, row| Subscriber {
            broker: broker.into(),
            statuses: status.map(|status| Arc::from([status.to_owned()])),
            row,
        };
        let rows = [
            subscriber("acme", None, 9),
            subscriber("acme", Some("delivered"), 1),
            subscriber("blue", None, 2),
            subscriber("acme", Some("posted"), 4),
        ];
        let event = event(b"{}");
        let made: Vec<_> = brokers.wanting_beside(event.event(), &rows).collect();
        assert_eq!(
            made.iter().map(|(broker, row)| (&*broker.id, *row)).collect::<Vec<_>>(),
            [("acme", Some(4)), ("blue", None)]
        );
    }

    #[tokio::test]
    async fn a_subscription_of_a_broker_nobody_knows_is_told_and_the_others_get_the_event() {
        let everything = Arc::new(crate::testing::broker_with("blue", 1.0, 1));
        let subscriber = Subscriber { broker: "gone".into(), statuses: None, row: 1 };
        let (brings, unknown) = (Mutex::new(None), AtomicUsize::new(0));
        let outside = Arc::new(Outside { subscriber, brings, unknown });
        let route = Route::new(Arc::new(Subscriptions::new(vec![everything])));
        let route = route.asking(Some(outside.clone()));
        assert_eq!(route.run(event(b"{}")).await.unwrap().len(), 1);
        assert_eq!(outside.unknown.load(Ordering::Relaxed), 1);
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
