//! The partitions of a run's source, as they come and go: each has tickets and a watermark of its own, so that a record
//! that stays open in one holds nothing of another; what is counted, dropped or stopped is one thing for all of them.
//!
//! Guarantees: no two that are there have the same name; one that comes again has tickets of its own, so that what is late
//! of its earlier stay changes nothing of it; of one that is not there any more no checkpoint is written.

use std::sync::Arc;

use parking_lot::Mutex;
use state::{Checkpoint, Ledger, Record, Recorded, StateFault};
use tokio::sync::Notify;

use super::{
    fault::LineFault,
    reply::{Reply, reply},
    ticket::Tickets,
};

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// The name under which its positions and its checkpoint are kept.
    pub source: Arc<str>,
    /// Its records that were read and are not settled.
    pub tickets: Tickets,
}

/// All partitions of a run. Clones share them.
#[derive(Clone, Debug)]
pub struct Partitions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Those of no partition, for what all of them share.
    tickets: Tickets,
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Those that are there, in the order in which they came.
    live: Arc<[Partition]>,
    /// Those that were taken away, for the run to see to.
    asked: Vec<Ask>,
    /// Those that were taken away before the run has taken them in, each with whether the run knows.
    early: Vec<(Partition, bool)>,
    /// Those that were lost, and of which something is still on disk here.
    departing: Vec<Partition>,
    /// Those of which their log says that they are somebody else's, and whose source does not know yet.
    superseded: Vec<Arc<str>>,
    /// Whether the run has ended.
    ended: bool,
    /// Whether it has, with everything that was sent on record.
    clean: bool,
}

/// What the run is to do with a partition that was taken away.
#[derive(Debug)]
pub(super) enum Ask {
    /// Bring its deliveries to their end, or to disk.
    Release(Partition),
    /// Forget its deliveries.
    Lose(Partition),
    /// Tell the log of its state what waits of it here.
    Adopt(Arc<str>, Reply),
}

impl Partitions {
    /// None so far, of which each will have `span_max` records between the oldest unsettled and the newest.
    pub(super) fn new(span_max: usize) -> Self {
        Self::of(Tickets::new(span_max), [])
    }

    fn of(tickets: Tickets, live: impl Into<Arc<[Partition]>>) -> Self {
        let state = State { live: live.into(), ..State::default() };
        Self(Arc::new(Inner { tickets, state: Mutex::new(state), asked: Notify::new() }))
    }

    /// Those that are there now, in the order in which they came.
    #[must_use]
    pub fn snapshot(&self) -> Arc<[Partition]> {
        self.0.state.lock().live.clone()
    }

    /// Takes one in; none if it was taken away before that.
    ///
    /// # Errors
    /// [`LineFault::PartitionTwice`] if one of that name is there.
    pub(super) fn take_in(&self, source: &Arc<str>) -> Result<Option<Partition>, LineFault> {
        let mut state = self.0.state.lock();
        state.superseded.retain(|superseded| superseded != source);
        if let Some(at) = state.early.iter().position(|(early, _)| early.source == *source) {
            state.early.remove(at).0.tickets.leave();
            return Ok(None);
        }
        if state.live.iter().any(|live| live.source == *source) {
            return Err(LineFault::PartitionTwice { partition: source.clone() });
        }
        let partition = Partition { source: source.clone(), tickets: self.0.tickets.beside() };
        state.live = state.live.iter().cloned().chain([partition.clone()]).collect();
        Ok(Some(partition))
    }

    /// Takes a partition away in good order: no more of it is read. It stays until it has [left](Self::leave).
    pub(super) fn release(&self, source: &str) -> Partition {
        let mut state = self.0.state.lock();
        let found = state.live.iter().find(|live| &*live.source == source).cloned();
        let partition = match found {
            // Whoever asks twice waits for the same end.
            Some(partition) if partition.tickets.is_retired() => return partition,
            Some(partition) => {
                partition.tickets.retire();
                state.ask(Ask::Release(partition.clone()));
                partition
            }
            None if state.take_superseded(source) => {
                let partition = Partition { source: Arc::from(source), tickets: self.0.tickets.beside() };
                partition.tickets.lose();
                partition.tickets.leave();
                return partition;
            }
            None => state.early(source, &self.0.tickets),
        };
        drop(state);
        self.0.asked.notify_one();
        partition
    }

