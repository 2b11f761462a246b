//! The line as the design has it.

use std::sync::Arc;

use pipeline::{
    line::{Limits, Line, LineFault, LineReport, records},
    source::Source,
    stop::Stop,
};
use stages::{
    Ack, AttemptExt, Decode, Dedupe, Deliver, HttpClients, RetryPolicy, Route, Rules, Schema, Stage,
    Subscriptions, Throttle, Validate, models::Broker,
};
use state::{Clock, Ledger};

pub async fn whole(
    source: impl Source,
    brokers: Vec<Arc<Broker>>,
    limits: Limits,
    clients: HttpClients,
    ledger: Ledger,
    stop: Stop,
) -> Result<LineReport, LineFault> {
    let clock = Clock::System;
    let attempt = Throttle::new().then(Deliver::new(clients, clock.clone(), 65_536));
    let subscriptions = Arc::new(Subscriptions::new(brokers.clone()));
    let policy = RetryPolicy::default();

    Line::intake(Decode::new(Schema::flat()))
        .then(Validate::new(Rules::default(), clock.clone()))
        .then(Route::new(subscriptions))
        .per_broker(&brokers, limits)
        .then(Dedupe::new(&ledger))
        .then(attempt.retry(policy, clock.clone()))
        .settle(Ack::new(&ledger, clock))
        .run(records(source, Vec::new(), &ledger, 65_536)?, stop, |_| ())
        .await
}
