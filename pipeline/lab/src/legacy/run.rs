//! Runs the model until it is told to stop. Whatever it is doing, it stops within one turn of its runtime; a report nobody
//! fetches is left out, never waited for.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};

use super::{
    LegacyConfig, LegacyFault, Order, Progress,
    assign::assign,
    consumer::{Shared, consume},
    group::Group,
    read::follow,
    service::Service,
    topic,
};

/// Runs the model until [`Order::Stop`], until nobody can give orders any more, or until nobody takes its reports,
/// which it offers once every `every` (at least 1 ms); gives the last one.
///
/// # Errors
/// [`LegacyFault`]: it cannot be set up, or its log is gone.
pub async fn run(
    config: &LegacyConfig,
    every: Duration,
    mut orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<Progress>,
) -> Result<Progress, LegacyFault> {
    config.check()?;
    if let Some(topic) = &config.topic {
        return topic::run(config, topic, every, orders, reports).await;
    }
    let shared = Arc::new(Shared {
        group: Mutex::new(Group::new(config.partitions, config.consumers)),
        grown: watch::Sender::new(()),
        path: config.log.clone(),
        log: OnceLock::new(),
        service: Service::new(config)?,
        poison_restart: config.poison_restart,
        poison_max: config.poison_max,
        held_max: config.held_max.into(),
    });
    let mut reading = pin!(follow(&shared));
    let mut commits = ticker(config.commit_interval);
    let mut times = ticker(every.max(Duration::from_millis(1)));
    let mut members = members(config.partitions, config.consumers, &shared);
    let mut rejoin: Option<(Instant, u32)> = None;
    loop {
        let at = rejoin.map_or_else(Instant::now, |(at, _)| at);
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Scale(consumers)) => {
                    members.shutdown().await;
                    shared.group.lock().rebalance(consumers);
                    rejoin = Some((Instant::now() + config.session, consumers));
                }
                Some(Order::Stop) | None => break,
            },
            () = sleep_until(at), if rejoin.is_some() => {
                if let Some((_, consumers)) = rejoin.take() {
                    shared.group.lock().resume();
                    members = self::members(config.partitions, consumers, &shared);
                }
            }
            Some(ended) = members.join_next() => match ended?? {},
            read = &mut reading => match read? {},
            _ = commits.tick() => shared.group.lock().commit(),
            _ = times.tick() => {
                let progress = shared.group.lock().progress();
                if let Err(TrySendError::Closed(_)) = reports.try_send(progress) {
                    break;
                }
            }
        }
    }
    let last = shared.group.lock().progress();
    members.shutdown().await;
    Ok(last)
}

/// The consumers, each with its partitions; those without any are not started.
fn members(
    partitions: u32,
    consumers: u32,
    shared: &Arc<Shared>,
) -> JoinSet<Result<Infallible, LegacyFault>> {
    let mut members = JoinSet::new();
    for of in assign(partitions, consumers).into_iter().filter(|of| !of.is_empty()) {
        members.spawn(consume(of, Arc::clone(shared)));
    }
    members
}

/// Ticks every so often, the first time after one period; what was missed is not made up for.
fn ticker(every: Duration) -> tokio::time::Interval {
    let mut ticker = interval_at(Instant::now() + every, every);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}
