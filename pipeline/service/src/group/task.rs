//! Reads and writes the control topic while the run goes on.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use kafka_engine::{
    follow::{
        FollowFault, FollowOptions,
        control::{BrokerSaid, BrokerSet, ControlReader, ControlTopic, Heard, MemberSaid, SUMMARY_MAX},
    },
    produce::Deliveries,
};
use line::{
    Roster,
    stop::{Level, Stop},
};
use stages::{Broker, HealthState};
use state::{Clock, Disabled, Ledger, Paused, Record, StateFault, UnixMillis};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    agreement::{Agreement, Flag, Step, of},
    handle::{GroupFault, GroupHandle, Request},
    members::TELL_EVERY,
};
use crate::{broker_command, status::MemberSummary, view::View};

/// How often this looks at what is on its way, and at what brokers' own answers have changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an operator waits until the group has a command: less than the client of the admin endpoint does.
const COMMAND_MAX: Duration = Duration::from_secs(3);
/// How long the goodbye may take.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// What a member needs to take part.
pub(crate) struct Joining<'p> {
    pub(crate) control: &'p ControlTopic,
    pub(crate) options: &'p FollowOptions,
    /// The group's name.
    pub(crate) group: &'p str,
    /// Where this member listens for operators, for people.
    pub(crate) address: String,
    pub(crate) ledger: &'p Ledger,
    pub(crate) brokers: &'p Roster,
    pub(crate) clock: &'p Clock,
    pub(crate) stop: Stop,
}

/// This member's part in the group.
pub(crate) struct Group {
    handle: GroupHandle,
    control: ControlTopic,
    reader: ControlReader,
    ledger: Ledger,
    brokers: Roster,
    clock: Clock,
    address: String,
    stop: Stop,
    commands: mpsc::Receiver<Request>,
    agreement: Agreement,
    on_its_way: BTreeMap<u64, OnItsWay>,
    nonces: u64,
    began: Instant,
    /// Since the last summary was told, and what comes of it.
    told: Option<(Instant, Arc<Deliveries>)>,
    /// Whether it was said that nothing can be told.
    complained: bool,
}

/// A record of this member's that has not come back yet.
struct OnItsWay {
    broker: Arc<Broker>,
    since: Instant,
    deliveries: Arc<Deliveries>,
    reply: Option<oneshot::Sender<Result<HealthState, GroupFault>>>,
}

impl Group {
    /// Reads what the group says of brokers, and puts it on record here, before the line begins.
    ///
    /// # Errors
    /// [`FollowFault`]; a fault of the state.
    pub(crate) async fn join(joining: Joining<'_>) -> Result<Self, JoinFault> {
        let Joining { control, options, group, address, ledger, brokers, clock, stop } = joining;
        let (said, reader) = control.open().await?;
        let (handle, commands) = GroupHandle::new(group, &options.member);
        let mut joined = Self {
            handle,
            control: control.clone(),
            reader,
            ledger: ledger.clone(),
            brokers: brokers.clone(),
            clock: clock.clone(),
            address,
            stop,
            commands,
            agreement: Agreement::default(),
            on_its_way: BTreeMap::new(),
            nonces: options.seed,
            began: Instant::now(),
            told: None,
            complained: false,
        };
        joined.begin_with(said).await?;
        Ok(joined)
    }

    /// How operators ask it.
    pub(crate) fn handle(&self) -> GroupHandle {
        self.handle.clone()
    }

