//! The model as one member of a consumer group on a Kafka cluster: what the simulated group of `group.rs` is for a file,
//! here the cluster does. One process is one consumer; it handles its messages one after another, on the thread that
//! polls.
//!
//! Kinder than `group.rs` in one thing: an offset is committed when its message has been handled, so that nobody is
//! passed over. Less kind in another: a consumer that is held by a message hears of no rebalance, as a real one; after
//! `rebalance_timeout` the others go on without it, while it goes on with its message.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    runtime::Handle,
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{LegacyConfig, LegacyFault, Order, Progress, event::Malformed, service::Service};
use crate::kafka::{Consumer, ConsumerOptions, KafkaFault, Message};

/// How long one poll waits for a message, and so how late an idle consumer hears that it is to stop.
const POLL: Duration = Duration::from_millis(50);

/// The topic and the group, in the place of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegacyTopic {
    /// Brokers to begin with, `HOST:PORT` with commas between them.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// After which silence the group gives a consumer's partitions to others.
    #[serde(with = "humantime_serde")]
    pub session_timeout: Duration,
    /// How long a message may take until the group goes on without its consumer: kafkajs's `rebalanceTimeout`.
    #[serde(with = "humantime_serde")]
    pub rebalance_timeout: Duration,
}

/// What the consumer and its reports have in common.
struct Shared {
    config: LegacyConfig,
    options: ConsumerOptions,
    service: Service,
    progress: Mutex<Progress>,
}

/// Runs one consumer; like [`run`](super::run).
///
/// # Errors
/// [`LegacyFault`]: it cannot be set up.
pub(super) async fn run(
    config: &LegacyConfig,
    topic: &LegacyTopic,
    every: Duration,
    mut orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<Progress>,
) -> Result<Progress, LegacyFault> {
    let options = ConsumerOptions {
        bootstrap: topic.bootstrap.clone(),
        topic: topic.topic.clone(),
        group: topic.group.clone(),
        commit_interval: config.commit_interval,
        heartbeat: config.session,
        session_timeout: topic.session_timeout,
        rebalance_timeout: topic.rebalance_timeout,
    };
    let (service, config) = (Service::new(config)?, config.clone());
    let progress = Mutex::new(Progress { consumers: 1, ..Progress::default() });
    let shared = Arc::new(Shared { config, options, service, progress });
    let (stop, stopped) = watch::channel(false);
    let (consumer, handle) = (Arc::clone(&shared), Handle::current());
    let mut consuming = spawn_blocking(move || consumer.consume(&handle, stopped));
    let mut times = interval(every.max(Duration::from_millis(1)));
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                // Its group is scaled by starting and stopping processes.
                Some(Order::Scale(_)) => {}
                Some(Order::Stop) | None => break,
            },
            ended = &mut consuming => {
                ended??;
                break;
            }
            _ = times.tick() => {
                let progress = *shared.progress.lock();
                if let Err(TrySendError::Closed(_)) = reports.try_send(progress) {
                    break;
                }
            }
        }
    }
    stop.send_replace(true);
    if !consuming.is_finished() {
        consuming.await??;
    }
    let last = *shared.progress.lock();
    Ok(last)
}

impl Shared {
    /// Consumes until it is stopped. A malformed message crashes it: it leaves the group, and joins it again later.
    fn consume(&self, handle: &Handle, mut stopped: watch::Receiver<bool>) -> Result<(), KafkaFault> {
        let mut crashes: HashMap<(i32, i64), u32> = HashMap::new();
        loop {
            let consumer = Consumer::join(&self.options)?;
            let Some(poison) = self.until_crash(&consumer, handle, &mut stopped) else { return Ok(()) };
            let times = crashes.entry((poison.partition, poison.offset)).or_default();
            *times += 1;
            self.progress.lock().crashes += 1;
            if *times >= self.config.poison_max {
                self.progress.lock().skipped += 1;
                consumer.handled(&poison);
            }
            drop(consumer);
            handle.block_on(async {
                tokio::select! {
                    () = sleep(self.config.poison_restart) => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            });
        }
    }

    /// Handles one message after another; the one that crashed the consumer, or none if it was stopped.
    fn until_crash(
        &self,
        consumer: &Consumer,
        handle: &Handle,
        stopped: &mut watch::Receiver<bool>,
    ) -> Option<Message> {
        while !*stopped.borrow() {
            let Some(message) = consumer.poll(POLL) else { continue };
            self.begins();
            let handled = handle.block_on(async {
                tokio::select! {
                    handled = self.handle(message.value.clone()) => Some(handled),
                    // What it was handling is abandoned, and comes again elsewhere.
                    _ = stopped.wait_for(|stop| *stop) => None,
                }
            });
            self.progress.lock().in_flight = 0;
            match handled? {
                Ok(()) => {
                    consumer.handled(&message);
                    self.progress.lock().handled += 1;
                }
                Err(Malformed) => return Some(message),
            }
        }
        None
    }

    fn begins(&self) {
        let mut progress = self.progress.lock();
        (progress.read, progress.in_flight) = (progress.read + 1, 1);
    }

    async fn handle(&self, message: Bytes) -> Result<(), Malformed> {
        self.service.handle(message, || self.progress.lock().retries += 1).await
    }
}
