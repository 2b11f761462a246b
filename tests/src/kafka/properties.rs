//! What a node is told: its `server.properties`. Small and quick for tests; what a promise depends on (acknowledgements,
//! in-sync replicas, elections) is as in production.

use std::fmt::Write as _;

/// The name that may connect with SASL.
pub(super) const USER: &str = "loadline";
/// Its password.
pub(super) const PASSWORD: &str = "correct horse battery";

/// Where a node listens, all on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    /// For clients, unencrypted, and for the other nodes.
    pub(super) plain: u16,
    /// For the quorum of controllers.
    pub(super) controller: u16,
    /// For clients, with TLS.
    pub(super) tls: u16,
    /// For clients that show a certificate of their own.
    pub(super) mutual_tls: u16,
    /// For clients with TLS, a name and a password.
    pub(super) sasl_tls: u16,
    /// For clients with a name and a password, unencrypted.
    pub(super) sasl_plain: u16,
}

impl Ports {
    /// From six numbers.
    pub(super) fn new([plain, controller, tls, mutual_tls, sasl_tls, sasl_plain]: [u16; 6]) -> Self {
        Self { plain, controller, tls, mutual_tls, sasl_tls, sasl_plain }
    }

    fn listeners(self) -> [(&'static str, &'static str, u16); 5] {
        [
            ("PLAIN", "PLAINTEXT", self.plain),
            ("TLS", "SSL", self.tls),
            ("MTLS", "SSL", self.mutual_tls),
            ("SASLTLS", "SASL_SSL", self.sasl_tls),
            ("SASLPLAIN", "SASL_PLAINTEXT", self.sasl_plain),
        ]
    }
}

/// The properties of node `index` of those at `all`, whose certificates and logs are in `directory`.
pub(super) fn server_properties(index: usize, all: &[Ports], directory: &str) -> String {
    let (ports, nodes) = (all[index], all.len());
    let (replicas, in_sync) = (nodes.min(3), nodes.min(2));
    let listeners = ports.listeners().map(|(name, _, port)| format!("{name}://127.0.0.1:{port}")).join(",");
    let protocols = ports.listeners().map(|(name, protocol, _)| format!("{name}:{protocol}")).join(",");
    let voters: Vec<String> =
        (1..).zip(all).map(|(id, ports)| format!("{id}@127.0.0.1:{}", ports.controller)).collect();
    let mut text = format!(
        "process.roles=broker,controller
node.id={id}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,{protocols}
inter.broker.listener.name=PLAIN
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
log.dirs={directory}/logs-{id}
auto.create.topics.enable=false
unclean.leader.election.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
",
        id = index + 1,
        controller = ports.controller,
        voters = voters.join(","),
    );
    text.push_str(QUICK);
    let _infallible = write!(text, "{}", security(directory));
    text
}

/// Short times, so that scenarios need not wait; few threads and little memory, because many run on one machine.
const QUICK: &str = "group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=200
group.consumer.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=5000
transaction.state.log.num.partitions=2
offsets.topic.num.partitions=4
share.coordinator.state.topic.num.partitions=1
num.network.threads=1
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=8388608
log.index.size.max.bytes=1048576
";

/// Certificates as PEM files, and one name with its password for every SASL mechanism.
fn security(directory: &str) -> String {
    let plain = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";"
    );
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let mut text = format!(
        "ssl.keystore.type=PEM
ssl.keystore.location={directory}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={directory}/ca.pem
listener.name.mtls.ssl.client.auth=required
"
    );
    for listener in ["sasltls", "saslplain"] {
        let name = format!("listener.name.{listener}");
        let _infallible = write!(
            text,
            "{name}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
{name}.plain.sasl.jaas.config={plain}
{name}.scram-sha-256.sasl.jaas.config={scram}
{name}.scram-sha-512.sasl.jaas.config={scram}
"
        );
    }
    text
}

/// What adds the name to a cluster that is being formatted, for the mechanisms that keep it there.
pub(super) fn scram_users() -> [String; 2] {
    ["SCRAM-SHA-256", "SCRAM-SHA-512"]
        .map(|mechanism| format!("{mechanism}=[name={USER},password={PASSWORD}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_nodes_know_each_other_and_keep_two_copies_in_sync() {
        let ports = [10, 20, 30].map(|first| Ports::new([0, 1, 2, 3, 4, 5].map(|more| first + more)));
        let text = server_properties(1, &ports, "/d");
        for line in [
            "node.id=2",
            "controller.quorum.voters=1@127.0.0.1:11,2@127.0.0.1:21,3@127.0.0.1:31",
            "log.dirs=/d/logs-2",
            "min.insync.replicas=2",
            "offsets.topic.replication.factor=3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
