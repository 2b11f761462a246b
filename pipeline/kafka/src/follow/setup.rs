//! Sees to it that the topics are there and as they must be, before anything of the source is read. A cluster that is away
//! is waited for.

use std::sync::Arc;

use tokio::time::{Instant, sleep};
use topics::Backoff;

use super::{
    options::FollowOptions,
    plan::{Step, TopicPlan},
    port::StateAdmin,
};
use crate::{
    cluster_wait::{ClusterWait, NO_TOPIC_AFTER},
    fault::FollowFault,
};

/// Sees to the topics for a source of so many partitions.
///
/// # Errors
/// [`FollowFault::Topic`] with what somebody has to do; with `fail_fast` also that the cluster does not answer.
pub(super) async fn ensure<A: StateAdmin>(
    admin: &A,
    options: &FollowOptions,
    partitions: i32,
    fail_fast: bool,
) -> Result<(), FollowFault> {
    let cluster = &options.cluster;
    let mut wait = ClusterWait::new(cluster, fail_fast, Arc::default());
    for plan in TopicPlan::all(options, partitions) {
        let mut backoff = Backoff::new(cluster.backoff_min, cluster.backoff_max);
        let (mut changed, mut unknown, began) = (false, None, Instant::now());
        loop {
            let facts = wait.wait(|| admin.facts(&plan.topic)).await?;
            let step = match plan.step(facts.as_ref(), options.create) {
                // Whoever was asked may not know it yet.
                Err(_) if facts.is_none() && began.elapsed() < NO_TOPIC_AFTER => {
                    sleep(backoff.pause()).await;
                    continue;
                }
                step => step?,
            };
            match step {
                Step::Use => break,
                // A node that has not heard of a new topic describes it by nothing.
                Step::Wait => {
                    if unknown.get_or_insert_with(Instant::now).elapsed() >= cluster.timeout {
                        return Err(plan.unknown());
                    }
                    sleep(backoff.pause()).await;
                    continue;
                }
                // It takes a moment until it is seen everywhere.
                Step::Create | Step::Grow if changed => {}
                Step::Create => wait.wait(|| admin.create(&plan)).await?,
                Step::Grow => wait.wait(|| admin.grow(&plan.topic, plan.partitions)).await?,
            }
            if !std::mem::replace(&mut changed, true) {
                tracing::info!(topic = %plan.topic, partitions, "the state topic was created, or has grown with the source");
            }
            sleep(backoff.pause()).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::follow::{scripted::ScriptedTopics, testing::options};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn topics_are_made_once_and_grow_with_the_source_unless_that_is_somebody_elses_task() {
        let cluster = ScriptedTopics::default();
        let strict = FollowOptions { create: false, ..options() };
        let fault = ensure(&cluster, &strict, 3, true).await.unwrap_err();
        assert!(matches!(fault, FollowFault::Topic { .. }), "{fault}");
        cluster.0.lock().unreachable = 4;
        ensure(&cluster, &options(), 3, false).await.unwrap();
        ensure(&cluster, &strict, 3, true).await.unwrap();
        assert!(ensure(&cluster, &strict, 5, true).await.is_err());
        ensure(&cluster, &options(), 5, true).await.unwrap();
        ensure(&cluster, &strict, 5, true).await.unwrap();
        let made: Vec<_> = cluster.0.lock().made.clone();
        assert_eq!(made, ["t-ledger 3", "t-waiting 3", "t-control 2", "t-ledger 5", "t-waiting 5"]);
        // A node that has just come back is asked first.
        cluster.0.lock().unheard = 3;
        ensure(&cluster, &strict, 5, true).await.unwrap();
        cluster.0.lock().undescribed = 3;
        ensure(&cluster, &strict, 5, true).await.unwrap();
        cluster.0.lock().undescribed = u32::MAX;
        let fault = ensure(&cluster, &options(), 5, false).await.unwrap_err().to_string();
        assert!(fault.contains("--describe") && fault.contains("t-ledger"), "{fault}");
        cluster.0.lock().undescribed = 0;
        cluster.0.lock().unreachable = 1;
        assert!(matches!(ensure(&cluster, &strict, 5, true).await, Err(FollowFault::Cluster(_))));
    }
}
