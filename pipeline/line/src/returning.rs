//! Deliveries that came with their partition, on their way to their brokers' queues. The log of the partition's state
//! vouches for them until they have an outcome or are on disk here.

use std::sync::Arc;

use stages::{
    Broker, Stage,
    models::{Delivery, RawRecord},
};
use state::{Record, Spill, SpillUsage, SpilledDelivery};

use super::{fault::LineFault, intake::Intake, shard::Arrival, ticket::Ticket};

impl<First: Stage<In = RawRecord, Out = Vec<Delivery>>> Intake<First> {
    /// Sends a delivery to its broker's shard; one whose broker the config does not name is put on disk.
    pub(super) async fn take_back(&self, waiting: SpilledDelivery, ticket: Ticket) -> Result<(), LineFault> {
        match self.shared.admitted_as(&waiting.broker) {
            Some(broker) => self.send_back(waiting, broker, ticket).await,
            None => self.strand(waiting, ticket).await,
        }
    }

    async fn send_back(
        &self,
        waiting: SpilledDelivery,
        broker: Arc<Broker>,
        ticket: Ticket,
    ) -> Result<(), LineFault> {
        let body = self.body(waiting.event.body.len(), ticket.whole()).await?;
        // What finds no place because its partition is lost waits in the log still.
        let Some(permit) = self.place(body.as_ref(), ticket.whole()).await? else { return Ok(()) };
        let delivery = Delivery::restored(waiting, broker, false);
        self.send(Arrival { delivery, share: ticket.into_whole(), permit }).await
    }

    /// Puts a delivery on disk whose broker has no slot. If it gets one, it finds it there.
    async fn strand(&self, mut waiting: SpilledDelivery, ticket: Ticket) -> Result<(), LineFault> {
        let stranding = self.shared.stranding.lock().await;
        if let Some(broker) = self.shared.admitted_as(&waiting.broker) {
            drop(stranding);
            return self.send_back(waiting, broker, ticket).await;
        }
        let (ledger, broker) = (self.ack.ledger(), waiting.broker.clone());
        let known = self.shared.stranded().remove(&broker);
        let usage = known.unwrap_or_else(|| {
            tracing::warn!(%broker, "deliveries came with a partition for a broker the config does not name: they wait on disk");
            SpillUsage::default()
        });
        let cost = Spill::cost(&waiting);
        if usage.bytes + cost > self.limits.spill_broker_max {
            tracing::warn!(%broker, "there is no room on disk for a broker the config does not name: its deliveries stay in the log of their partition's state");
            ticket.settle(ledger.record(Record::Noop { spilled: None }).await?);
            return Ok(());
        }
        waiting.seq = usage.next_seq;
        let proof = ledger.record(Record::Spilled(Box::new(waiting))).await?;
        let (deliveries, bytes, next_seq) = (usage.deliveries + 1, usage.bytes + cost, usage.next_seq + 1);
        self.shared.strand(broker, SpillUsage { deliveries, bytes, next_seq });
        ticket.settle(proof);
        Ok(())
    }
}
