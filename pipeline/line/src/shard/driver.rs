//! Drives the core of a shard in real life: its effects become futures, writes and log lines, and what comes of them goes
//! back in as inputs, with the time. Owns the clock, the channels and everything that waits.
//!
//! Guarantees: effects are carried out in the order in which the core gives them, so what is written takes its place in the
//! ledger's order then and there; a fault of the state ends the shard.

use std::{
    pin::{Pin, pin},
    sync::Arc,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use stages::{
    Ack, Stage,
    models::{Delivery, Fault, Receipt},
};
use state::Clock;
use tokio::{
    sync::mpsc,
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    attempt::Done,
    broker_queue::BrokerQueue,
    core::Core,
    env::Env,
    perform::perform,
    step::{Arrival, Effect, Input},
};
use crate::{
    command::{Command, Replay},
    limits::{Limits, Shared},
    stop::{Level, Stop},
};

/// How many ends, or arrivals, are taken together before anything else is looked at.
const TOGETHER_MAX: usize = 32;

/// While ends come without end, arrivals are taken in one of so many turns. A delivery ends at least twice, on the wire and
/// on record, so as many turns for arrivals as for ends would begin more than they finish: memory would fill up with what
/// has been begun, and each would be out of the processor's caches when its end comes.
const ARRIVALS_EVERY: usize = 4;

/// After so many turns what is rare is asked for first, so that what is frequent does not starve it.
const RARE_EVERY: usize = 16;

/// What happens rarely, while ends and arrivals come by the thousand.
enum Rare {
    Stop(Level),
    Command(Command),
    TimeReached,
}

/// The next of what is rare.
async fn rare(stop: &mut Stop, commands: &mut mpsc::Receiver<Command>, wake: Pin<&mut Sleep>) -> Rare {
    tokio::select! {
        biased;
        level = stop.changed() => Rare::Stop(level),
        Some(command) = commands.recv() => Rare::Command(command),
        () = wake => Rare::TimeReached,
    }
}

/// What a shard leaves behind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShardReport {
    /// Deliveries that were on the wire when the grace period ended: they may repeat.
    pub(crate) abandoned: usize,
}

/// One shard at work.
pub(crate) struct Driver<Stages> {
    core: Core,
    env: Env<Stages>,
    /// What has been begun and has not ended.
    pending: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Used again and again, so that a delivery allocates none.
    effects: Vec<Effect>,
}

impl<Stages: Stage<In = Delivery, Out = Receipt>> Driver<Stages> {
    pub(crate) fn new(
        stages: Arc<Stages>,
        ack: Ack,
        limits: Limits,
        shared: Arc<Shared>,
        queues: Vec<BrokerQueue>,
    ) -> Self {
        let clock: Clock = ack.clock().clone();
        let core = Core::new(shared.counters.clone(), queues, Instant::now());
        let env = Env { stages, ack, clock, limits, shared };
        Self { core, env, pending: FuturesUnordered::new(), effects: Vec::with_capacity(4 * TOGETHER_MAX) }
    }

