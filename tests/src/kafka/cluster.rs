//! A cluster of one or three nodes, and how it is spoken to. It is ready when every node answers for the whole cluster.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::{Mutex, MutexGuard};
use rand::RngExt;

use super::{
    client::Client,
    distribution,
    guard::Guard,
    node::{Node, java},
    properties::{PASSWORD, Ports, USER, server_properties},
    topic::KafkaTopic,
};
use crate::{
    authority::Authority,
    runtime::{now, pause, say},
    until,
};

/// How long a node that is well may take to learn of a topic, many times over.
const LEADS_WITHIN: Duration = Duration::from_secs(20);
/// How often nodes are started again before that is a failure.
const RESTARTS_MAX: usize = 3;
/// Ports are taken from here: below those that the system gives to outgoing connections, so that a node that was killed
/// finds its own free when it is started again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A way into the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Unencrypted, for everyone.
    Plain,
    /// With TLS.
    Tls,
    /// With TLS, for clients that show a certificate.
    MutualTls,
    /// With TLS, a name and a password.
    SaslTls,
    /// With a name and a password, unencrypted.
    SaslPlain,
}

/// A cluster; it ends when this is dropped, or with the test process.
#[derive(Debug)]
pub struct KafkaCluster {
    nodes: Vec<Mutex<Node>>,
    ports: Vec<Ports>,
    client: Client,
    class_path: &'static str,
    directory: PathBuf,
    // Last, so that nothing else of the cluster is there any more when the nodes end.
    _guard: Guard,
}

impl KafkaCluster {
    /// Starts one with so many nodes; none, said aloud, if that cannot be done here.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(nodes: usize) -> Option<Self> {
        let class_path = distribution::class_path()?;
        let directory = tempfile::Builder::new().prefix("loadline-kafka-").tempdir().expect("a directory");
        // From here on the guard removes it.
        let directory = directory.keep();
        let guard = Guard::new(&directory);
        write_certificates(&directory);
        let ports = free_ports(nodes);
        let mut id = rand::random::<[u8; 16]>();
        // With a minus in front it would be taken for an option.
        id[0] &= 0x7f;
        let cluster = URL_SAFE_NO_PAD.encode(id);
        let place = directory.to_str().expect("a path of text");
        let node = |number: usize| {
            let properties = server_properties(number, &ports, place);
            let mut node =
                Node::format((&directory, number), &properties, (&cluster, guard.group()), class_path);
            node.start();
            Mutex::new(node)
        };
        let all = (0..nodes).map(node).collect();
        let client = Client::new(&bootstrap(&ports, Listener::Plain));
        let started = Self { nodes: all, ports, client, class_path, directory, _guard: guard };
        started.wait_until_whole();
        Some(started)
    }

    /// The one-node cluster that all tests of this process share. None may kill or stop it.
    #[must_use]
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<KafkaCluster>> = OnceLock::new();
        // Each test says of itself that it is skipped.
        distribution::class_path()?;
        SHARED.get_or_init(|| Self::start(1)).as_ref()
    }

    /// The three-node cluster that the tests of this process use in turn, whole. They may kill and stop its nodes.
    ///
    /// # Panics
    /// If a node stays unwell.
    #[must_use]
    pub fn of_three() -> Option<MutexGuard<'static, Self>> {
        static IN_TURN: OnceLock<Option<Mutex<KafkaCluster>>> = OnceLock::new();
        distribution::class_path()?;
        let cluster = IN_TURN.get_or_init(|| Self::start(3).map(Mutex::new)).as_ref()?.lock();
        for node in &cluster.nodes {
            // A test that failed may have left one as it was.
            node.lock().restore();
        }
        cluster.wait_until_whole();
        cluster.restart_until_well();
        Some(cluster)
    }

    /// Starts all nodes again if one is not well, and looks once more.
    fn restart_until_well(&self) {
        for _ in 0..RESTARTS_MAX {
            if self.leads_new_topics() {
                return;
            }
            say(
                "a Kafka node that was killed or stopped does not hear of new topics any more: all are started again",
            );
            for node in &self.nodes {
                let mut node = node.lock();
                node.kill();
                node.start();
            }
            self.wait_until_whole();
        }
        panic!("a Kafka node does not hear of new topics, also when it is started again");
    }

    /// Whether each node leads its partition of a new topic. One that has missed a change of the controllers' may answer for
    /// the cluster, be given partitions, and never learn of them.
    fn leads_new_topics(&self) -> bool {
        let topic = self.topic(self.replicas());
        let end = now() + LEADS_WITHIN;
        (0..self.replicas()).all(|partition| {
            while !self.client.leads(topic.name(), partition) {
                if now() > end {
                    return false;
                }
                pause(Duration::from_millis(50));
            }
            true
        })
    }

    /// How many nodes it has.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Where clients begin: `HOST:PORT` of each node, with commas between them.
    #[must_use]
    pub fn bootstrap(&self, listener: Listener) -> String {
        bootstrap(&self.ports, listener)
    }

    /// A name and a password that are known at the listeners which ask for them.
    #[must_use]
    pub fn user(&self) -> (&'static str, &'static str) {
        (USER, PASSWORD)
    }

    /// A PEM file: `ca.pem` of the authority that has signed the nodes' certificates for 127.0.0.1 and localhost,
    /// `client.pem` and `client.key` of a client it knows, `stranger.pem` and `stranger.key` of one it does not.
    #[must_use]
    pub fn pem(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Ends node `index` without notice.
    pub fn kill(&self, index: usize) {
        self.nodes[index].lock().kill();
    }

    /// Starts node `index` again, over what it has on its disk, and does not wait for it.
    pub fn start_again(&self, index: usize) {
        self.nodes[index].lock().start();
    }

    /// Stops node `index` where it is: its connections stay open and nothing answers.
    pub fn pause(&self, index: usize) {
        self.nodes[index].lock().pause();
    }

    /// Lets node `index` go on.
    pub fn resume(&self, index: usize) {
        self.nodes[index].lock().resume();
    }

    /// Waits until all nodes are there.
    ///
    /// # Panics
    /// If one has ended, with the end of its log, or if it takes far too long.
    pub fn wait_until_whole(&self) {
        until("the Kafka cluster is whole", || {
            for node in &self.nodes {
                let mut node = node.lock();
                assert!(node.runs(), "a Kafka node has ended: {}", node.said());
            }
            self.client.nodes() == self.nodes.len()
        });
    }

    /// A topic of its own for a test.
    #[must_use]
    pub fn topic(&self, partitions: i32) -> KafkaTopic<'_> {
        self.topic_with(partitions, &[])
    }

    /// The same, with these settings of the topic.
    #[must_use]
    pub fn topic_with(&self, partitions: i32, settings: &[(&str, &str)]) -> KafkaTopic<'_> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("shipment-events-{}", COUNT.fetch_add(1, Relaxed));
        let topic = KafkaTopic::new(self, name);
        topic.create(partitions, settings);
        topic
    }

    /// Has the first replica of every partition lead it again, as far as it is in sync.
    pub fn elect_preferred_leaders(&self) {
        let mut tool = java(self.class_path, "org.apache.kafka.tools.LeaderElectionCommand");
        tool.args(["--election-type", "preferred", "--all-topic-partitions", "--bootstrap-server"]);
        let elected = tool.arg(self.bootstrap(Listener::Plain)).output().expect("java runs");
        assert!(elected.status.success(), "{elected:?}");
    }

    /// Runs one of Kafka's own tools, as its scripts do; what it says.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let ran = java(self.class_path, class).args(arguments).output().expect("java runs");
        assert!(ran.status.success(), "{class} {arguments:?}: {ran:?}");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// How many replicas a new topic has.
    pub(super) fn replicas(&self) -> i32 {
        i32::try_from(self.nodes.len()).expect("few nodes")
    }
}

