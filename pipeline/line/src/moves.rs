//! Partitions that are taken away from a line while it runs: released in good order, or lost.
//!
//! Guarantees: from the call on no record of the partition is taken in; once a release has been answered none is under
//! way, its checkpoint is on record, and nobody else's deliveries have waited for it.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use state::{Ledger, Record, StateFault};
use tokio::{sync::mpsc, time::timeout};

use super::{
    command::Command,
    doubt::Doubt,
    fault::LineFault,
    handle::LineHandle,
    ingest::Arriving,
    leftovers::Leftovers,
    limits::Shared,
    partitions::{Ask, Partition, Partitions},
    reply::{Reply, reply},
    ticket::Tickets,
};
use crate::source::Cursor;

/// How far a partition that was released has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// The place below which everything is settled, and on record as such; none if nothing has been settled since the
    /// partition came.
    pub cursor: Option<Cursor>,
    /// Whether everything that was read of it is settled. If not, there was no room on disk for what waited, or the line
    /// was stopped meanwhile: what lies behind `cursor` is read again by whoever gets the partition.
    pub settled: bool,
    /// Whether nothing of it can have been sent of which no outcome is on record, and all of it is settled.
    pub clean: bool,
}

impl LineHandle {
    /// Takes a partition away from the line in good order; its stream must have ended. Brokers that keep up go on taking what
    /// is in memory for as long as the limit `hand_over`. Then nothing of it is started any more. What is on the wire comes to
    /// its end, which the timeout of an attempt bounds. What waits in memory goes to its broker's disk queue with its history.
    /// The checkpoint follows; then the partition is no longer one of the line's, and one of the same name may come.
    ///
    /// What waits on the disk queue when this returns stays in the care of this process: it is sent from here. Where the
    /// partition's state goes to a log, it is there and no longer here, and nothing more of the partition goes there.
    ///
    /// If the line does not have the partition, or has ended, this returns at once what is true. If the line stops
    /// meanwhile, it returns when that has stopped. It may be dropped at any time: the partition is released all the same.
    pub async fn release(&self, source: &str) -> Released {
        let Partition { tickets, .. } = self.shared.partitions.release(source);
        tickets.left().await;
        let settled = tickets.span() == 0;
        Released {
            cursor: tickets.watermark(),
            settled,
            clean: settled && !tickets.is_doubted() && self.shared.partitions.is_clean(),
        }
    }

    /// Takes a partition away from the line at once: someone else may have it already. Nothing of it is started any more,
    /// what waits in memory is forgotten, and no checkpoint of it is written. Attempts on the wire come to their end, and
    /// go on record, but nothing waits for them. One of the same name may come at once.
    ///
    /// What waits on disk queues stays, and is sent from here; where the partition's state goes to a log, it is dropped.
    pub fn lose(&self, source: &str) {
        self.shared.partitions.lose(source);
    }
}

/// The partitions that are on their way out of a run.
pub(super) struct Moves {
    shared: Arc<Shared>,
    commands: Commands,
    ledger: Ledger,
    /// See [`Limits::hand_over`](super::limits::Limits::hand_over).
    hand_over: Duration,
    under_way: FuturesUnordered<BoxFuture<'static, Result<(), LineFault>>>,
}

impl Moves {
    /// `hand_over` is the limit of that name.
    pub(super) fn new(
        shared: &Arc<Shared>,
        commands: Commands,
        ledger: &Ledger,
        hand_over: Duration,
    ) -> Self {
        let (shared, ledger) = (shared.clone(), ledger.clone());
        Self { shared, commands, ledger, hand_over, under_way: FuturesUnordered::new() }
    }

    /// Has brokers that keep up take what is in memory of all partitions, of which no more is read, and the others' part put
    /// on disk; ends when nothing is left, or when the limit is reached. The run must be stopping.
    pub(super) fn hand_over_all(&self) -> impl Future<Output = ()> + Send + use<> {
        let (partitions, commands, within) =
            (self.shared.partitions.clone(), self.commands.clone(), self.hand_over);
        async move {
            let all = async {
                for partition in &*partitions.snapshot() {
                    tell_all(&commands, || Command::HandOver(partition.clone())).await;
                }
                partitions.done().await;
            };
            let _is_done = within.is_zero() || timeout(within, all).await.is_ok();
        }
    }

