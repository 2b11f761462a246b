//! The world a scheme runs in: a clock, brokers that take what is posted, and a place to keep marks in.
//!
//! Everything a scheme does to the world is one step: it takes effect, then the scheme is suspended. So
//! another consumer can act, or the process can die, between any two steps, also after a broker has taken an event
//! and before the scheme has seen the answer. The same schedule gives the same run.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    task::Poll,
};

use lab::oracle::{self, Observation};

use crate::{log::Delivery, store::Marks};

/// How long a step takes, in milliseconds.
const STEP_MS: u64 = 1;
/// How long a broker takes to answer, in milliseconds.
const ANSWER_MS: u64 = 10;
/// How long a sender waits for an answer, in milliseconds.
pub(crate) const TIMEOUT_MS: u64 = 1_000;
/// The pause before a delivery is tried again, in milliseconds.
const PAUSE_MS: u64 = 100;

/// What a sender knows after a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 2xx.
    Taken,
    /// An error, or nothing in time. The event may have been taken all the same.
    Unclear,
}

/// What a broker does with a post instead of taking it and saying so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not taken, 500. It leaves no trace among the receipts.
    Refuses,
    /// Taken, and the answer never comes.
    LosesTheAnswer,
}

/// The world.
#[derive(Debug, Default)]
pub(crate) struct World {
    now_ms: Cell<u64>,
    steps: Cell<usize>,
    /// When the earliest of those who sleep wants to be woken.
    wake_ms: Cell<Option<u64>>,
    /// The next posts of these events at these brokers that go wrong, the last one first.
    pub faults: RefCell<HashMap<(u16, u32), Vec<Fault>>>,
    /// What each broker took.
    pub taken: RefCell<HashMap<u16, Vec<Observation>>>,
    /// When each broker refused something.
    pub refused_ms: RefCell<HashMap<u16, Vec<u64>>>,
    /// The marks on disk.
    pub marks: RefCell<Marks>,
}

impl World {
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps.get()
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.now_ms.set(self.now_ms() + ms);
    }

    /// Lets the clock jump to when somebody wants to be woken.
    pub(crate) fn jump(&self) {
        if let Some(wake_ms) = self.wake_ms.take() {
            self.now_ms.set(self.now_ms().max(wake_ms));
        }
    }

    /// Does something in one step.
    pub(crate) async fn step<T>(&self, act: impl FnOnce() -> T) -> T {
        let result = act();
        self.steps.set(self.steps() + 1);
        self.pass(STEP_MS);
        let mut suspended = false;
        poll_fn(|_| if std::mem::replace(&mut suspended, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
        result
    }

    /// Posts an event to a broker, once.
    pub(crate) async fn post(&self, delivery: Delivery) -> Answer {
        self.step(|| self.receive(delivery)).await
    }

    /// Posts an event to a broker until the broker says that it has it.
    pub(crate) async fn post_until_taken(&self, delivery: Delivery) {
        while self.post(delivery).await == Answer::Unclear {
            self.sleep(PAUSE_MS).await;
        }
    }

    pub(crate) async fn sleep(&self, ms: u64) {
        self.sleep_until(self.now_ms() + ms).await;
    }

    pub(crate) async fn sleep_until(&self, until_ms: u64) {
        poll_fn(|_| {
            if self.now_ms() >= until_ms {
                return Poll::Ready(());
            }
            let others = self.wake_ms.get().unwrap_or(u64::MAX);
            self.wake_ms.set(Some(others.min(until_ms)));
            Poll::Pending
        })
        .await;
    }

    fn receive(&self, Delivery { broker, event, .. }: Delivery) -> Answer {
        let fault = self.faults.borrow_mut().get_mut(&(broker, event)).and_then(Vec::pop);
        let at_ms = self.now_ms();
        if fault == Some(Fault::Refuses) {
            self.refused_ms.borrow_mut().entry(broker).or_default().push(at_ms);
            return Answer::Unclear;
        }
        let lost = fault == Some(Fault::LosesTheAnswer);
        let told = (!lost).then_some(oracle::Answer { status: 200, at_ms: at_ms + ANSWER_MS });
        let webhook_id = Some(format!("evt-{event}").into());
        let observation = Observation { at_ms, event: Some(event), webhook_id, told };
        self.taken.borrow_mut().entry(broker).or_default().push(observation);
        self.pass(if lost { TIMEOUT_MS } else { ANSWER_MS });
        if lost { Answer::Unclear } else { Answer::Taken }
    }
}