fn bootstrap(ports: &[Ports], listener: Listener) -> String {
    let port = |ports: &Ports| match listener {
        Listener::Plain => ports.plain,
        Listener::Tls => ports.tls,
        Listener::MutualTls => ports.mutual_tls,
        Listener::SaslTls => ports.sasl_tls,
        Listener::SaslPlain => ports.sasl_plain,
    };
    let all: Vec<String> = ports.iter().map(|ports| format!("127.0.0.1:{}", port(ports))).collect();
    all.join(",")
}

/// Ports that nobody listens at, unless somebody takes one before the nodes do.
fn free_ports(nodes: usize) -> Vec<Ports> {
    let mut rng = rand::rng();
    let mut held = Vec::new();
    let mut free = || loop {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", rng.random_range(PORTS))) {
            let port = listener.local_addr().expect("an address").port();
            held.push(listener);
            return port;
        }
    };
    (0..nodes).map(|_| Ports::new(std::array::from_fn(|_| free()))).collect()
}

fn write_certificates(directory: &std::path::Path) {
    let write = |name: &str, text: String| fs::write(directory.join(name), text).expect("a file");
    let authority = Authority::new();
    write("ca.pem", authority.pem());
    let server = authority.server(&["localhost", "127.0.0.1"]);
    // Kafka wants the key and the certificates in one file.
    write("server.pem", format!("{}{}{}", server.key, server.certificate, authority.pem()));
    for (name, client) in [("client", authority.client()), ("stranger", Authority::new().client())] {
        write(&format!("{name}.pem"), client.certificate);
        write(&format!("{name}.key"), client.key);
    }
}