    /// Takes a partition away at once: someone else may have it already.
    pub(super) fn lose(&self, source: &str) {
        let mut state = self.0.state.lock();
        if !state.lose(source) && !state.take_superseded(source) {
            drop(state.early(source, &self.0.tickets));
        }
        drop(state);
        self.0.asked.notify_one();
    }

    /// The log of its state says that a partition is somebody else's: it is lost, before its source knows.
    pub(super) fn supersede(&self, source: &str) {
        let mut state = self.0.state.lock();
        if state.lose(source) {
            state.superseded.push(Arc::from(source));
        }
        drop(state);
        self.0.asked.notify_one();
    }

    /// From now on what becomes of a partition goes to its log, unless it has been taken away.
    pub(super) fn hold(&self, partition: &Partition, ledger: &Ledger) {
        // Within the lock: whoever loses it afterwards finds it held.
        self.with_live(|live| {
            let is_here = live.iter().any(|live| live.tickets.is(&partition.tickets));
            if is_here && !partition.tickets.is_retired() {
                ledger.hold(&partition.source);
            }
        });
    }

    /// Returns once nothing is left here of an earlier stay of a partition that was lost.
    pub(super) async fn departed(&self, source: &str) {
        loop {
            let departing =
                self.0.state.lock().departing.iter().find(|left| &*left.source == source).cloned();
            let Some(partition) = departing else { return };
            partition.tickets.left().await;
        }
    }

    /// Tells the log of a partition's state what waits of it here.
    pub(super) async fn adopt(&self, source: &Arc<str>) {
        let (reply, waits) = reply();
        self.0.state.lock().ask(Ask::Adopt(source.clone(), reply));
        self.0.asked.notify_one();
        // If it is never reply, the run is over.
        let _over = waits.await;
    }

    /// Returns once something was asked since the last call. May be dropped at any time.
    pub(super) async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// What was asked.
    pub(super) fn take_asked(&self) -> Vec<Ask> {
        let mut state = self.0.state.lock();
        state.early.iter_mut().for_each(|(_, known)| *known = true);
        std::mem::take(&mut state.asked)
    }

    /// All that had been given when it was [last asked](Self::take_asked) has been taken in: those that were taken away
    /// by then and have not come never will.
    pub(super) fn forget_early(&self) {
        let known = |(early, known): &(Partition, bool)| {
            if *known {
                early.tickets.leave();
            }
            !*known
        };
        self.0.state.lock().early.retain(known);
    }

    /// The partition is not there any more.
    pub(super) fn leave(&self, partition: &Partition) {
        let mut state = self.0.state.lock();
        state.remove(partition);
        state.departing.retain(|departing| !departing.tickets.is(&partition.tickets));
    }

    /// The run has ended; `clean` if the outcome of everything that was sent is on record.
    pub(super) fn finished(&self, clean: bool) {
        self.0.state.lock().clean = clean;
    }

    /// Whether nothing can have been sent of which no outcome is on record, if nothing of it is under way.
    pub(super) fn is_clean(&self) -> bool {
        let state = self.0.state.lock();
        !state.ended || state.clean
    }

    /// Writes a partition's checkpoint, with proof that it is on record; writes nothing if the partition is not there any
    /// more.
    pub(super) fn checkpoint(
        &self,
        partition: &Partition,
        ledger: &Ledger,
    ) -> impl Future<Output = Result<Vec<Recorded>, StateFault>> + Send + use<> {
        // Within the lock: no checkpoint of an earlier watermark may come after this one.
        self.with_live(|live| {
            let is_there = live.iter().any(|live| live.tickets.is(&partition.tickets));
            let checkpoint = if is_there { partition.checkpoint() } else { None };
            ledger.record_all(checkpoint.into_iter().collect())
        })
    }