    /// Begins what was [asked](Partitions::asked); `arriving` are the partitions that are still to come.
    pub(super) fn see_to(&mut self, arriving: &mut Arriving) -> Result<(), LineFault> {
        for ask in self.shared.partitions.take_asked() {
            let (partitions, commands) = (self.shared.partitions.clone(), self.commands.clone());
            let leftovers = || Leftovers::new(&self.shared, &self.ledger);
            self.under_way.push(match ask {
                Ask::Release(partition) => {
                    let (leftovers, within) = (leftovers(), self.hand_over);
                    Box::pin(async move {
                        hand_over(&partition, &commands, within).await;
                        release(partition, partitions, commands, leftovers).await
                    })
                }
                Ask::Lose(partition) => {
                    self.ledger.lose(&partition.source);
                    Box::pin(lose(partition, partitions, commands, leftovers()))
                }
                Ask::Adopt(source, reply) => {
                    let leftovers = leftovers();
                    Box::pin(async move {
                        leftovers.adopt(&source).await?;
                        reply.send();
                        Ok(())
                    })
                }
            });
        }
        // Whoever asked has given the partition before: if it has not come by now, it never will.
        let taken = arriving.take_those_there();
        self.shared.partitions.forget_early();
        taken
    }

    /// Waits until one of them has left. May be dropped at any time.
    pub(super) async fn step(&mut self) -> Result<(), LineFault> {
        match self.under_way.next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Moves {
    fn drop(&mut self) {
        self.shared.partitions.end();
    }
}

/// Whoever waits for the partition to leave waits no longer than this is there, also if the run ends meanwhile.
struct Leaves<'t>(&'t Tickets);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Where each shard is told what to do.
type Commands = Arc<[mpsc::Sender<Command>]>;

/// Tells every shard; one that has ended needs to know nothing.
async fn tell_all(commands: &Commands, mut command: impl FnMut() -> Command) {
    for shard in &**commands {
        let _ended = shard.send(command()).await;
    }
}

/// Tells every shard, and waits until each has answered or ended.
async fn ask_all(commands: &Commands, command: impl Fn(Reply) -> Command) {
    let mut waiting = Vec::new();
    let ask = || {
        let (reply, answer) = reply();
        waiting.push(answer);
        command(reply)
    };
    tell_all(commands, ask).await;
    for answer in waiting {
        let _ended = answer.await;
    }
}

/// Has brokers that keep up take what is in memory of a partition, of which no more is read.
async fn hand_over(partition: &Partition, commands: &Commands, within: Duration) {
    if !within.is_zero() {
        tell_all(commands, || Command::HandOver(partition.clone())).await;
        // What is left then goes to disk.
        let _is_done = timeout(within, partition.tickets.gone()).await.is_ok();
    }
}

async fn release(
    partition: Partition,
    partitions: Partitions,
    commands: Commands,
    leftovers: Leftovers,
) -> Result<(), LineFault> {
    let Partition { source, tickets } = &partition;
    let leaves = Leaves(tickets);
    tickets.begin_to_leave();
    ask_all(&commands, |reply| Command::Leave { partition: partition.clone(), reply }).await;
    tickets.gone().await;
    let ledger = leftovers.ledger();
    let _proofs = partitions.checkpoint(&partition, ledger).await?;
    if ledger.holds(source) {
        note_doubt(&partition, ledger)?;
        let certain = tickets.span() == 0 && !tickets.is_doubted();
        if let Some(horizon) = last_horizon(&partition, ledger, certain)? {
            let _proof = ledger.record(horizon).await?;
        }
        drop_all(&leftovers, source, &commands).await?;
        ledger.let_go(source);
    }
    // Before one of the same name may come: a shard would take its deliveries for those of this one.
    ask_all(&commands, |reply| Command::Left { partition: source.clone(), reply }).await;
    partitions.leave(&partition);
    drop(leaves);
    Ok(())
}

async fn lose(
    partition: Partition,
    partitions: Partitions,
    commands: Commands,
    leftovers: Leftovers,
) -> Result<(), LineFault> {
    let Partition { source, tickets } = &partition;
    let leaves = Leaves(tickets);
    tell_all(&commands, || Command::Lost(tickets.clone())).await;
    let follows = leftovers.ledger().is_followed(source)?;
    if follows {
        // What is on disk of it is somebody else's, too.
        ask_all(&commands, |reply| Command::Leave { partition: partition.clone(), reply }).await;
    }
    tickets.gone().await;
    if follows {
        drop_all(&leftovers, source, &commands).await?;
        ask_all(&commands, |reply| Command::Left { partition: source.clone(), reply }).await;
    }
    partitions.leave(&partition);
    drop(leaves);
    tell_all(&commands, || Command::Gone(tickets.clone())).await;
    Ok(())
}

/// The last horizon of a partition that is read no further: none if it is `certain` that nothing of it is open, and
/// otherwise how far it was read, by this process or before it, which is nearer than what was promised ahead. No record if
/// this process has read nothing.
pub(super) fn last_horizon(
    Partition { source, tickets }: &Partition,
    ledger: &Ledger,
    certain: bool,
) -> Result<Option<Record>, StateFault> {
    if certain {
        return Ok(Some(Record::Horizon(source.clone(), None)));
    }
    let doubt = Doubt::of(source, ledger)?.horizon();
    let reached = tickets.newest().map(|newest| doubt.max(Some(newest)));
    Ok(reached.map(|horizon| Record::Horizon(source.clone(), horizon)))
}

/// Notes whether someone else may have sent what lies behind the watermark.
pub(super) fn note_doubt(
    Partition { source, tickets }: &Partition,
    ledger: &Ledger,
) -> Result<(), StateFault> {
    let doubt = Doubt::of(source, ledger)?;
    if doubt.horizon().is_some() && !tickets.watermark().is_some_and(|cursor| doubt.is_passed_by(&cursor)) {
        tickets.doubt();
    }
    Ok(())
}

/// Removes what is on disk of a partition whose log says that it waits, here and in what every shard knows.
async fn drop_all(leftovers: &Leftovers, source: &Arc<str>, commands: &Commands) -> Result<(), LineFault> {
    let mut after = None;
    // What is on its way to disk is found there.
    leftovers.ledger().flushed().await?;
    loop {
        let dropped: Arc<[_]> = leftovers.drop_some(source, &mut after).await?.into();
        if dropped.is_empty() {
            return Ok(());
        }
        // In this order: a read that began before the shard knows finds what it knows, or nothing.
        ask_all(commands, |reply| Command::Dropped { dropped: dropped.clone(), reply }).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use state::{Clock, CommitOptions, Durability, SimulatedDisk, Store, StoreOptions};

    use super::*;

    #[tokio::test]
    async fn one_of_the_same_name_may_come_only_once_every_shard_knows_that_the_other_has_left() {
        let (durability, clock) = (Durability::Process, Clock::System);
        let options = StoreOptions { durability, dedupe_window: 3_600_000, cache: 1 << 20, clock };
        let store = Store::open_simulated(&SimulatedDisk::new(), options).unwrap();
        let commits = CommitOptions { commit_max: 64, linger: Duration::ZERO, inbox_max: 64 };
        let (ledger, work) = Ledger::start_inline(store, commits).unwrap();
        drop(tokio::spawn(work));
        let (partitions, name) = (Partitions::new(8), Arc::from("t/0"));
        let partition = partitions.take_in(&name).unwrap().unwrap();
        let (shard, mut commands) = mpsc::channel(8);
        partitions.release("t/0");
        let shared = Arc::new(Shared::new(&crate::testing::limits(), 1, partitions.clone()));
        let leftovers = Leftovers::new(&shared, &ledger);
        let mut released =
            Box::pin(release(partition.clone(), partitions.clone(), [shard].into(), leftovers));
        let mut answers = Vec::new();
        while answers.len() < 2 {
            tokio::select! {
                _ = &mut released => unreachable!("it waits for the shard"),
                command = commands.recv() => match command.unwrap() {
                    Command::Leave { reply, .. } => reply.send(),
                    Command::Left { reply, .. } => answers.push(reply),
                    _ => unreachable!("nothing else is asked"),
                },
                () = tokio::task::yield_now(), if !answers.is_empty() => break,
            }
        }
        assert!((&mut released).now_or_never().is_none() && partitions.take_in(&name).is_err());
        assert!(partition.tickets.left().now_or_never().is_none());
        answers.into_iter().for_each(Reply::send);
        released.await.unwrap();
        partition.tickets.left().await;
        assert!(partitions.take_in(&name).unwrap().is_some());
    }
}