    /// Serves its brokers until the input has ended and nothing is left, or until it is stopped.
    pub(crate) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Arrival>,
        mut commands: mpsc::Receiver<Command>,
        mut stop: Stop,
    ) -> Result<ShardReport, Fault> {
        let (mut arriving, mut turns) = (true, 0_usize);
        self.core.advance_all(self.env.at(), &mut self.effects);
        perform(&self.env, &self.core, &self.pending, self.effects.drain(..), &mut None);
        // Moved only when its time changes: registering a timer for every event would cost more than the event.
        let mut wake = pin!(sleep_until(Instant::now()));
        while arriving || !self.is_done() {
            // What arrives is taken in first, however late: the intake has been told to end.
            let deadline = self.core.deadline(&self.env.limits).filter(|_| !arriving);
            let next_wake = self.core.next_wake(deadline);
            if wake.deadline() != next_wake {
                wake.as_mut().reset(next_wake);
            }
            turns += 1;
            let first = if turns % RARE_EVERY == 0 {
                rare(&mut stop, &mut commands, wake.as_mut()).now_or_never()
            } else {
                None
            };
            if let Some(rare) = first {
                self.take_rare(rare);
            } else {
                tokio::select! {
                    // In this order, so that a run can be repeated; what is rare costs the most to ask for.
                    biased;
                    Some(done) = self.pending.next(), if !self.pending.is_empty() => {
                        self.take_ends(done)?;
                        if turns % ARRIVALS_EVERY == 0 && let Ok(arrival) = inbox.try_recv() {
                            self.take_arrivals(arrival, &mut inbox);
                        }
                    }
                    arrival = inbox.recv(), if arriving => match arrival {
                        Some(arrival) => self.take_arrivals(arrival, &mut inbox),
                        None => {
                            arriving = false;
                            self.give(Input::ArrivalsEnded);
                        }
                    },
                    rare = rare(&mut stop, &mut commands, wake.as_mut()) => self.take_rare(rare),
                }
            }
            if deadline.is_some_and(|at| at <= Instant::now()) {
                if self.core.is_stopping() {
                    self.take_back()?;
                    break;
                }
                // What finds no room on disk stays with the source: nobody's defect.
                self.env.shared.partitions.stopping();
                self.give(Input::Stop(Level::Drain));
            }
        }
        Ok(ShardReport { abandoned: self.core.running_count() })
    }

    fn is_done(&self) -> bool {
        if self.core.is_stopping() {
            // A read is not waited for: it may itself wait for room in memory.
            return self.pending.len() == self.core.reads() && self.core.running_count() == 0;
        }
        self.pending.is_empty() && self.core.is_idle()
    }

    /// Gives the core one input and carries out what it asks for.
    fn give(&mut self, input: Input) {
        let Self { core, env, pending, effects } = self;
        let at = env.at();
        core.step(input, at, effects);
        perform(env, core, pending, effects.drain(..), &mut None);
        core.advance_dirty(at, effects);
        perform(env, core, pending, effects.drain(..), &mut None);
    }

    fn take_rare(&mut self, rare: Rare) {
        match rare {
            Rare::Stop(level) => self.give(Input::Stop(level)),
            Rare::Command(command) => self.obey(command),
            Rare::TimeReached => self.give(Input::TimeReached),
        }
    }

    /// Carries out a command.
    fn obey(&mut self, command: Command) {
        match command {
            Command::Replay { mut replays, reply } => {
                self.keep_here(&mut replays);
                self.core.step(Input::Replay(replays), self.env.at(), &mut self.effects);
                // There is one effect, and whoever asked waits for its outcome.
                perform(&self.env, &self.core, &self.pending, self.effects.drain(..), &mut Some(reply));
            }
            Command::Admit { new_broker, reply } => {
                let admitted = !self.core.is_stopping();
                if admitted {
                    let queue = new_broker.into_queue(&self.env.shared, &self.env.limits);
                    self.give(Input::BrokerAdded(Box::new(queue)));
                }
                // Who has not waited for the answer does not need it.
                let _gone = reply.send(admitted).is_err();
            }
            Command::HandOver(partition) => self.give(Input::HandOver(partition)),
            Command::Leave { partition, reply } => self.give(Input::Leave { partition, reply }),
            Command::Dropped { dropped, reply } => {
                self.give(Input::Dropped(dropped));
                reply.send();
            }
            Command::Left { partition, reply } => {
                self.give(Input::Left { partition });
                reply.send();
            }
            Command::Lost(tickets) => self.give(Input::Lost(tickets)),
            Command::Gone(tickets) => self.give(Input::Gone(tickets)),
        }
    }

    /// Sees to it that what is sent again stays here, as its letter did, where partitions come and go: its letter is removed
    /// before any log could have it, and the partition may be somebody else's already.
    fn keep_here(&self, replays: &mut [Replay]) {
        if self.env.ack.ledger().follows() {
            replays.iter_mut().for_each(Replay::stay);
        }
    }

    /// Takes what has ended, and what else has ended already: so everything else is not asked after for every single one.
    fn take_ends(&mut self, first: Done) -> Result<(), Fault> {
        let Self { core, env, pending, effects } = self;
        let at = env.at();
        core.step(first?, at, effects);
        perform(env, core, pending, effects.drain(..), &mut None);
        for _ in 1..TOGETHER_MAX {
            // Nothing is missed: the loop asks again, to be woken, before it waits.
            let Some(done) = pending.next().now_or_never().flatten() else { break };
            core.step(done?, at, effects);
            perform(env, core, pending, effects.drain(..), &mut None);
        }
        core.advance_dirty(at, effects);
        perform(env, core, pending, effects.drain(..), &mut None);
        Ok(())
    }

    /// Takes an arrival, and those that have come with it.
    fn take_arrivals(&mut self, first: Arrival, inbox: &mut mpsc::Receiver<Arrival>) {
        let Self { core, env, pending, effects } = self;
        let at = env.at();
        core.step(Input::Arrived(first), at, effects);
        perform(env, core, pending, effects.drain(..), &mut None);
        for _ in 1..TOGETHER_MAX {
            let Ok(arrival) = inbox.try_recv() else { break };
            core.step(Input::Arrived(arrival), at, effects);
            perform(env, core, pending, effects.drain(..), &mut None);
        }
        core.advance_dirty(at, effects);
        perform(env, core, pending, effects.drain(..), &mut None);
    }

    /// Takes in what has ended by now: what never was on the wire must not count as if it had been.
    fn take_back(&mut self) -> Result<(), Fault> {
        while let Some(done) = unconstrained(self.pending.next()).now_or_never().flatten() {
            self.take_ends(done)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
