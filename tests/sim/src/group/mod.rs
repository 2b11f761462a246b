//! Several members of a Kafka group over one topic, whose state follows its partitions (`[state] follow = "topic"`).
//!
//! Real: everything of a single process, and of each member what it claims, restores, appends, commits and gives up.
//! Simulated: the cluster with its topics, and the group's coordinator, which decides whose a partition is. Members die,
//! with their disks or without, are restarted, or are cut from the group and go on; topics are slow, or take nothing for a
//! while. Then all are well, and everything has to be delivered.

mod member;
mod plan;
mod rest;
mod tampered;
mod troubles;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures::future::join_all;
use kafka_engine::simulated::{Faults, SimulatedCluster};
use parking_lot::Mutex;
use simulation::START;
use state::SimulatedDisk;
use tokio::time::{Instant, sleep};

use self::{member::Member, plan::GroupPlan};
use crate::{
    plan::TROUBLE,
    planted::Planted,
    process::{LOOK_EVERY, STOP_MAX, runtime},
    trace::Step,
    violation::Promise,
    watch::Watch,
    world::{Broken, Phase, World},
};

/// How often the coordinator looks whose a partition should be, while there is trouble and afterwards.
const TICK: Duration = Duration::from_millis(20);
const CALM_TICK: Duration = Duration::from_millis(500);

/// Within this much simulated time a group has delivered everything once all is well.
const WELL_MAX: Duration = Duration::from_secs(300);

/// A group at work.
pub(crate) struct Group {
    world: World,
    cluster: SimulatedCluster,
    plan: GroupPlan,
    /// Whether the state topics take nothing.
    stalled: AtomicBool,
    members: Mutex<Vec<Option<Arc<Member>>>>,
    /// Whether letters have been lost with a disk, or with the power where that may cost them.
    lost_letters: AtomicBool,
    disks: Mutex<Vec<SimulatedDisk>>,
    /// How often a partition has changed its member in good order.
    moves: Mutex<u64>,
}

/// Simulates a group; its world at the end, and how many partitions have moved in good order.
pub(crate) fn simulate(seed: u64, planted: Option<Planted>) -> (World, u64) {
    let (plan, of_all) = GroupPlan::of(seed);
    let world = World::new(of_all, planted);
    let _watch = Watch::start(world.clone());
    let cluster = SimulatedCluster::new(
        i32::try_from(world.plan().log.partitions()).unwrap_or(i32::MAX),
        Faults::default(),
    );
    world.follow(&cluster);
    let members = plan.members;
    let group = Arc::new(Group {
        world: world.clone(),
        cluster,
        stalled: AtomicBool::new(false),
        members: Mutex::new(vec![None; members]),
        lost_letters: AtomicBool::new(false),
        disks: Mutex::new((0..members).map(|_| SimulatedDisk::new()).collect()),
        moves: Mutex::new(0),
        plan,
    });
    let ended = runtime().map(|runtime| {
        runtime.block_on(async {
            world.begin_run(None);
            tokio::select! {
                biased;
                () = world.over() => {}
                ended = group.run() => {
                    world.check(ended);
                }
            }
            // What is still dropped counts no more.
            world.end_run(0);
        });
    });
    if let Err(broken) = ended {
        world.check(Err(broken));
    }
    let moves = *group.moves.lock();
    group.members.lock().clear();
    (world, moves)
}

/// All that `seed` decides of a group, for a person.
pub(crate) fn describe(seed: u64) -> String {
    let (plan, crate::plan::Plan { log, brokers, tuning, .. }) = GroupPlan::of(seed);
    let entries: Vec<_> = log.entries().map(|(number, entry)| format!("{number}: {entry:?}")).collect();
    format!("{}\n{brokers:#?}\n{plan:#?}\n{tuning:#?}", entries.join(", "))
}

impl Group {
    async fn run(self: &Arc<Self>) -> Result<(), Broken> {
        for at in 0..self.plan.members {
            let disk = self.disks.lock()[at].clone();
            self.begin(at, disk);
        }
        let partitions = 0..self.world.plan().log.partitions();
        tokio::select! {
            biased;
            ended = self.play() => return ended,
            broken = self.produce() => match broken {},
            broken = join_all(partitions.map(|partition| self.tend(partition))) => drop(broken),
        }
        Ok(())
    }

    /// The whole of it: trouble, then none, then the end.
    async fn play(self: &Arc<Self>) -> Result<(), Broken> {
        self.troubles().await;
        let left = TROUBLE.saturating_sub(self.world.state().now());
        sleep(Duration::from_millis(left)).await;
        self.world.state().phase = Phase::Well;
        self.world.step(Step::Well { bad_loads_too: true });
        let began = Instant::now();
        loop {
            let owed = self.owed();
            if owed.is_empty() {
                break;
            }
            if began.elapsed() > WELL_MAX {
                let detail = format!("not at rest within {WELL_MAX:?}: {owed}");
                return Err((Promise::GoesOn, detail));
            }
            sleep(LOOK_EVERY).await;
        }
        self.stop_all().await?;
        self.check_rest().await
    }

