//! A system that is a consumer group: each member is a process with a directory of its own. They are started and stopped
//! as the group is scaled, and killed. How far the group is, is what it has committed to the cluster, whatever its
//! members say.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::watch;

use super::{DOWN_MAX, Stopped, SystemStatus, Which, arguments, ask_to_stop, spawn, wait_until_up};
use crate::process::{Process, ProcessFault, usage};

/// Writes the config of a member into its directory; gives its path.
pub type WriteConfig = Box<dyn Fn(&Path) -> io::Result<PathBuf> + Send>;

/// How members are started.
pub struct Plan {
    /// Which system.
    pub which: Which,
    /// The binary.
    pub loadline: PathBuf,
    /// Where each gets a directory of its own.
    pub dir: PathBuf,
    /// Writes the config of each.
    pub write: WriteConfig,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("which", &self.which).field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// How far a group has committed its topic.
#[derive(Debug)]
pub struct Progress {
    /// Which records of the traffic stand in each partition, by their places, in order.
    pub places: Vec<Vec<usize>>,
    /// The offset up to which each partition is committed.
    pub committed: watch::Receiver<Vec<u64>>,
}

/// The members of a group.
#[derive(Debug)]
pub struct Group {
    plan: Plan,
    progress: Progress,
    /// The oldest first.
    members: Vec<Member>,
    /// Those that have been asked to stop.
    leaving: Vec<Member>,
    /// The configs of all members there have been.
    configs: Vec<PathBuf>,
    memory_max: u64,
}

#[derive(Debug)]
struct Member {
    process: Process,
    status: watch::Receiver<SystemStatus>,
}

impl Progress {
    /// All records of the traffic before this place are committed, and how many are in all.
    fn settled(&self) -> (u64, u64) {
        let committed = self.committed.borrow();
        let open = self.places.iter().zip(&*committed).filter_map(|(places, offset)| {
            places.get(usize::try_from(*offset).unwrap_or(usize::MAX)).copied()
        });
        let all: usize = self.places.iter().map(Vec::len).sum();
        (open.min().unwrap_or(all) as u64, committed.iter().sum())
    }
}

impl Group {
    /// Starts `count` members, and returns once all of them are up.
    ///
    /// # Errors
    /// [`ProcessFault`].
    pub async fn start(plan: Plan, progress: Progress, count: u32) -> Result<Self, ProcessFault> {
        let (members, leaving, configs) = (Vec::new(), Vec::new(), Vec::new());
        let mut group = Self { plan, progress, members, leaving, configs, memory_max: 0 };
        group.scale(count).await?;
        for member in &mut group.members {
            wait_until_up(&member.process, &mut member.status).await?;
        }
        Ok(group)
    }

    /// The configs of all members there have been.
    #[must_use]
    pub fn configs(&self) -> &[PathBuf] {
        &self.configs
    }

    /// What its members have said last, together; what is read and settled is what is committed.
    #[must_use]
    pub fn status(&self) -> SystemStatus {
        let (settled_to, committed) = self.progress.settled();
        let mut all = SystemStatus { read: committed, settled_to, ..SystemStatus::default() };
        for member in self.members.iter().chain(&self.leaving) {
            let status = member.status.borrow();
            all.in_flight += status.in_flight;
            all.spilled += status.spilled;
            all.held |= status.held;
            if all.states.is_empty() {
                all.states.clone_from(&status.states);
            }
        }
        all
    }

    /// The resident set of all members now, in bytes.
    pub fn memory(&mut self) -> Option<u64> {
        let all = self.members.iter().chain(&self.leaving);
        let now = all.filter_map(|member| usage::memory(member.process.pid())).map(|memory| memory.now).sum();
        self.memory_max = self.memory_max.max(now);
        (now > 0).then_some(now)
    }

    /// That no member has ended without being told to, and that none has ended badly.
    ///
    /// # Errors
    /// One has.
    pub fn must_run(&mut self) -> Result<(), ProcessFault> {
        self.members.iter_mut().try_for_each(|member| member.process.must_run())
    }

    /// Starts members, or asks the youngest to stop, until there are `count`. Does not wait for them.
    ///
    /// # Errors
    /// One cannot be started.
    pub async fn scale(&mut self, count: u32) -> Result<(), ProcessFault> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        while self.members.len() < count {
            self.start_one()?;
        }
        for mut member in self.members.split_off(count) {
            ask_to_stop(self.plan.which, &mut member.process).await?;
            self.leaving.push(member);
        }
        Ok(())
    }

    /// Kills the oldest member with no warning.
    ///
    /// # Errors
    /// The system does not do it.
    pub async fn kill_one(&mut self) -> Result<(), ProcessFault> {
        if self.members.is_empty() {
            return Ok(());
        }
        self.members.remove(0).process.kill().await
    }

    /// Stops all of them in good order.
    ///
    /// # Errors
    /// One did not end within half a minute, or not well.
    pub async fn stop(mut self) -> Result<Stopped, ProcessFault> {
        self.scale(0).await?;
        let status = self.status();
        for member in &mut self.leaving {
            member.process.end_well(DOWN_MAX).await?;
        }
        Ok(Stopped { status, memory_max: (self.memory_max > 0).then_some(self.memory_max) })
    }

    fn start_one(&mut self) -> Result<(), ProcessFault> {
        let Plan { which, loadline, dir, write } = &self.plan;
        let name = format!("{}-{}", which.as_str(), self.configs.len() + 1);
        let (dir, log) = (dir.join(&name), dir.join(format!("{name}.log")));
        let config = std::fs::create_dir_all(&dir).and_then(|()| write(&dir));
        let config = config.map_err(|error| ProcessFault::Start { what: name.clone(), error })?;
        let nothing: Arc<[u64]> = Arc::new([]);
        let (process, status) = spawn(*which, (loadline, &arguments(*which, &config)), &log, &nothing)?;
        self.configs.push(config);
        self.members.push(Member { process, status });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_ends_where_the_first_record_is_that_is_not_committed() {
        let (says, committed) = watch::channel(vec![0, 0]);
        let progress = Progress { places: vec![vec![0, 2, 3], vec![1, 4]], committed };
        for (offsets, settled) in [([0, 0], (0, 0)), ([1, 0], (1, 1)), ([3, 1], (4, 4)), ([3, 2], (5, 5))] {
            says.send_replace(offsets.to_vec());
            assert_eq!(progress.settled(), settled, "{offsets:?}");
        }
    }
}
