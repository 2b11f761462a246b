//! The line as the design has it.

use std::sync::Arc;

use futures::Stream;
use line::{
    Limits, Line, LineFault, LineReport, SourceFault, SourcePartition, SourceRecord, fixed, ingest,
    stop::Stop,
};
use stages::{
    Ack, AttemptExt, Broker, Decode, Dedupe, Deliver, HttpClients, RetryPolicy, Route, Rules, Schema, Stage,
    Subscriptions, Throttle, Validate,
};
use state::{Clock, Ledger};

pub async fn whole(
    source: SourcePartition<impl Stream<Item = Result<SourceRecord, SourceFault>> + Send + 'static>,
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
        .run(ingest(fixed([source]), &ledger, 65_536)?, stop, |_| ())
        .await
}