    /// Puts the log's entries into the topic, each at its time.
    async fn produce(&self) -> std::convert::Infallible {
        let log = &self.world.plan().log;
        for number in 0..log.len() {
            let now = self.world.state().now();
            sleep(Duration::from_millis(log.appended(number).saturating_sub(now))).await;
            let (partition, _) = log.place(number);
            let at = START + self.world.state().now();
            self.cluster.produce(partition as i32, at, log.body(number).clone());
        }
        std::future::pending().await
    }

    /// Starts a process on a machine.
    fn begin(self: &Arc<Self>, at: usize, disk: SimulatedDisk) {
        let member = Member::start(self, at, disk);
        let (of, group) = (member.clone(), self.clone());
        drop(tokio::spawn(async move {
            tokio::select! {
                biased;
                () = of.life.over() => {}
                () = of.pump(&group) => {}
            }
        }));
        self.members.lock()[at] = Some(member);
    }

    /// The process on a machine.
    pub(crate) fn member(&self, at: usize) -> Option<Arc<Member>> {
        self.members.lock().get(at).cloned().flatten()
    }

    /// The member that is to have a partition now: the one of the plan, or the next that the group hears of.
    fn choose(&self, partition: usize) -> Option<Arc<Member>> {
        let wanted = self.plan.owner(partition, self.world.state().now());
        let each = (0..self.plan.members).filter_map(|next| self.member((wanted + next) % self.plan.members));
        let mut able = each
            .filter(|member| member.is_in_group() && !member.is_leaving() && member.membership().is_some());
        able.next()
    }

    /// The coordinator's work for one partition: gives it, takes it, and gives it to another if its member is silent.
    async fn tend(&self, partition: usize) {
        let number = partition as i32;
        let mut holder: Option<Arc<Member>> = None;
        loop {
            let Some(member) = holder.take() else {
                match self.choose(partition) {
                    Some(next) => {
                        self.give(number, &next).await;
                        holder = Some(next);
                    }
                    None => self.tick().await,
                }
                continue;
            };
            if member.life.is_over() && member.is_leaving() {
                continue;
            }
            if !member.is_in_group() {
                sleep(self.plan.session).await;
                // A claim that comes behind the next member's takes the partition from it until the group moves it again.
                while !member.life.is_over() && member.client.is_claiming() {
                    self.tick().await;
                }
                if member.is_in_group() {
                    holder = Some(member);
                } else {
                    member.expel(number);
                    self.world.step(Step::Expelled { member: member.at, partition });
                }
                continue;
            }
            let wanted = self.choose(partition);
            if member.is_leaving() || wanted.is_none_or(|wanted| Arc::ptr_eq(&wanted, &member)) {
                self.tick().await;
                holder = Some(member);
                continue;
            }
            self.take(number, &member).await;
            if member.is_in_group() {
                *self.moves.lock() += 1;
            } else {
                holder = Some(member);
            }
        }
    }

    async fn tick(&self) {
        let is_calm = self.world.state().phase == Phase::Well;
        sleep(if is_calm { CALM_TICK } else { TICK }).await;
    }

    async fn give(&self, partition: i32, to: &Arc<Member>) {
        let Some(membership) = to.membership() else { return };
        self.cluster.give(partition, &to.name);
        self.world.step(Step::Given { member: to.at, partition });
        let given = async {
            let _polls = to.polls.lock().await;
            membership.assign(&[partition]).await
        };
        tokio::select! {
            biased;
            () = to.life.over() => {}
            given = given => {
                if let Err(fault) = given && !to.life.is_over() {
                    self.world.check(Err((Promise::NoFault, fault.to_string())));
                }
            }
        }
    }

    /// Takes a partition from a member that the group hears of.
    async fn take(&self, partition: i32, from: &Arc<Member>) {
        let Some(membership) = from.membership() else { return };
        self.world.step(Step::Taking { member: from.at, partition });
        let taken = async {
            let _polls = from.polls.lock().await;
            membership.revoke(&[partition], false).await;
        };
        tokio::select! {
            biased;
            () = from.life.over() => {}
            () = taken => {}
        }
        self.world.step(Step::Taken { member: from.at, partition });
    }

    /// All members end in good order.
    async fn stop_all(&self) -> Result<(), Broken> {
        let members: Vec<_> = self.members.lock().iter().flatten().cloned().collect();
        members.iter().for_each(|member| member.stop());
        let ended = join_all(members.iter().map(|member| member.life.over()));
        let within = self.world.plan().tuning.limits.grace + 2 * STOP_MAX;
        tokio::time::timeout(within, ended)
            .await
            .map(drop)
            .map_err(|_late| (Promise::GoesOn, "a member that was asked to stop does not".to_owned()))
    }
}
