//! The line over the partitions of a Kafka topic, which a consumer group may give and take while it runs.

use std::{convert::Infallible, future::pending, sync::Arc};

use stages::Portion;
use state::{Ledger, LedgerKey, Restored};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::assemble::Parts;
use crate::engine::{
    closing::CLOSE_TIMEOUT,
    fault::RunFault,
    line_run::{LineRun, OpenSource},
    view::{TopicView, View},
};
use crate::group::{Group, JoinFault, Joining};
use kafka_engine::{Connected, Following, KafkaOptions, Reading, connect, follow::StateTopics};
use line::LineReport;

/// How many late outcomes may wait: what one member has on the wire.
const LATE_MAX: usize = 4_096;

impl LineRun<'_> {
    pub(super) async fn over_kafka(
        self,
        options: &KafkaOptions,
        started: impl FnOnce(View),
    ) -> Result<LineReport, RunFault> {
        let Some(Connected { partitions, membership }) = self.join(options).await? else {
            return Ok(LineReport::default());
        };
        let group = match &options.reading {
            Reading::Group(group) => Some((Arc::from(&*group.id), membership.counts())),
            Reading::Partitions(_) => None,
        };
        let topics = self.parts.follow.as_ref().map(|follow| follow.topics.clone());
        let mut members = match &topics {
            Some(_) => match self.meet().await? {
                Some(members) => Some(members),
                None => {
                    membership.finish().await;
                    return Ok(LineReport::default());
                }
            },
            None => None,
        };
        let topic = TopicView::assigned(membership.watch(), group, membership.losses())
            .with_members(members.as_ref().map(Group::handle));
        let late = merge_late(topics.as_ref(), &self.parts.ledger);
        if topics.is_some() {
            let portions = self.parts.portions.clone();
            membership
                .on_counted(Box::new(move |held, of| portions.set(Portion::held(held.iter().copied(), of))));
        }
        let source = OpenSource { topic, ..OpenSource::new(partitions) };
        let (show, shown) = oneshot::channel();
        let report = Box::pin(self.over(source, |view| {
            membership.attach(view.line.clone());
            // Without a group nobody looks.
            let _seen = show.send(view.clone()).is_ok();
            started(view);
        }));
        let report = tokio::select! {
            report = report => report,
            never = late => match never {},
            fault = take_part(members.as_mut(), shown) => Err(fault.into()),
        };
        // Whatever has ended the line: what is settled is durable, and others wait for the partitions.
        if report.is_ok() {
            membership.finish().await;
            // One that has failed is missed, as it should be.
            if let Some(members) = members {
                members.leave().await;
            }
        } else {
            let _timed_out = timeout(CLOSE_TIMEOUT, membership.finish()).await.is_err();
        }
        if let Some(topics) = topics {
            topics.finish().await;
        }
        report
    }

    /// Takes part in the group: what it says of brokers is on record here by then; none if the run was stopped before that.
    async fn meet(&self) -> Result<Option<Group>, RunFault> {
        let (Some(Following { topics, .. }), Some(options)) = (&self.parts.follow, self.config.follow())
        else {
            return Ok(None);
        };
        let mut stop = self.stop.clone();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let joining = Joining {
            control: topics.control(),
            options: &options,
            group: &options.group,
            address: format!("{host} {}", self.config.admin.listen),
            ledger: &self.parts.ledger,
            brokers: &self.parts.brokers,
            clock: &self.parts.clock,
            stop: self.stop.clone(),
        };
        tokio::select! {
            joined = Group::join(joining) => Ok(Some(joined?)),
            _ = stop.asked() => Ok(None),
        }
    }

    /// The partitions as they come; none if the run was stopped before the cluster could be reached.
    async fn join(&self, options: &KafkaOptions) -> Result<Option<Connected<Ledger>>, RunFault> {
        let mut stop = self.stop.clone();
        let Parts { ledger, clock, follow, .. } = self.parts;
        tokio::select! {
            connected = connect(options, ledger.clone(), self.fail_fast, clock.clone(), follow.clone()) => {
                Ok(Some(connected?))
            }
            _ = stop.asked() => Ok(None),
        }
    }
}

/// Takes part in the group, if there is one to take part in; ends with a fault only.
async fn take_part(members: Option<&mut Group>, view: oneshot::Receiver<View>) -> JoinFault {
    match members {
        Some(members) => match members.run(view).await {
            Err(fault) => fault,
            Ok(never) => match never {},
        },
        None => pending().await,
    }
}

/// Puts into the ledger what whoever had a partition before has delivered and told late; never ends.
fn merge_late(
    topics: Option<&Arc<StateTopics>>,
    ledger: &Ledger,
) -> impl Future<Output = Infallible> + use<> {
    let (late, mut arrived) = mpsc::channel(LATE_MAX);
    if let Some(topics) = topics {
        topics.on_late(Box::new(move |source, restored| {
            let Restored::Outcome { broker, event_id, entry } = restored else { return };
            if late.try_send((LedgerKey::new(&broker, &event_id), entry)).is_err() {
                tracing::warn!(%source, %broker, %event_id, "a late outcome of the partition's last owner is passed over: the event may be sent again");
            }
        }));
    }
    let ledger = ledger.clone();
    async move {
        while let Some(outcome) = arrived.recv().await {
            // The ledger's fault is told by the ledger.
            let _merged = ledger.restore(vec![outcome]).await.is_ok();
        }
        pending().await
    }
}
