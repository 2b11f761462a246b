//! What befalls members and topics, when the plan says so.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::future::join_all;
use state::{Crash, Durability, SimulatedDisk};
use tokio::{task::yield_now, time::sleep};

use super::{Group, plan::Trouble};
use crate::{plan::ms, trace::Step};

impl Group {
    /// All of it; ends when all members are there and well again.
    pub(super) async fn troubles(self: &Arc<Self>) {
        let each = self.plan.troubles.iter().map(|(at, trouble)| async move {
            sleep(Duration::from_millis(*at)).await;
            self.befall(*trouble).await;
        });
        join_all(each).await;
    }

    async fn befall(self: &Arc<Self>, trouble: Trouble) {
        match trouble {
            Trouble::Crash { member, crash, loses_disk, steps, down } => {
                for _ in 0..steps {
                    yield_now().await;
                }
                let Some(died) = self.take_out(member) else { return };
                let mut disk = died.crash(self, crash);
                self.world.step(Step::MemberCrashed { member, loses_disk });
                if loses_disk {
                    disk = SimulatedDisk::new();
                }
                let durability = self.world.plan().tuning.durability;
                if loses_disk || (crash, durability) == (Crash::Power, Durability::Process) {
                    self.lost_letters.store(true, Ordering::Relaxed);
                }
                self.come_back(member, disk, down).await;
            }
            Trouble::Restart { member, down } => {
                let Some(stopped) = self.take_out(member) else { return };
                self.world.step(Step::Stopping);
                stopped.stop();
                stopped.life.over().await;
                let disk = self.disks.lock()[member].clone();
                self.come_back(member, disk, down).await;
            }
            Trouble::Cut { member, deaf, lasts } => self.cut(member, deaf, lasts).await,
            Trouble::Stall { lasts } => {
                self.world.step(Step::Stalled(true));
                self.stalled.store(true, Ordering::Relaxed);
                sleep(ms(lasts)).await;
                self.stalled.store(false, Ordering::Relaxed);
                self.world.step(Step::Stalled(false));
            }
            Trouble::Compact { partition } => self.cluster.compact(partition as i32),
        }
    }

    /// The process on a machine, which is on its way out; none if there is none.
    fn take_out(&self, at: usize) -> Option<Arc<super::Member>> {
        self.members.lock()[at].take()
    }

    async fn come_back(self: &Arc<Self>, at: usize, disk: SimulatedDisk, down: u64) {
        self.disks.lock()[at] = disk.clone();
        sleep(ms(down)).await;
        self.begin(at, disk);
    }

    /// Cuts a member from the group for a while. When it is back it learns what the group has given away.
    async fn cut(&self, at: usize, deaf: bool, lasts: u64) {
        let Some(member) = self.member(at) else { return };
        self.world.step(Step::Cut { member: at, deaf });
        member.cut(true);
        member.client.deafen(deaf);
        sleep(ms(lasts)).await;
        if member.life.is_over() {
            return;
        }
        member.client.deafen(false);
        if let Some(membership) = member.membership() {
            // Of whatever waits for the group it learns now, too.
            member.client.cut(false);
            let _polls = member.polls.lock().await;
            loop {
                let lost = member.take_expelled();
                if lost.is_empty() {
                    break;
                }
                membership.revoke(&lost, true).await;
            }
        }
        member.cut(false);
        self.world.step(Step::Back { member: at });
    }
}
