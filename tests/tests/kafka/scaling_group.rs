//! Members of one group whose state follows their partitions: they are started, stopped in good order and killed while
//! events are produced.

use std::{thread, time::Duration};

use tests::{KafkaTopic, Loadline, PossibleRepeats, Site, Summary, now, pause, until};

use crate::{
    scene::Scene,
    site::{assigned, follows, group, member_by},
    volume::Volume,
};

/// How many deliveries may be owed before producing waits for the receivers.
const OWED_MAX: usize = 10_000;
/// How often members are asked for their partitions: each time is a process of its own.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// A site for a member whose state follows its partitions.
pub(crate) fn following(protocol: &str, scene: &Scene, topic: &KafkaTopic<'_>) -> Site {
    let mut site = follows(member_by(protocol, &scene.fleet, &scene.wants, topic, &group(topic)));
    let nodes = topic.cluster().nodes();
    site.set("state.replication", i64::try_from(nodes).unwrap());
    site.set("state.min_isr", i64::try_from(nodes.min(2)).unwrap());
    site
}

/// The members that run, the oldest first.
pub(crate) struct Members<'s> {
    scene: &'s Scene,
    topic: &'s KafkaTopic<'s>,
    protocol: &'s str,
    running: Vec<(Site, Loadline)>,
    /// What those counted that ended in good order.
    counted: PossibleRepeats,
    killed: usize,
}

impl<'s> Members<'s> {
    pub(crate) fn new(protocol: &'s str, scene: &'s Scene, topic: &'s KafkaTopic<'s>) -> Self {
        let counted = PossibleRepeats::default();
        Self { scene, topic, protocol, running: Vec::new(), counted, killed: 0 }
    }

    /// Starts or stops members until there are `count`, and waits until they have all partitions.
    pub(crate) fn scale(&mut self, count: usize) {
        while self.running.len() < count {
            let site = following(self.protocol, self.scene, self.topic);
            self.start(site);
        }
        let leave = self.running.split_off(count);
        leave.iter().for_each(|(_, run)| run.terminate());
        for (_, run) in leave {
            self.count(&run.wait().summary());
        }
        self.wait_for_shares();
    }

    /// Kills one of them without notice and starts another: every other time over the same directory, else over an empty
    /// one, as after the loss of a disk.
    pub(crate) fn kill_one(&mut self) {
        let nth = self.killed * 7 % self.running.len();
        let (site, run) = self.running.remove(nth);
        let _killed = run.kill();
        self.killed += 1;
        if self.killed.is_multiple_of(2) {
            self.start(site);
        } else {
            self.start(following(self.protocol, self.scene, self.topic));
        }
    }

    /// Ends all of them; the attempts that those counted which ended in good order.
    pub(crate) fn end(mut self) -> PossibleRepeats {
        self.scale(0);
        self.counted
    }

    fn start(&mut self, site: Site) {
        let run = site.run();
        self.running.push((site, run));
    }

    fn count(&mut self, summary: &Summary) {
        self.counted.crash += summary.possible_repeats.crash;
        self.counted.no_answer += summary.possible_repeats.no_answer;
        self.counted.refusal += summary.possible_repeats.refusal;
    }

    fn wait_for_shares(&mut self) {
        let (partitions, members) = (self.topic.leaders().len(), self.running.len());
        if members == 0 {
            return;
        }
        let least = u64::try_from(partitions / members).unwrap();
        until(&format!("{members} members have their share of {partitions} partitions"), || {
            pause(ASK_EVERY);
            let shares: Option<Vec<u64>> = self.running.iter().map(|(site, _)| assigned(site)).collect();
            for (_, run) in &mut self.running {
                assert!(run.runs(), "a member has ended: {}", run.log());
            }
            shares.is_some_and(|shares| {
                shares.iter().sum::<u64>() == partitions as u64 && shares.iter().all(|share| *share >= least)
            })
        });
    }
}

/// Produces the next `count` events of the scene's log behind `from`, at the volume's pace, while `moves` happen.
pub(crate) fn under_load(
    scene: &Scene,
    topic: &KafkaTopic<'_>,
    volume: &Volume,
    (from, count): (usize, usize),
    moves: impl FnOnce(),
) {
    thread::scope(|scope| {
        let producing = scope.spawn(|| {
            let (began, brokers) = (now(), scene.fleet.len());
            let chunk = (volume.pace / 5).max(1);
            for (nth, part) in (0..).zip(scene.log[from..from + count].chunks(chunk)) {
                let due = began + Duration::from_millis(200) * nth;
                pause(due.saturating_duration_since(now()));
                topic.produce(part);
                let produced = from + nth as usize * chunk + part.len();
                until("the receivers catch up", || scene.fleet.taken() + OWED_MAX >= produced * brokers);
            }
        });
        moves();
        producing.join().unwrap();
    });
}

/// Waits until everything that is owed has arrived.
pub(crate) fn wait_for_all(scene: &Scene) {
    let owed = scene.oracle.deliveries();
    until("as much has arrived as is owed", || scene.fleet.taken() >= owed);
    until("all is delivered", || {
        let given = scene.oracle.judge_all(&scene.fleet);
        let all = given.iter().all(|given| given.missing == 0);
        // With repeats the count is reached before all is there, and judging takes its time.
        if !all {
            pause(ASK_EVERY);
        }
        all
    });
}