    /// Looks at those that are there while none can leave: what is written of them takes its place before that.
    pub(super) fn with_live<T>(&self, look: impl FnOnce(&[Partition]) -> T) -> T {
        look(&self.0.state.lock().live)
    }

    /// The run has ended: whoever waits for a partition to leave waits no longer.
    pub(super) fn end(&self) {
        let mut state = self.0.state.lock();
        state.ended = true;
        state.asked.clear();
        std::mem::take(&mut state.departing).iter().for_each(|partition| partition.tickets.leave());
        let early = std::mem::take(&mut state.early);
        let early = early.iter().map(|(partition, _)| partition);
        state.live.iter().chain(early).for_each(|partition| partition.tickets.leave());
    }

    /// Whether one of them may read no more: what it holds open must be seen to.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.snapshot().iter().any(|partition| partition.tickets.is_full())
    }

    /// From now on an unsettled ticket is an abandoned one.
    pub fn stopping(&self) {
        self.0.tickets.stopping();
    }

    /// Returns once none of the records of those that are there now is under way any more; the run must be
    /// [stopping](Self::stopping).
    pub(super) async fn done(&self) {
        for partition in &*self.snapshot() {
            partition.tickets.done().await;
        }
    }

    /// Returns once a ticket of any of them has been dropped unsettled.
    pub async fn nacked(&self) {
        self.0.tickets.nacked().await;
    }

    /// Returns once a watermark has moved that has moved since the last call. May be dropped at any time.
    pub(super) async fn moved(&self) {
        self.0.tickets.moved().await;
    }

    /// Tickets and shares of all of them dropped unsettled although the line was not stopping.
    #[must_use]
    pub fn nack_count(&self) -> u64 {
        self.0.tickets.nack_count()
    }

    /// Records read so far, from all partitions there were.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.0.tickets.issued()
    }

    /// Records settled so far, of all partitions there were.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.0.tickets.settled()
    }
}

impl State {
    fn ask(&mut self, ask: Ask) {
        match (self.ended, ask) {
            (true, Ask::Release(partition) | Ask::Lose(partition)) => partition.tickets.leave(),
            (true, Ask::Adopt(..)) => {}
            (false, ask) => self.asked.push(ask),
        }
    }

    /// Takes a partition away that is there.
    fn lose(&mut self, source: &str) -> bool {
        let found = self.live.iter().find(|live| &*live.source == source).cloned();
        let Some(partition) = found else { return false };
        partition.tickets.lose();
        self.remove(&partition);
        if !self.ended {
            self.departing.push(partition.clone());
        }
        self.ask(Ask::Lose(partition));
        true
    }

    /// Whether the source is the last to know that this partition is lost; from now on it does.
    fn take_superseded(&mut self, source: &str) -> bool {
        let known = self.superseded.iter().position(|superseded| &**superseded == source);
        known.map(|at| self.superseded.remove(at)).is_some()
    }

    /// A partition of this name was taken away that the run has not taken in, or never will.
    fn early(&mut self, source: &str, tickets: &Tickets) -> Partition {
        let partition = Partition { source: Arc::from(source), tickets: tickets.beside() };
        partition.tickets.retire();
        if self.ended {
            partition.tickets.leave();
        } else {
            self.early.push((partition.clone(), false));
        }
        partition
    }

    fn remove(&mut self, partition: &Partition) {
        if self.live.iter().any(|live| live.tickets.is(&partition.tickets)) {
            self.live =
                self.live.iter().filter(|live| !live.tickets.is(&partition.tickets)).cloned().collect();
        }
    }
}

impl Partition {
    /// Its checkpoint, if its watermark has moved since it was last written down.
    pub(super) fn checkpoint(&self) -> Option<Record> {
        let reached = self.tickets.take_moved()?;
        Some(Record::Checkpoint(self.source.clone(), Checkpoint::from(&reached)))
    }
}

