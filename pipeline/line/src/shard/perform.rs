//! Carries out what the core of a shard asks for.

use std::sync::Arc;

use futures::{future::BoxFuture, stream::FuturesUnordered};
use stages::{
    Ack, Broker, Stage,
    models::{Delivery, Fault, Receipt},
};
use state::{LedgerKey, Mark, SpilledDelivery};
use tokio::{sync::oneshot, time::Instant};

use super::{
    attempt::{self, Done},
    core::Core,
    env::Env,
    load_queues::Item,
    spill_batch::SpillBatch,
    state_log::News,
    step::{AttemptEnd, Effect, Gauges, Input},
};
use crate::{command::Replayed, spill_reader};

/// Carries out `effects`, in their order; what takes time goes to `pending`. `reply` is who waits for a replay.
pub(super) fn perform<Stages: Stage<In = Delivery, Out = Receipt>>(
    env: &Env<Stages>,
    core: &Core,
    pending: &FuturesUnordered<BoxFuture<'static, Done>>,
    effects: impl Iterator<Item = Effect>,
    reply: &mut Option<oneshot::Sender<Vec<Replayed>>>,
) {
    for effect in effects {
        match effect {
            Effect::Start { queue, delivery } => {
                pending.push(start(env, core.broker(queue), queue, delivery));
            }
            Effect::Record { queue, delivery, end } => {
                pending.push(attempt::record(&env.ack, queue, &delivery, end));
            }
            Effect::GiveUp { queue, delivery } => {
                pending.push(attempt::give_up(env.stages.clone(), &env.ack, queue, delivery));
            }
            Effect::Write { queue, batch } => {
                pending.push(write(env, core.broker(queue), queue, batch));
            }
            Effect::WriteReplayed { deliveries, placed, outcomes } => {
                let (proofs, reply) = (env.ack.put_back(deliveries), reply.take());
                pending.push(Box::pin(async move {
                    let _proofs = proofs.await?;
                    // Whoever asked may have gone away; the deliveries are where they belong either way.
                    let _gone = reply.is_none_or(|reply| reply.send(outcomes).is_err());
                    Ok(Input::ReplayWritten { placed })
                }));
            }
            Effect::Read { queue, asked } => {
                let (ledger, now) = (env.ack.ledger().clone(), env.clock.monotonic());
                let (broker, shared) = (core.broker(queue).id.clone(), env.shared.clone());
                pending.push(Box::pin(async move {
                    let generation = asked.generation;
                    let read = spill_reader::read_back(&ledger, broker, *asked, now, &shared).await?;
                    Ok(Input::ReadDone { queue, generation, read })
                }));
            }
            Effect::Settle { share, proof } => share.settle(proof),
            Effect::Finish { share, permit, proof } => {
                if let Some(share) = share {
                    share.settle(proof);
                }
                drop(permit);
            }
            Effect::Free(permit) => drop(permit),
            Effect::ClearMark(mark) => mark.clear(),
            Effect::Halt { queue } => core.broker(queue).halt.ask(),
            Effect::HaltEach { queue, runs } => {
                core.broker(queue).halt.ask_each(runs.iter().map(|run| &**run));
            }
            Effect::Quiet(reply) => reply.send(),
            Effect::Abandon(items) => {
                abandon(&env.ack, items).into_iter().for_each(|ends| pending.push(ends));
            }
            Effect::Show { queue, gauges } => show(core.broker(queue), gauges),
            Effect::ShowOldest { queue, since } => {
                let age = |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                let at = since.map_or(0, |since| env.clock.now().saturating_sub(age(since)).max(1));
                core.broker(queue).tally.gauges.oldest_at.set(at);
            }
            Effect::Log { queue, news } => tell(core.broker(queue), news),
        }
    }
}

/// Sends a delivery through the stages; a probe only if the breaker still lets it through.
fn start<Stages: Stage<In = Delivery, Out = Receipt>>(
    env: &Env<Stages>,
    broker: &Arc<Broker>,
    queue: usize,
    delivery: Delivery,
) -> BoxFuture<'static, Done> {
    if !delivery.probe {
        return attempt::run(env.stages.clone(), queue, delivery);
    }
    let Some(probe) = broker.health.begin_probe(Instant::now()) else {
        // An operator has paused the broker meanwhile.
        let (load, left) = (delivery.event().load_id.clone(), delivery.run.leave());
        let end = AttemptEnd::PutBack { history: delivery.history, not_before: None, left };
        return Box::pin(std::future::ready(Ok(Input::AttemptDone { queue, load, end })));
    };
    let (run, broker) = (attempt::run(env.stages.clone(), queue, delivery), broker.clone());
    Box::pin(async move {
        let done = run.await;
        // One that ended without an attempt has reported nothing.
        broker.health.release_probe(probe, Instant::now());
        done
    })
}

/// Forgets deliveries. One that may have been sent stays in the attempts journal, and its record open, until its key is on
/// record as such: read again, here or by the next run, it counts as a repeat.
fn abandon(ack: &Ack, items: Vec<Item>) -> Option<BoxFuture<'static, Done>> {
    let sent = items.iter().filter_map(|Item { delivery, .. }| {
        let key = LedgerKey::new(&delivery.broker.id, &delivery.event().event_id);
        Some((key, delivery.run.take_mark()?))
    });
    let (keys, marks): (Vec<_>, Vec<_>) = sent.unzip();
    if keys.is_empty() {
        return None;
    }
    let recorded = ack.ledger().forget(keys);
    Some(Box::pin(async move {
        recorded.await.map_err(Fault::State)?;
        marks.into_iter().for_each(Mark::release);
        drop(items);
        Ok(Input::Forgotten)
    }))
}

/// Writes a batch to disk, in the order in which it was added to.
fn write<Stages>(
    env: &Env<Stages>,
    broker: &Broker,
    queue: usize,
    mut batch: Box<SpillBatch>,
) -> BoxFuture<'static, Done> {
    broker.tally.spilled.add(batch.shares.iter().flatten().count() as u64);
    let deliveries: Vec<SpilledDelivery> = batch.deliveries.clone();
    batch.deliveries.iter_mut().for_each(|delivery| delivery.event.body.clear());
    let proofs = env.ack.settle_spilled(deliveries, batch.sent_below);
    Box::pin(async move {
        let proofs = proofs.await?;
        Ok(Input::Written { queue, batch, proofs })
    })
}

fn show(broker: &Broker, shown: Gauges) {
    let gauges = &broker.tally.gauges;
    gauges.queued.set(shown.queued);
    gauges.on_wire.set(shown.on_wire);
    gauges.no_room.set(shown.no_room);
    gauges.spilled.set(shown.spilled);
    gauges.spilled_bytes.set(shown.spilled_bytes);
}

/// Tells the log what has changed at a broker.
fn tell(of: &Broker, news: News) {
    let (broker, on_disk) = (&of.id, news.on_disk);
    match news.breaker_open {
        Some(true) => {
            let cause = of.health.last_error().map(|error| error.cause).unwrap_or_default();
            tracing::warn!(%broker, cause, on_disk, "circuit breaker open: deliveries wait on disk");
        }
        Some(false) => tracing::info!(%broker, on_disk, "circuit breaker closed"),
        None => {}
    }
    match news.waits_on_disk {
        Some(true) => tracing::info!(%broker, on_disk, "deliveries wait on disk"),
        Some(false) => tracing::info!(%broker, on_disk, "nothing waits on disk any more"),
        None => {}
    }
}
