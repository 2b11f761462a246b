//! The simulated receivers: what each makes of a request, and how long that takes.
//!
//! A request travels, arrives, and is answered; the process may die, or give the attempt up, at any of these moments. A
//! receiver decides when the request arrives whether it takes the event.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use parking_lot::MutexGuard;
use stages::{
    models::Delivery,
    simulation::{Answer, Receivers},
};
use tokio::time::sleep;

use crate::{
    checks::{disk::broker_number, wire::Call},
    life::Life,
    plan::Trouble,
    planted::Planted,
    trace::Step,
    violation::Promise,
    world::{Phase, State, World},
};

/// All receivers of a world, as one process reaches them.
#[derive(Clone)]
pub(crate) struct SimulatedReceivers {
    pub(crate) world: World,
    pub(crate) life: Life,
}

impl Receivers for SimulatedReceivers {
    async fn post(&self, delivery: &Delivery, headers: &HeaderMap) -> Answer {
        let world = &self.world;
        let Some(call) = self.begin(delivery, headers) else { return std::future::pending().await };
        let mut under_way = UnderWay { receivers: self.clone(), call, ended: false };
        let trouble = self.trouble(call);
        let draw = |what: u64| world.draw(&[1, call.broker as u64, call.number as u64, call.tries, what]);
        let answer_max = world.plan().brokers[call.broker].answer_max.max(1);
        sleep(Duration::from_millis(draw(1) % answer_max / 2)).await;
        if trouble == Some(Trouble::Unreached) {
            return under_way.answered(Answer::Unreached, None).await;
        }
        let Some(answer) = self.arrive(call, trouble) else { return std::future::pending().await };
        let thinks = draw(2) % answer_max + if let Some(Trouble::Slow(more)) = trouble { more } else { 0 };
        sleep(Duration::from_millis(thinks)).await;
        match answer {
            None if trouble == Some(Trouble::LostAnswer) => under_way.answered(Answer::Broken, None).await,
            None => std::future::pending().await,
            Some((status, pause)) => {
                let retry_after = (pause > 0).then(|| HeaderValue::from(pause));
                let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                under_way.answered(Answer::Status(code, retry_after), Some((status, pause))).await
            }
        }
    }
}

impl SimulatedReceivers {
    /// The attempt begins: it is checked against what has been seen so far. None if nothing counts any more.
    fn begin(&self, delivery: &Delivery, headers: &HeaderMap) -> Option<Call> {
        let world = &self.world;
        let hides = world.planted() == Some(Planted::RepeatsUnmarked);
        let mut state = self.state()?;
        let (now, writes) = (state.now(), state.disk.writes());
        let broker = broker_number(&delivery.broker.id)?;
        let body = &delivery.event().body;
        let begun = state.wire.begin(world.plan(), (broker, headers, body), (now, self.life.number(), hides));
        let begun =
            begun.and_then(|call| match state.is_given_away(world.plan(), call.number, self.life.number()) {
                true => Err((
                    Promise::OwnPartition,
                    format!("event {} of a partition that is another member's", call.number),
                )),
                false => Ok(call),
            });
        drop(state);
        match begun {
            Err(broken) => {
                world.check(Err(broken));
                None
            }
            Ok(call) => {
                let Call { broker, number, tries, may_repeat, .. } = call;
                let posted = Step::Posted { broker, number, attempt: tries, may_repeat, writes };
                world.step(posted).then_some(call)
            }
        }
    }

    /// The world, with the claims that are known there; none if nothing counts any more that this process does.
    fn state(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.world.state();
        if state.is_over() || self.life.is_over() {
            return None;
        }
        state.look_at_claims(self.world.plan());
        Some(state)
    }

    /// What is wrong with this attempt, if anything is.
    fn trouble(&self, call: Call) -> Option<Trouble> {
        let (plan, state) = (self.world.plan(), self.world.state());
        let (broker, now) = (&plan.brokers[call.broker], state.now());
        let bad = broker.bad_loads.get(&plan.log.load(call.number)).filter(|_| state.phase < Phase::Well);
        if bad.is_some() || state.phase > Phase::Trouble {
            return bad.copied();
        }
        let weather =
            broker.weather.iter().find(|(when, _)| when.contains(&now)).map(|(_, trouble)| *trouble);
        let draw = self.world.draw(&[2, call.broker as u64, call.number as u64, call.tries]);
        weather.or_else(|| (draw % 1_000 < broker.noise).then(|| Trouble::of_noise(draw / 1_000)))
    }

    /// The request arrives: the status and the pause in seconds that it is answered with, if it is answered at all. None
    /// if nothing counts any more.
    fn arrive(&self, call: Call, trouble: Option<Trouble>) -> Option<Option<(u16, u64)>> {
        let (broker, number) = (call.broker, call.number);
        let plan = &self.world.plan().brokers[broker];
        let mut state = self.state()?;
        let (now, had_it) = (state.now(), state.wire.has_taken(broker, number));
        let refused = plan.refuses(number, now);
        let silently = self.world.draw(&[3, broker as u64, number as u64, call.tries]).is_multiple_of(2);
        let (takes, answer) = match trouble {
            _ if plan.gone_at.is_some_and(|at| at <= now) => (false, Some((410, 0))),
            Some(Trouble::Status(status, pause)) => (false, Some((status, pause))),
            Some(Trouble::Silent) => (silently, None),
            Some(Trouble::LostAnswer) => (!refused, None),
            Some(Trouble::TakenAnd500) if !refused => (true, Some((500, 0))),
            _ if refused => (false, Some((422, 0))),
            _ if had_it && plan.says_conflict => (true, Some((409, 0))),
            _ => (true, Some((200, 0))),
        };
        state.wire.arrive(call, takes && !refused);
        drop(state);
        self.world.step(Step::Arrived { broker, number, taken: takes && !refused }).then_some(answer)
    }
}

/// An attempt under way; dropped, it is given up.
struct UnderWay {
    receivers: SimulatedReceivers,
    call: Call,
    ended: bool,
}

impl UnderWay {
    async fn answered(&mut self, answer: Answer, status: Option<(u16, u64)>) -> Answer {
        if self.end(status) { answer } else { std::future::pending().await }
    }

    /// The answer is back; false if nothing counts any more.
    fn end(&mut self, status: Option<(u16, u64)>) -> bool {
        self.ended = true;
        let (call, world) = (self.call, &self.receivers.world);
        let Some(mut state) = self.receivers.state() else { return false };
        let (now, plan) = (state.now(), world.plan());
        state.wire.end(plan, call, status, (now, plan.tuning.retry.retry_after_max));
        drop(state);
        let Call { broker, number, .. } = call;
        world.step(Step::Answered { broker, number, status: status.map(|(status, _)| status) })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let (call, world) = (self.call, &self.receivers.world);
        let state = if self.ended { None } else { self.receivers.state() };
        let Some(mut state) = state else { return };
        state.wire.close(world.plan(), call);
        drop(state);
        world.step(Step::Closed { broker: call.broker, number: call.number });
    }
}