#[cfg(test)]
impl From<Tickets> for Partitions {
    fn from(tickets: Tickets) -> Self {
        let test = Partition { source: Arc::from("test"), tickets: tickets.clone() };
        Self::of(tickets, [test])
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use state::Position;

    use super::*;
    use crate::{testing::after, ticket::Ticket};

    fn three(span_max: usize) -> (Partitions, [Partition; 3]) {
        let all = Partitions::new(span_max);
        let each = ["t/0", "t/1", "t/2"].map(|name| all.take_in(&Arc::from(name)).unwrap().unwrap());
        (all, each)
    }

    fn issue(partition: &Partition, at: u64) -> Option<Ticket> {
        partition.tickets.issue(Position::new(partition.source.clone(), 0, at), after(at), false)
    }

    fn names(all: &Partitions) -> Vec<String> {
        all.snapshot().iter().map(|partition| partition.source.to_string()).collect()
    }

    #[tokio::test]
    async fn what_is_open_in_one_fills_it_alone_and_what_is_dropped_stops_them_all() {
        let (all, [zero, one, two]) = three(2);
        let held = [issue(&one, 0), issue(&one, 1)];
        assert!(one.tickets.is_full() && !zero.tickets.is_full() && all.is_full());
        let other = issue(&two, 7);
        assert_eq!((all.issued(), two.tickets.span(), all.settled()), (3, 1, 0));
        assert_eq!(all.nack_count(), 0);
        drop(other);
        all.nacked().await;
        assert_eq!((all.nack_count(), zero.tickets.nack_count()), (1, 1));
        all.stopping();
        drop(held);
        assert_eq!(all.nack_count(), 1, "what is abandoned by a line that stops is nobody's defect");
    }

    #[tokio::test]
    async fn one_that_was_lost_is_gone_at_once_and_one_of_its_name_may_come_with_tickets_of_its_own() {
        let (all, [zero, ..]) = three(2);
        let open = issue(&zero, 0);
        let twice = all.take_in(&zero.source);
        assert!(matches!(twice, Err(LineFault::PartitionTwice { partition }) if *partition == *"t/0"));
        all.lose("t/0");
        assert_eq!(names(&all), ["t/1", "t/2"]);
        assert!(issue(&zero, 1).is_none(), "nothing more of it is read");
        let again = all.take_in(&zero.source).unwrap().unwrap();
        assert_eq!((names(&all).len(), again.tickets.span(), zero.tickets.span()), (3, 0, 1));
        assert!(zero.tickets.gone().now_or_never().is_none());
        drop(open);
        zero.tickets.gone().await;
        assert_eq!((all.nack_count(), again.tickets.watermark()), (0, None), "abandoned, not dropped");
    }

    #[tokio::test]
    async fn one_that_is_released_stays_until_it_has_left_and_whoever_asks_twice_waits_for_the_same_end() {
        let (all, [zero, ..]) = three(2);
        let (one, other) = (all.release("t/0"), all.release("t/0"));
        assert!(one.tickets.is(&zero.tickets) && other.tickets.is(&zero.tickets));
        assert_eq!((names(&all).len(), all.take_asked().len()), (3, 1));
        assert!(all.take_in(&zero.source).is_err(), "it is there still");
        assert!(one.tickets.left().now_or_never().is_none());
        all.end();
        other.tickets.left().await;
    }

    #[tokio::test]
    async fn one_that_is_taken_away_before_it_has_come_does_not_come_and_the_next_of_its_name_does() {
        let (all, _) = three(2);
        let name = Arc::from("t/9");
        let released = all.release("t/9");
        all.lose("t/8");
        assert!(all.take_asked().is_empty());
        all.lose("t/7");
        assert!(all.take_in(&name).unwrap().is_none());
        released.tickets.left().await;
        all.forget_early();
        assert!(all.take_in(&name).unwrap().is_some() && all.take_in(&Arc::from("t/8")).unwrap().is_some());
        assert!(all.take_in(&Arc::from("t/7")).unwrap().is_none(), "that it was taken away came later");
        all.end();
        assert!(all.release("t/6").tickets.left().now_or_never().is_some(), "the run has ended");
    }
}
