//! What is delivered: events of the corpus, and which broker gets each of them. It is the same for everyone who is
//! measured.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    ops::Range,
    path::Path,
    sync::Arc,
};

use rustc_hash::FxHashSet;
use stages::{LoadFilter, Subscription};

use super::fault::BenchFault;
use crate::traffic::corpus::{self, EVENTS_PER_LOAD, Ids, STATUSES};

/// The fewest brokers: one for each status, so that there is no event that nobody wants.
pub const BROKERS_MIN: usize = EVENTS_PER_LOAD as usize;

/// Who gets which events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A broker gets the events of one status.
    Status,
    /// A broker gets the loads it names, and each load is named by two.
    Loads,
}

/// Events, and who gets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Workload {
    brokers: usize,
    events: Range<u64>,
    rule: Rule,
    ids: Ids,
}

impl Workload {
    /// At least `deliveries` to `brokers` (at least [`BROKERS_MIN`]), each of which wants one of the five statuses, so
    /// that all have an equal share. Workloads of different blocks have no event in common.
    #[must_use]
    pub(super) fn by_status(deliveries: u64, brokers: usize, block: u64) -> Self {
        let brokers = brokers.max(BROKERS_MIN);
        // Five events go to each broker once.
        let rounds = deliveries.div_ceil(brokers as u64).max(1);
        let (events, ids) = (block_of(rounds * EVENTS_PER_LOAD, block), Ids::TimeOrdered);
        Self { brokers, events, rule: Rule::Status, ids }
    }

    /// At least `deliveries`, two for each event whatever the number of brokers (at least 2), which name their loads.
    #[must_use]
    pub(super) fn by_loads(deliveries: u64, brokers: usize, block: u64) -> Self {
        let events = deliveries.div_ceil(2).max(1);
        let (events, ids) = (block_of(events, block), Ids::TimeOrdered);
        Self { brokers: brokers.max(2), events, rule: Rule::Loads, ids }
    }

    /// The same with event ids of this make.
    #[must_use]
    pub(super) fn with(self, ids: Ids) -> Self {
        Self { ids, ..self }
    }

    /// How many brokers there are.
    #[must_use]
    pub(super) fn brokers(&self) -> usize {
        self.brokers
    }

    /// How many events there are.
    #[must_use]
    pub(super) fn events(&self) -> u64 {
        self.events.end - self.events.start
    }

    /// How many deliveries all brokers get.
    #[must_use]
    pub(super) fn deliveries(&self) -> u64 {
        match self.rule {
            Rule::Status => self.events() / EVENTS_PER_LOAD * self.brokers as u64,
            Rule::Loads => self.events() * 2,
        }
    }

    /// How many deliveries one broker gets, if the brokers want statuses.
    #[must_use]
    pub(super) fn share(&self) -> u64 {
        self.deliveries() / self.brokers as u64
    }

    /// The brokers that want event `number` by its status.
    pub(super) fn subscribers(number: u64, brokers: usize) -> impl Iterator<Item = usize> {
        let first = usize::try_from(number % EVENTS_PER_LOAD).unwrap_or_default();
        (first..brokers).step_by(BROKERS_MIN)
    }

    /// Which events each broker gets.
    #[must_use]
    pub(super) fn subscriptions(&self) -> Vec<Subscription> {
        match self.rule {
            Rule::Status => (0..self.brokers)
                .map(|broker| {
                    let status = Arc::from(STATUSES[broker % STATUSES.len()]);
                    Subscription { statuses: Some(FxHashSet::from_iter([status])), ..Subscription::default() }
                })
                .collect(),
            Rule::Loads => {
                let mut named = vec![FxHashSet::default(); self.brokers];
                for load in self.events.clone().map(corpus::load) {
                    let id: Arc<str> = corpus::load_id(load).into();
                    for broker in self.subscribers_of(load) {
                        named[broker].insert(Arc::clone(&id));
                    }
                }
                let subscription = |mut loads: FxHashSet<Arc<str>>| {
                    if loads.is_empty() {
                        // A broker that is left over names a load that does not come.
                        loads.insert(Arc::from("LD-none"));
                    }
                    Subscription { loads: LoadFilter::List(loads), ..Subscription::default() }
                };
                named.into_iter().map(subscription).collect()
            }
        }
    }

