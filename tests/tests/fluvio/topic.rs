//! The cluster the scenarios run against, and a topic of their own on it.

use std::{
    env,
    process::{Command, id},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use fluvio::{
    Fluvio, FluvioClusterConfig, Offset, consumer::ConsumerConfigExtBuilder, metadata::topic::TopicSpec,
};
use futures::StreamExt;
use tests::skipped;
use tokio::{
    runtime::Runtime,
    time::{sleep, timeout},
};

/// How long the controller may take.
const ANSWER: Duration = Duration::from_secs(15);
/// How often it is asked for a topic.
const TRIES: u32 = 4;

/// A topic that goes when this is dropped.
pub(crate) struct Topic {
    pub(crate) endpoint: String,
    pub(crate) name: String,
    partitions: u32,
    runtime: Runtime,
}

/// A record of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OnTopic {
    pub(crate) partition: u32,
    pub(crate) key: Option<String>,
    pub(crate) value: String,
}

/// The cluster's address; none, said aloud, if there is no cluster.
fn endpoint() -> Option<String> {
    let endpoint = env::var("LOADLINE_TEST_FLUVIO").ok();
    if endpoint.is_none() {
        skipped("it needs a Fluvio cluster; name its controller in LOADLINE_TEST_FLUVIO (docs/testing.md)");
    }
    endpoint
}

/// Does something to the cluster's SPU: `kill`, `start`, `pause` or `resume`. False, said aloud, if nobody has said how.
pub(crate) fn spu(word: &str) -> bool {
    told("LOADLINE_TEST_FLUVIO_SPU", word)
}

/// The same to its controller.
pub(crate) fn sc(word: &str) -> bool {
    told("LOADLINE_TEST_FLUVIO_SC", word)
}

fn told(how: &str, word: &str) -> bool {
    let Ok(command) = env::var(how) else {
        skipped(&format!("it stops a part of the cluster; say how in {how} (docs/testing.md)"));
        return false;
    };
    let done = Command::new("sh").args(["-c", &format!("{command} {word}")]).status().unwrap();
    assert!(done.success(), "{command} {word}: {done}");
    true
}

impl Topic {
    /// A new topic; none if there is no cluster.
    pub(crate) fn create(partitions: u32) -> Option<Self> {
        Self::create_as(&TopicSpec::new_computed(partitions, 1, None))
    }

    /// A new topic of this kind; none if there is no cluster. A controller whose SPU has just been away may leave the
    /// wish unanswered: it is asked again, for another one.
    pub(crate) fn create_as(spec: &TopicSpec) -> Option<Self> {
        Some(Self::create_at(&endpoint()?, spec))
    }

    /// A new topic of the cluster whose controller is at `endpoint`, without TLS.
    pub(crate) fn create_at(endpoint: &str, spec: &TopicSpec) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        for _ in 0..TRIES {
            let name = format!("loadline-test-{}-{}", id(), COUNT.fetch_add(1, Relaxed));
            let (partitions, runtime) = (spec.partitions(), Runtime::new().unwrap());
            let topic = Self { endpoint: endpoint.to_owned(), name, partitions, runtime };
            let spec = spec.clone();
            let creating = async {
                let cluster = Fluvio::connect_with_config(&FluvioClusterConfig::new(endpoint)).await?;
                cluster.admin().await.create(topic.name.clone(), false, spec).await
            };
            if let Ok(created) = topic.runtime.block_on(async { timeout(ANSWER, creating).await }) {
                created.unwrap();
                return topic;
            }
        }
        panic!("the controller at {endpoint} has created no topic in {TRIES} tries of {ANSWER:?}");
    }

    /// Deletes it, and creates it again under the same name.
    pub(crate) fn make_anew(&self) {
        let spec = TopicSpec::new_computed(self.partitions, 1, None);
        let again = async |cluster: &Fluvio| {
            let admin = cluster.admin().await;
            admin.delete::<TopicSpec>(self.name.clone()).await.unwrap();
            for _ in 0..100 {
                if admin.create(self.name.clone(), false, spec.clone()).await.is_ok() {
                    return true;
                }
                // It is gone a moment later.
                sleep(Duration::from_millis(100)).await;
            }
            false
        };
        assert!(self.with_client(again), "{} is not created again", self.name);
    }

    /// Does something with Fluvio's own client.
    pub(crate) fn with_client<T>(&self, act: impl AsyncFnOnce(&Fluvio) -> T) -> T {
        self.runtime.block_on(async {
            let cluster =
                Fluvio::connect_with_config(&FluvioClusterConfig::new(&self.endpoint)).await.unwrap();
            act(&cluster).await
        })
    }

    /// What is on the topic now, each partition in its order.
    pub(crate) fn records(&self) -> Vec<OnTopic> {
        let reading = async |cluster: &Fluvio| {
            let mut all = Vec::new();
            for partition in 0..self.partitions {
                let config = ConsumerConfigExtBuilder::default()
                    .topic(self.name.as_str())
                    .partition(partition)
                    .offset_start(Offset::beginning())
                    .disable_continuous(true)
                    .build();
                let mut stream = cluster.consumer_with_config(config.unwrap()).await.unwrap();
                while let Some(record) = stream.next().await {
                    let record = record.unwrap();
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    let (key, value) = (record.key().map(text), text(record.value()));
                    all.push(OnTopic { partition, key, value });
                }
            }
            all
        };
        self.with_client(async |cluster| timeout(ANSWER, reading(cluster)).await)
            .expect("the topic can be read")
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        let deleting = async {
            let cluster = Fluvio::connect_with_config(&FluvioClusterConfig::new(&self.endpoint)).await?;
            cluster.admin().await.delete::<TopicSpec>(self.name.clone()).await
        };
        // Within the runtime: a timeout needs its clock when it is made.
        let deleted = self.runtime.block_on(async { timeout(ANSWER, deleting).await });
        // The topic is only left over then; the scenario has said what it had to say.
        let _left = deleted.is_err();
    }
}
