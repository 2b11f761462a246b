//! Load queues against the plain list it stands for.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::testing::item;

#[derive(Clone, Debug)]
enum Do {
    Push(usize),
    /// A delivery that has to wait for so many seconds from now.
    PushParked(usize, u64),
    Start,
    Finish(usize),
    FinishAndPutBack(usize),
    TakeWaiting,
    TakeWaitingOf(usize),
    BringForward(bool),
    Later(u64),
}

fn doings() -> impl Strategy<Value = Vec<Do>> {
    let one = prop_oneof![
        6 => (0..4usize).prop_map(Do::Push),
        1 => (0..4usize, 0..9u64).prop_map(|(load, wait)| Do::PushParked(load, wait)),
        6 => Just(Do::Start),
        3 => (0..4usize).prop_map(Do::Finish),
        2 => (0..4usize).prop_map(Do::FinishAndPutBack),
        1 => Just(Do::TakeWaiting),
        1 => (0..4usize).prop_map(Do::TakeWaitingOf),
        1 => any::<bool>().prop_map(Do::BringForward),
        2 => (0..5u64).prop_map(Do::Later),
    ];
    prop::collection::vec(one, 0..120)
}

/// One load as a list: what waits, with when it may start, and what runs.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<(SpillSeq, Option<Instant>)>,
    running: Option<SpillSeq>,
}

struct Model {
    queue: LoadQueues,
    lanes: BTreeMap<String, Lane>,
    next: SpillSeq,
    now: Instant,
}

impl Model {
    fn push(&mut self, load: usize, not_before: Option<Instant>) {
        let load = format!("L{load}");
        let mut item = item(&load, self.next);
        item.not_before = not_before;
        self.queue.push(item);
        self.lanes.entry(load).or_default().waiting.push_back((self.next, not_before));
        self.next += 1;
    }

    fn may_start(&self, lane: &Lane) -> bool {
        lane.running.is_none()
            && lane.waiting.front().is_some_and(|(_, until)| until.is_none_or(|until| until <= self.now))
    }

    fn start(&mut self) -> Result<(), String> {
        self.queue.unpark(self.now);
        let started = self
            .queue
            .start(self.now)
            .map(|item| (item.delivery.event().load_id.to_string(), item.delivery.seq));
        let Some((load, seq)) = started else {
            let left = self.lanes.iter().find(|(_, lane)| self.may_start(lane));
            return left.map_or(Ok(()), |(load, _)| Err(format!("{load} could start, nothing was")));
        };
        let lane = &self.lanes[&load];
        if !self.may_start(lane) || lane.waiting.front().map(|front| front.0) != Some(seq) {
            return Err(format!("{seq} of {load} was started"));
        }
        let lane = self.lanes.entry(load).or_default();
        lane.waiting.pop_front();
        lane.running = Some(seq);
        Ok(())
    }

    fn finish(&mut self, load: usize, put_back: bool) -> Result<(), String> {
        let load = format!("L{load}");
        let lane = self.lanes.entry(load.clone()).or_default();
        let finished = self.queue.finish(&Arc::from(load));
        if finished.as_ref().map(|item| item.delivery.seq) != lane.running {
            return Err("another one was finished".into());
        }
        if let Some(item) = finished.filter(|_| put_back) {
            lane.waiting.push_front((item.delivery.seq, item.not_before));
            self.queue.push_front(item);
        }
        lane.running = None;
        Ok(())
    }