    /// The two brokers that name `load`: any two, so that neighbours in the log are no neighbours among the brokers.
    fn subscribers_of(&self, load: u64) -> [usize; 2] {
        let brokers = self.brokers as u64;
        // Fibonacci hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4): the upper half is well mixed.
        let mixed = load.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let first = (mixed >> 32) % brokers;
        let second = (first + 1 + (mixed >> 16 & 0xffff) % (brokers - 1)) % brokers;
        [first, second].map(|broker| usize::try_from(broker).unwrap_or_default())
    }

    /// The bodies, in the order of the log.
    pub(super) fn bodies(&self) -> impl Iterator<Item = String> {
        self.numbered().map(|(_, body)| body)
    }

    /// The bodies with their events' numbers, in the order of the log.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u64, String)> {
        self.events.clone().map(|number| (number, corpus::event_with(number, self.ids)))
    }

    /// Writes the events into a file, one a line.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), BenchFault> {
        File::create(path).and_then(|file| self.write_to(file)).map_err(BenchFault::file(path))
    }

    /// Writes the events to the end of a file that is there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn append(&self, path: &Path) -> Result<(), BenchFault> {
        let file = File::options().append(true).open(path);
        file.and_then(|file| self.write_to(file)).map_err(BenchFault::file(path))
    }

    fn write_to(&self, file: File) -> io::Result<()> {
        let mut file = BufWriter::new(file);
        self.bodies().try_for_each(|body| writeln!(file, "{body}"))?;
        file.flush()
    }
}

/// The number of the first event of the first block. What a ledger holds beforehand is older: it has the numbers below.
const FIRST: u64 = EVENTS_PER_LOAD << 30;

/// The events of a block: blocks are twenty million events apart, more than any has, and begin with a load's first status.
fn block_of(events: u64, block: u64) -> Range<u64> {
    let start = FIRST + block * EVENTS_PER_LOAD * 4_000_000;
    start..start + events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_that_want_statuses_have_equal_shares_and_the_count_is_exact() {
        for (deliveries, brokers) in [(600, 12), (1, 5), (1_000, 7), (60_000, 12)] {
            let workload = Workload::by_status(deliveries, brokers, 3);
            let mut given = vec![0_u64; brokers];
            for number in workload.events.clone() {
                Workload::subscribers(number, brokers).for_each(|broker| given[broker] += 1);
            }
            assert!(given.iter().all(|count| *count == workload.share()), "{given:?}");
            assert_eq!(given.iter().sum::<u64>(), workload.deliveries());
            assert!((deliveries..deliveries + brokers as u64).contains(&workload.deliveries()));
        }
        assert_eq!(Workload::by_status(600, 12, 0).deliveries(), 600);
    }

    #[test]
    fn a_load_is_named_by_two_brokers_whatever_their_number() {
        for brokers in [2, 12, 1_000] {
            let workload = Workload::by_loads(600, brokers, 1);
            assert_eq!((workload.events(), workload.deliveries()), (300, 600));
            let subscriptions = workload.subscriptions();
            assert_eq!(subscriptions.len(), brokers);
            let named = subscriptions.iter().map(|subscription| match &subscription.loads {
                LoadFilter::List(loads) => loads,
                other => panic!("{other:?}"),
            });
            let named: Vec<_> = named.collect();
            for load in workload.events.clone().map(corpus::load) {
                let id = corpus::load_id(load);
                let subscribers = named.iter().filter(|loads| loads.contains(id.as_str())).count();
                assert_eq!(subscribers, 2, "{id} of {brokers}");
            }
            assert!(named.iter().all(|loads| !loads.is_empty()));
        }
    }

    #[test]
    fn blocks_have_no_event_in_common_and_begin_with_a_first_status() {
        let ends: Vec<_> = (0..3).map(|block| Workload::by_status(10_000_000, 12, block).events).collect();
        assert!(ends.windows(2).all(|pair| pair[0].end <= pair[1].start));
        assert!(ends.iter().all(|events| events.start % EVENTS_PER_LOAD == 0));
    }

    #[test]
    fn a_file_has_one_event_a_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let workload = Workload::by_status(60, 12, 0);
        workload.write(file.path()).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(text.lines().count(), 25);
        let last = |ids| corpus::event_with(FIRST + 24, ids);
        assert_eq!(text.lines().last().unwrap(), last(Ids::TimeOrdered));
        workload.append(file.path()).unwrap();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), text.repeat(2));
        assert_eq!(workload.with(Ids::Random).bodies().last().unwrap(), last(Ids::Random));
    }
}
