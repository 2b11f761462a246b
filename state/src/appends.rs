//! Commits that are durable here and on their way to the log outside. Their senders are answered in the order of the
//! commits, each once the log has all that its commit has changed.

use std::sync::Arc;

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::FuturesOrdered,
};

use crate::{
    commit_request::{CommitRequest, Recorded},
    fault::StateFault,
    following::{Appending, Changes, Following},
    partition_log::PartitionLogFault,
};

/// How many commits may be on their way: enough to bridge an acknowledgement that takes several commits' time, and few
/// enough that what a fault leaves unanswered is little.
const UNDER_WAY_MAX: usize = 16;

/// What the log has answered for each partition of a commit.
type Answers = Vec<(Arc<str>, Result<(), PartitionLogFault>)>;

/// The commits on their way.
pub(crate) struct Appends {
    following: Option<Following>,
    under_way: FuturesOrdered<BoxFuture<'static, (Vec<CommitRequest>, Answers)>>,
}

impl Appends {
    pub(crate) fn new(following: Option<Following>) -> Self {
        Self { following, under_way: FuturesOrdered::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether nothing more is to be committed before one of them has been answered.
    pub(crate) fn is_full(&self) -> bool {
        self.under_way.len() >= UNDER_WAY_MAX
    }

    /// Takes over a commit that is durable here, with what the log must know of it; empties `batch`.
    pub(crate) fn take(&mut self, batch: &mut Vec<CommitRequest>, changes: Changes) {
        if self.is_empty() && changes.is_empty() {
            answer(batch.drain(..), &Ok(()));
            return;
        }
        let Some(following) = &self.following else { return };
        let (commits, each) = (std::mem::take(batch), following.append(changes));
        let each =
            each.into_iter().map(|Appending { source, appended }| appended.map(|answer| (source, answer)));
        let each: Vec<_> = each.collect();
        self.under_way.push_back(join_all(each).map(|answers| (commits, answers)).boxed());
    }

    /// Waits until the log has the oldest of them, and answers its senders. May be dropped at any time.
    pub(crate) async fn step(&mut self) -> Result<(), StateFault> {
        let Some((commits, answers)) = self.under_way.next().await else { return Ok(()) };
        let Some(following) = &self.following else { return Ok(()) };
        let answers = answers.into_iter().map(|(source, answer)| following.answered(&source, answer));
        // Each of them is looked at: another partition may be lost, too.
        let taken = answers.fold(Ok(()), Result::and);
        answer(commits, &taken);
        taken
    }

    /// Answers all of them with this fault.
    pub(crate) fn fail(self, fault: &StateFault) {
        // What they wait for may never come, and the senders that wait for them learn of the fault by their end.
        drop(self.under_way);
        tracing::debug!(%fault, "commits on their way to the log are not answered any more");
    }
}

/// Answers the senders of these commits.
pub(crate) fn answer(commits: impl IntoIterator<Item = CommitRequest>, answer: &Result<(), StateFault>) {
    for commit in commits {
        // The caller may be gone: a delivery abandoned at shutdown.
        let _gone = commit.reply.send(answer.clone().map(|()| Recorded::already_durable()));
    }
}
