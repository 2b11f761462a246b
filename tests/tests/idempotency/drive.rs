//! A consumer group that runs a scheme on a log through trouble. The same scheme, log and trouble give the same run. Offsets
//! are committed for several records at once, as consumers do; after a death the group goes on from the last commit.

use std::{
    cell::Cell,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Waker},
};

use lab::oracle::Evidence;

use crate::{
    log::{Log, Record},
    world::{Fault, World},
};

/// How many records are read between two commits.
pub(crate) const COMMIT_EVERY: usize = 4;
/// How long a start takes, in milliseconds.
const START_MS: u64 = 500;
/// How many polls a run may take: a scheme that waits for ever fails its test and does not hang it.
const POLLS_MAX: usize = 100_000;

/// A way to deliver each event to each broker once. A value of it is a process: what it keeps, a death takes away.
pub(crate) trait Scheme: Default {
    /// Delivers a record to all its brokers.
    async fn consume(&self, world: &World, record: Record);
}

/// What happens to a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    /// The process dies right after this step, counted from one over the whole run.
    pub kill_after: Option<usize>,
    /// After this step the log is given to a second consumer, who reads from the last commit on; the first one ends
    /// with the record it has in hand.
    pub rebalance_after: Option<usize>,
    /// When everything was read, at this time at the earliest, everything is read again.
    pub rewind_at_ms: Option<u64>,
    /// Posts that go wrong: broker, event and how, in this order.
    pub faults: Vec<(u16, u32, Fault)>,
}

/// What outlives a process, beside the marks: how far the group has read.
#[derive(Debug, Default)]
struct Group {
    committed: Cell<usize>,
    /// Whether the first consumer has lost the log to the second.
    revoked: Cell<bool>,
}

type Consumer<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// Runs a scheme on a log through trouble, until everything is consumed.
pub(crate) fn drive<S: Scheme>(log: &Log, trouble: &Trouble) -> Evidence {
    run::<S>(log, trouble).0
}

/// How many steps a run takes.
pub(crate) fn steps<S: Scheme>(log: &Log, trouble: &Trouble) -> usize {
    run::<S>(log, trouble).1
}

fn run<S: Scheme>(log: &Log, trouble: &Trouble) -> (Evidence, usize) {
    let world = World::default();
    for &(broker, event, fault) in trouble.faults.iter().rev() {
        world.faults.borrow_mut().entry((broker, event)).or_default().push(fault);
    }
    let (group, mut kills_ms, mut trouble) = (Group::default(), Vec::new(), trouble.clone());
    loop {
        let process = S::default();
        if process_dies(&process, log, &world, &group, &mut trouble) {
            kills_ms.push(world.now_ms());
            world.marks.borrow_mut().crash();
        } else {
            world.marks.borrow_mut().flush();
            let Some(at_ms) = trouble.rewind_at_ms.take() else { break };
            world.pass(at_ms.saturating_sub(world.now_ms()));
            group.committed.set(0);
        }
        group.revoked.set(false);
        world.pass(START_MS);
    }
    (log.evidence(&world, kills_ms), world.steps())
}

/// Runs one process until everything is consumed, or until it dies, which is said.
fn process_dies<S: Scheme>(
    process: &S,
    log: &Log,
    world: &World,
    group: &Group,
    trouble: &mut Trouble,
) -> bool {
    let mut first: Option<Consumer<'_>> = Some(pin!(consume_log(process, log, world, group, true)));
    // it begins where the last commit is when it is first polled
    let mut waiting: Option<Consumer<'_>> = Some(pin!(consume_log(process, log, world, group, false)));
    let mut second: Option<Consumer<'_>> = None;
    for _ in 0..POLLS_MAX {
        let before = world.steps();
        for consumer in [&mut first, &mut second] {
            let done = consumer.as_mut().is_some_and(|consumer| poll(consumer));
            if done {
                *consumer = None;
            }
            if trouble.kill_after.take_if(|step| *step <= world.steps()).is_some() {
                return true;
            }
        }
        if trouble.rebalance_after.take_if(|step| *step <= world.steps()).is_some() {
            group.revoked.set(true);
            second = waiting.take();
            continue;
        }
        if first.is_none() && second.is_none() {
            return false;
        }
        if world.steps() == before {
            world.jump();
        }
    }
    panic!("the scheme never came to an end");
}

fn poll(consumer: &mut Consumer<'_>) -> bool {
    consumer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

async fn consume_log<S: Scheme>(process: &S, log: &Log, world: &World, group: &Group, first: bool) {
    let mut offset = group.committed.get();
    while let Some(record) = log.get(offset) {
        if first && group.revoked.get() {
            return;
        }
        world.sleep_until(record.at_ms).await;
        process.consume(world, record).await;
        offset += 1;
        let due = offset.is_multiple_of(COMMIT_EVERY) || log.get(offset).is_none();
        // a group takes no commit from a consumer that has lost the log
        if due && !(first && group.revoked.get()) {
            world.step(|| group.committed.set(offset)).await;
        }
    }
}