    /// Takes part, from when `view` comes. It ends with a fault only.
    pub(crate) async fn run(&mut self, view: oneshot::Receiver<View>) -> Result<Infallible, JoinFault> {
        let Ok(view) = view.await else { return std::future::pending().await };
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = self.reader.next() => self.hear(heard?).await?,
                Some(request) = self.commands.recv() => self.carry_out(request).await,
                _ = ticks.tick() => {
                    self.look_at_what_is_on_its_way();
                    self.compare().await?;
                    self.tell(&view);
                }
            }
        }
    }

    /// Says goodbye, so that nobody waits for a sign of this member. Waits for a moment at most.
    pub(crate) async fn leave(self) {
        let said = MemberSaid { member: Arc::clone(&self.handle.member), summary: None };
        if let Ok(deliveries) = self.control.tell(&said) {
            let _in_time = timeout(LEAVE_MAX, deliveries.settled()).await.is_ok();
        }
    }

    /// Puts what the group says on record, where it is not so already. The line begins with that.
    async fn begin_with(&mut self, said: VecDeque<Heard>) -> Result<(), StateFault> {
        let mut last: BTreeMap<(Arc<str>, Flag), BrokerSaid> = BTreeMap::new();
        for heard in said {
            if let Heard::Broker(said) = heard {
                self.agreement.hear(&said);
                let _before = last.insert((Arc::clone(&said.broker), of(&said.set).0), said);
            }
        }
        for said in last.into_values() {
            self.record(&said.broker, &said.set).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, heard: Heard) -> Result<(), StateFault> {
        match heard {
            Heard::Broker(said) => self.follow(said).await,
            Heard::Member(said, at) => {
                self.learn(said, at);
                Ok(())
            }
            Heard::Unreadable { of_broker: true, fault } => {
                tracing::error!(%fault, "another version of Loadline has said something of a broker, which does not reach this member; upgrade it");
                Ok(())
            }
            Heard::Unreadable { of_broker: false, fault } => {
                tracing::debug!(%fault, "another version's member");
                Ok(())
            }
        }
    }

    /// Something was said of a broker, by this member or another one.
    async fn follow(&mut self, said: BrokerSaid) -> Result<(), StateFault> {
        self.agreement.hear(&said);
        let is_own = self.on_its_way.remove(&said.nonce);
        self.complained &= is_own.is_none();
        self.apply(&said.broker, &said.set, &said.by).await?;
        if let Some(OnItsWay { broker, reply: Some(reply), .. }) = is_own {
            // Whoever asked may have gone.
            let _told = reply.send(Ok(broker.health.state(Instant::now()))).is_ok();
        }
        Ok(())
    }

    /// Does here what is said.
    async fn apply(&self, name: &Arc<str>, set: &BrokerSet, by: &str) -> Result<(), StateFault> {
        self.record(name, set).await?;
        let Some(broker) = self.brokers.find(name) else { return Ok(()) };
        let (flag, is_set) = of(set);
        if is(&broker, flag) == is_set {
            return Ok(());
        }
        match set {
            BrokerSet::Paused(paused) => broker.health.set_paused(paused.is_some()),
            BrokerSet::Disabled(Some(disabled)) => broker.mark_disabled(disabled.reason.clone()),
            BrokerSet::Disabled(None) => broker.enable(),
        }
        let state = broker.health.state(Instant::now()).as_str();
        tracing::warn!(broker = %name, by, state, "a broker was changed for the whole group");
        Ok(())
    }

    /// Puts it on record here, unless it is.
    async fn record(&self, broker: &Arc<str>, set: &BrokerSet) -> Result<(), StateFault> {
        let known = self.ledger.store().brokers();
        let (is_known, record) = match set.clone() {
            BrokerSet::Paused(paused) => (
                known.paused(broker)?.is_some() == paused.is_some(),
                Record::Paused(Arc::clone(broker), paused),
            ),
            BrokerSet::Disabled(disabled) => (
                known.disabled(broker)?.is_some() == disabled.is_some(),
                Record::Disabled(Arc::clone(broker), disabled),
            ),
        };
        if !is_known {
            let _proof = self.ledger.record(record).await?;
        }
        Ok(())
    }

    /// Carries an operator's command out here, and says it to the group.
    async fn carry_out(&mut self, request: Request) {
        let Request { broker, command, reply } = request;
        if let Err(fault) = broker_command::on_running(&self.ledger, &broker, command).await {
            let _told = reply.send(Err(fault.into())).is_ok();
            return;
        }
        let set = command.set_for_group();
        self.say(broker, set, Some(reply));
    }

    fn say(
        &mut self,
        broker: Arc<Broker>,
        set: BrokerSet,
        reply: Option<oneshot::Sender<Result<HealthState, GroupFault>>>,
    ) {
        self.nonces = self.nonces.wrapping_add(1);
        let (nonce, by) = (self.nonces, Arc::clone(&self.handle.member));
        let said = BrokerSaid { broker: Arc::clone(&broker.id), set, by, nonce };
        match self.control.say(&said) {
            Ok(deliveries) => {
                self.agreement.on_its_way(&said);
                let since = Instant::now();
                let _new = self.on_its_way.insert(nonce, OnItsWay { broker, since, deliveries, reply });
            }
            Err(fault) => self.fail(&broker, reply, fault.to_string()),
        }
    }

    /// Whoever waits is told that it holds here only.
    fn fail(
        &mut self,
        broker: &Broker,
        reply: Option<oneshot::Sender<Result<HealthState, GroupFault>>>,
        why: String,
    ) {
        let (topic, state) = (self.control.name().to_owned(), broker.health.state(Instant::now()).as_str());
        match reply {
            Some(reply) => {
                let fault = GroupFault::HereOnly { broker: broker.id.to_string(), state, topic, why };
                let _told = reply.send(Err(fault)).is_ok();
            }
            None if !self.complained => {
                self.complained = true;
                tracing::error!(broker = %broker.id, state, topic, why, "the group cannot be told of a broker's state; trying on");
            }
            None => {}
        }
    }

    /// Tells whoever waits for too long, or for a record that was refused.
    fn look_at_what_is_on_its_way(&mut self) {
        let refused: Vec<(u64, String)> = self
            .on_its_way
            .iter()
            .filter_map(|(nonce, own)| Some((*nonce, own.deliveries.fault()?.to_string())))
            .collect();
        for (nonce, why) in refused {
            self.agreement.answered(nonce);
            if let Some(OnItsWay { broker, reply, .. }) = self.on_its_way.remove(&nonce) {
                self.fail(&broker, reply, why);
            }
        }
        let late = self.on_its_way.values_mut().filter(|own| own.since.elapsed() >= COMMAND_MAX);
        let late: Vec<_> =
            late.filter_map(|own| Some((Arc::clone(&own.broker), own.reply.take()?))).collect();
        for (broker, reply) in late {
            self.fail(&broker, Some(reply), format!("no answer within {COMMAND_MAX:?}"));
        }
    }

    /// Says what brokers' own answers have changed, and follows where this member is not as the group says.
    async fn compare(&mut self) -> Result<(), StateFault> {
        for broker in self.brokers.all() {
            for flag in [Flag::Paused, Flag::Disabled] {
                match self.agreement.step(&broker.id, flag, is(&broker, flag)) {
                    Step::Leave => {}
                    Step::Say => {
                        let set = self.here(&broker, flag);
                        self.say(broker.clone(), set, None);
                    }
                    Step::Follow(is_set) => {
                        let set = self.known(&broker, flag, is_set);
                        self.apply(&broker.id, &set, "the group").await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What is so here of a broker, to be said.
    fn here(&self, broker: &Broker, flag: Flag) -> BrokerSet {
        let since = self.clock.now();
        match flag {
            Flag::Paused => BrokerSet::Paused(Some(Paused { since })),
            Flag::Disabled => {
                let reason = broker.health.disabled_reason().map(|reason| reason.to_string());
                BrokerSet::Disabled(Some(Disabled { since, reason: reason.unwrap_or_default() }))
            }
        }
    }

    /// What the group says of a broker, as far as it is on record here.
    fn known(&self, broker: &Broker, flag: Flag, is_set: bool) -> BrokerSet {
        let (known, since) = (self.ledger.store().brokers(), self.clock.now());
        match flag {
            Flag::Paused => BrokerSet::Paused(is_set.then_some(Paused { since })),
            Flag::Disabled => {
                let on_record = known.disabled(&broker.id).ok().flatten();
                let reason = "disabled for the whole group".to_owned();
                BrokerSet::Disabled(is_set.then(|| on_record.unwrap_or(Disabled { since, reason })))
            }
        }
    }

    /// A member has told of itself.
    fn learn(&self, MemberSaid { member, summary }: MemberSaid, at: Option<UnixMillis>) {
        if member == self.handle.member {
            // What it knows of itself is newer.
            return;
        }
        let mut members = self.handle.members.lock();
        let Some(summary) = summary else { return members.left(&member) };
        let age = at.map_or(0, |at| self.clock.now().saturating_sub(at));
        match serde_json::from_slice(&summary) {
            Ok(summary) => members.told(member, summary, Duration::from_millis(age), Instant::now()),
            Err(error) => tracing::debug!(%member, %error, "a member's summary cannot be read"),
        }
    }

    /// Tells the others how this member is doing, if it is time and the last time was heard.
    fn tell(&mut self, view: &View) {
        let stopping = self.stop.level() > Level::Run;
        let summary = MemberSummary::of(view, &self.address, self.began.elapsed(), stopping);
        let member = &self.handle.member;
        let is_time = match &self.told {
            Some((at, deliveries)) => {
                at.elapsed() >= TELL_EVERY && (deliveries.waiting() == 0 || deliveries.fault().is_some())
            }
            None => true,
        };
        let bytes = serde_json::to_vec(&summary).ok().filter(|bytes| bytes.len() <= SUMMARY_MAX);
        self.handle.members.lock().told(Arc::clone(member), summary, Duration::ZERO, Instant::now());
        if !is_time {
            return;
        }
        let said = MemberSaid { member: Arc::clone(member), summary: bytes.map(Bytes::from) };
        if said.summary.is_none() {
            return;
        }
        match self.control.tell(&said) {
            Ok(deliveries) => self.told = Some((Instant::now(), deliveries)),
            Err(fault) => tracing::debug!(%fault, "the group is not told how this member is doing"),
        }
    }
}

fn is(broker: &Broker, flag: Flag) -> bool {
    match flag {
        Flag::Paused => broker.health.is_paused(),
        Flag::Disabled => broker.health.is_disabled(),
    }
}

/// Why a member cannot take part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinFault {
    /// The control topic cannot be read.
    #[error(transparent)]
    Topic(#[from] FollowFault),
    /// What the group says cannot be recorded here.
    #[error(transparent)]
    State(#[from] StateFault),
}