    fn act(&mut self, what: &Do) -> Result<(), String> {
        match what {
            Do::Push(load) => self.push(*load, None),
            Do::PushParked(load, wait) => self.push(*load, Some(self.now + Duration::from_secs(*wait))),
            Do::Start => self.start()?,
            Do::Finish(load) => self.finish(*load, false)?,
            Do::FinishAndPutBack(load) => self.finish(*load, true)?,
            Do::TakeWaiting => {
                let taken: Vec<_> = self.queue.take_waiting().iter().map(|item| item.delivery.seq).collect();
                let mut waited: Vec<_> = self
                    .lanes
                    .values_mut()
                    .flat_map(|lane| lane.waiting.drain(..))
                    .map(|(seq, _)| seq)
                    .collect();
                waited.sort_unstable();
                if taken != waited {
                    return Err(format!("{taken:?} were taken, {waited:?} waited"));
                }
            }
            Do::TakeWaitingOf(load) => {
                let load = format!("L{load}");
                let taken: Vec<_> = self
                    .queue
                    .take_waiting_of(&Arc::from(&*load))
                    .iter()
                    .map(|item| item.delivery.seq)
                    .collect();
                let lane = self.lanes.entry(load).or_default();
                let waited: Vec<_> = lane.waiting.drain(..).map(|(seq, _)| seq).collect();
                if taken != waited {
                    return Err(format!("{taken:?} were taken, {waited:?} waited"));
                }
            }
            Do::BringForward(fresh) => {
                let can = self.queue.bring_forward(self.now, *fresh);
                let could = self.lanes.values().any(|lane| self.may_start(lane));
                // A load whose wait has just ended is ready once it is unparked.
                if can && !could {
                    return Err("nothing could start".into());
                }
            }
            Do::Later(seconds) => self.now += Duration::from_secs(*seconds),
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(4 * proptest::test_runner::Config::default().cases))]
    #[test]
    fn one_of_a_load_at_a_time_in_order_and_everything_counted(doings in doings()) {
        let mut model = Model { queue: LoadQueues::default(), lanes: BTreeMap::new(), next: 0, now: Instant::now() };
        for what in &doings {
            prop_assert_eq!(model.act(what), Ok(()), "at {:?}", what);
            let (lanes, queue) = (model.lanes.values(), &model.queue);
            prop_assert_eq!(queue.waiting(), lanes.clone().map(|lane| lane.waiting.len()).sum::<usize>(), "at {:?}", what);
            prop_assert_eq!(queue.running(), lanes.filter(|lane| lane.running.is_some()).count(), "at {:?}", what);
        }
        // In the end everything can be started and finished, and nothing is left behind.
        model.now += Duration::from_secs(1_000);
        for _ in 0..doings.len() {
            prop_assert_eq!(model.start(), Ok(()));
            for load in 0..4 {
                prop_assert_eq!(model.finish(load, false), Ok(()));
            }
        }
        prop_assert_eq!((model.queue.waiting(), model.queue.running()), (0, 0));
        prop_assert!(model.queue.lanes.is_empty() && model.queue.parked.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_waits_for_its_next_attempt_does_not_hold_another_and_says_when_it_is_over() {
    let (mut queue, now) = (LoadQueues::default(), Instant::now());
    let until = now + Duration::from_secs(5);
    queue.push(Item { not_before: Some(until), ..item("parked", 0) });
    queue.push(item("parked", 1));
    queue.push(item("free", 2));
    assert_eq!(queue.start(now).unwrap().delivery.seq, 2);
    assert!(queue.start(now).is_none());
    assert_eq!((queue.unparked(), queue.waiting(), queue.next_unpark()), (0, 2, Some(until)));
    queue.unpark(until);
    assert_eq!((queue.start(until).unwrap().delivery.seq, queue.next_unpark()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_is_one_that_waits_or_keeps_its_record_open() {
    let (mut queue, first) = (LoadQueues::default(), Instant::now());
    queue.push(item("a", 0));
    tokio::time::advance(Duration::from_secs(1)).await;
    queue.push(item("b", 1));
    assert_eq!(queue.oldest(), Some(first));
    let running = queue.start(Instant::now()).unwrap();
    assert_eq!((running.delivery.seq, running.since), (0, first));
    // On disk it keeps nothing open, and it does not wait.
    running.backing = Backing::Disk;
    assert_eq!(queue.oldest(), Some(Instant::now()));
    assert!(queue.holds(&"a".into(), 0) && queue.holds(&"b".into(), 1) && !queue.holds(&"b".into(), 0));
    assert!(
        queue.holds_live(&"b".into()) && !queue.holds_live(&"a".into()) && !queue.holds_live(&"c".into())
    );
}

#[tokio::test(start_paused = true)]
async fn the_load_that_has_been_tried_least_comes_first_of_those_that_may_start() {
    let (mut queue, now) = (LoadQueues::default(), Instant::now());
    let tried = |load: &str, seq, attempts, not_before| {
        let mut item = Item { not_before, ..item(load, seq) };
        item.delivery.history.attempts = attempts;
        item
    };
    let later = now + Duration::from_secs(1);
    queue.push(tried("often", 0, 5, None));
    queue.push(tried("once", 1, 1, None));
    queue.push(tried("fresh but waits", 2, 0, Some(later)));
    assert!(!queue.bring_forward(now, true));
    assert_eq!((queue.ready(), queue.next_unpark()), (2, Some(later)));
    assert!(queue.bring_forward(now, false));
    assert_eq!(queue.start(now).unwrap().delivery.seq, 1);
    queue.release();
    assert!(queue.bring_forward(now, true));
    assert_eq!(queue.start(now).unwrap().delivery.seq, 2);
    assert_eq!(queue.start(now).unwrap().delivery.seq, 0);
    assert!(!queue.bring_forward(now, false));
}

#[test]
fn after_an_outage_the_load_that_was_tried_least_is_started_before_one_that_fails_again_and_again() {
    let (mut queue, now) = (LoadQueues::default(), Instant::now());
    for (seq, (load, attempts)) in [("bad", 9), ("good", 1)].into_iter().enumerate() {
        let mut item = item(load, seq as u64);
        item.delivery.history.attempts = attempts;
        queue.push(item);
    }
    queue.prefer_fresh(now, 0, false);
    assert_eq!(&*queue.start(now).unwrap().delivery.event().load_id, "good");
}
