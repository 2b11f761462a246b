//! The model against real receivers: what each broker of the legacy service saw.

mod config;
mod delivery;
mod mistakes;
mod stopping;

use std::{fs::File, io::Write, path::PathBuf, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinHandle};
use url::Url;

use super::{LegacyBroker, LegacyConfig, LegacyFault, Loads, Order, Progress, run};
use crate::receiver::{Behaviour, Counts, Journal, Keys, Limits, Receiver, Running};

/// Never, as far as a test is concerned.
const NEVER: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(5);
/// How many reports are waited for, one a millisecond at most, before a test gives up.
const REPORTS_MAX: u32 = 30_000;

/// A simulated broker and what it took.
struct Tms {
    receiver: Running,
    journal: Arc<Journal>,
}

impl Tms {
    fn start(behaviour: Behaviour) -> Self {
        let journal = Arc::new(Journal::new(10_000).with_bodies());
        let limits = Limits { grace: Duration::from_millis(200), ..Limits::default() };
        let receiver = Receiver::bind(([127, 0, 0, 1], 0).into(), behaviour, Keys::unchecked()).unwrap();
        let receiver = receiver.with_ids_optional().with_limits(limits);
        Self { receiver: receiver.with_recorder(Arc::<Journal>::clone(&journal)).spawn(), journal }
    }

    fn behave(&self, behaviour: Behaviour) {
        self.receiver.control().set(behaviour).unwrap();
    }

    fn counts(&self) -> Counts {
        self.receiver.control().counts()
    }

    /// The ids of the events it took, in its order.
    fn events(&self) -> Vec<String> {
        self.journal.entries().into_iter().map(|entry| entry.event_id).collect()
    }

    fn broker(&self, nth: usize) -> LegacyBroker {
        let url = Url::parse(&format!("http://{}/", self.receiver.addr())).unwrap();
        LegacyBroker { id: format!("b{nth}"), url, statuses: None, loads: Loads::default() }
    }
}

/// A log that grows.
struct Log {
    dir: TempDir,
    file: File,
}

impl Log {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("log.ndjson")).unwrap();
        Self { dir, file }
    }

    fn append(&mut self, line: &str) {
        writeln!(self.file, "{line}").unwrap();
    }

    fn event(&mut self, id: &str, load: &str) {
        self.append(&event(id, load));
    }

    /// A config with these brokers in which nothing takes time and nothing is committed.
    fn config<'b>(&self, brokers: impl IntoIterator<Item = &'b Tms>) -> LegacyConfig {
        LegacyConfig {
            log: self.dir.path().join("log.ndjson"),
            topic: None,
            partitions: 12,
            consumers: 3,
            commit_interval: NEVER,
            session: SOON,
            timeout: NEVER,
            query: Duration::ZERO,
            poison_restart: SOON,
            poison_max: 3,
            held_max: 10_000,
            deliveries: PathBuf::new(),
            brokers: brokers.into_iter().enumerate().map(|(nth, tms)| tms.broker(nth)).collect(),
        }
    }
}

fn event(id: &str, load: &str) -> String {
    format!(r#"{{"eventId":"{id}", "loadId":"{load}","status":"in-transit"}}"#)
}

/// The model in a task of its own.
struct Model {
    orders: mpsc::Sender<Order>,
    reports: mpsc::Receiver<Progress>,
    task: JoinHandle<Result<Progress, LegacyFault>>,
}

impl Model {
    fn start(config: LegacyConfig) -> Self {
        let (orders, take_orders) = mpsc::channel(1);
        let (give_reports, reports) = mpsc::channel(1);
        let every = Duration::from_millis(1);
        let task = tokio::spawn(async move { run(&config, every, take_orders, give_reports).await });
        Self { orders, reports, task }
    }

    async fn order(&self, order: Order) {
        self.orders.send(order).await.unwrap();
    }

    /// The first report from now on that is as wanted. The one report that may wait in the channel is from before.
    async fn until(&mut self, wanted: impl Fn(&Progress) -> bool) -> Progress {
        while self.reports.try_recv().is_ok() {}
        let mut last = Progress::default();
        for _ in 0..REPORTS_MAX {
            last = self.reports.recv().await.expect("the model has ended");
            if wanted(&last) {
                return last;
            }
        }
        panic!("it never came to that: {last:?}")
    }

    async fn stop(self) -> Progress {
        self.order(Order::Stop).await;
        self.task.await.unwrap().unwrap()
    }
}

/// Waits for a receiver to have seen what is wanted.
async fn seen(tms: &Tms, wanted: impl Fn(Counts) -> bool) {
    while !wanted(tms.counts()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
