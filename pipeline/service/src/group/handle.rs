//! The group, as operators ask it.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use stages::{Broker, HealthState};
use state::StateFault;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::members::Members;
use crate::{broker_command::BrokerCommand, status::GroupPicture};

/// How many commands may wait: operators give few.
const COMMANDS_MAX: usize = 64;

/// Why a command does not hold in the whole group.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroupFault {
    /// It holds here only.
    #[error(
        "{broker} is {state} at this member only: the control topic {topic} did not take it ({why}); while this process runs it goes on trying, so look at `loadline status --group` and give the command again if the others do not follow"
    )]
    HereOnly {
        /// The broker.
        broker: String,
        /// Its state here.
        state: &'static str,
        /// The topic.
        topic: String,
        /// Why.
        why: String,
    },
    /// The run is ending.
    #[error("the run is stopping, and its brokers are not changed any more; ask another member of the group")]
    Stopping,
    /// It could not be recorded here.
    #[error(transparent)]
    State(#[from] StateFault),
}

/// A command on its way.
pub(super) struct Request {
    pub(super) broker: Arc<Broker>,
    pub(super) command: BrokerCommand,
    pub(super) reply: oneshot::Sender<Result<HealthState, GroupFault>>,
}

/// The group, as operators ask it. A clone is the same.
#[derive(Clone)]
pub struct GroupHandle {
    name: Arc<str>,
    pub(super) member: Arc<str>,
    pub(super) members: Arc<Mutex<Members>>,
    commands: mpsc::Sender<Request>,
}

impl fmt::Debug for GroupHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupHandle")
            .field("name", &self.name)
            .field("member", &self.member)
            .finish_non_exhaustive()
    }
}

impl GroupHandle {
    /// That of `member` in the group `name`, and where its commands come.
    pub(super) fn new(name: &str, member: &Arc<str>) -> (Self, mpsc::Receiver<Request>) {
        let (commands, given) = mpsc::channel(COMMANDS_MAX);
        let (name, member) = (Arc::from(name), Arc::clone(member));
        (Self { name, member, members: Arc::default(), commands }, given)
    }

    /// All members, as this one knows them.
    #[must_use]
    pub fn picture(&self) -> GroupPicture {
        GroupPicture::of(&self.name, &self.member, self.members.lock().shown(Instant::now()))
    }

    /// Carries `command` out here and has the group told; the broker's state, once the group has it.
    ///
    /// # Errors
    /// [`GroupFault`].
    pub(crate) async fn command(
        &self,
        broker: Arc<Broker>,
        command: BrokerCommand,
    ) -> Result<HealthState, GroupFault> {
        let (reply, told) = oneshot::channel();
        let sent = self.commands.send(Request { broker, command, reply }).await;
        sent.map_err(|_| GroupFault::Stopping)?;
        told.await.map_err(|_| GroupFault::Stopping)?
    }
}
