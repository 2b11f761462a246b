//! librdkafka's properties for the options of a topic. What a site has set comes first, so that nothing of it replaces
//! what a promise rests on.

use std::time::Duration;

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use crate::options::{
    ClusterOptions, GroupProtocol, Isolation, KafkaOptions, Reading, SaslMechanism, SaslOptions,
};

/// librdkafka assigns partitions only under a group's name. Nobody joins this one and nothing is committed to it.
const NO_GROUP: &str = "loadline-without-group";
/// How long a partition whose queue is full is left alone: its default of a second would be a pause of a second each
/// time the line has emptied a small queue.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(20);
/// How often the topic's partitions are counted.
const COUNT_EVERY: Duration = Duration::from_secs(60);
/// A heartbeat's pause is at most this, and a third of the session's timeout.
const HEARTBEAT_MAX: Duration = Duration::from_secs(3);

/// What every client of a cluster has, whether it reads or writes.
pub(crate) fn client_config(cluster: &ClusterOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in &cluster.properties {
        config.set(name, value);
    }
    config
        .set("bootstrap.servers", cluster.bootstrap.join(","))
        .set("client.id", "loadline")
        .set("allow.auto.create.topics", "false")
        .set("socket.timeout.ms", millis(cluster.timeout))
        .set("socket.connection.setup.timeout.ms", millis(cluster.timeout))
        .set("reconnect.backoff.ms", millis(cluster.backoff_min))
        .set("reconnect.backoff.max.ms", millis(cluster.backoff_max))
        .set("topic.metadata.refresh.interval.ms", millis(COUNT_EVERY))
        .set_log_level(RDKafkaLogLevel::Info);
    secure(cluster, &mut config);
    config
}

fn secure(cluster: &ClusterOptions, config: &mut ClientConfig) {
    let protocol = match (&cluster.tls, &cluster.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &cluster.tls {
        // OpenSSL is built in, and knows no directory of the system's by itself.
        let ca = tls.ca_file.as_ref().map_or("probe".into(), |file| file.to_string_lossy());
        config.set("ssl.ca.location", ca).set("ssl.endpoint.identification.algorithm", "https");
        if let Some(client) = &tls.client {
            config
                .set("ssl.certificate.location", client.cert_file.to_string_lossy())
                .set("ssl.key.location", client.key_file.to_string_lossy());
        }
    }
    if let Some(SaslOptions { mechanism, username, password }) = &cluster.sasl {
        let mechanism = match mechanism {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        config
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", username)
            .set("sasl.password", password.expose());
    }
}

/// What a consumer has besides.
pub(super) fn consumer_config(options: &KafkaOptions) -> ClientConfig {
    let mut config = client_config(&options.cluster);
    let isolation = match options.isolation {
        Isolation::Committed => "read_committed",
        Isolation::Uncommitted => "read_uncommitted",
    };
    let fetch = &options.fetch;
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("isolation.level", isolation)
        .set("fetch.message.max.bytes", fetch.partition_max.to_string())
        .set("queued.max.messages.kbytes", fetch.queue_max.div_ceil(1024).to_string())
        .set("queued.min.messages", "10000000")
        .set("fetch.queue.backoff.ms", millis(FULL_QUEUE_PAUSE))
        .set("fetch.wait.max.ms", millis(fetch.wait_max));
    let Reading::Group(group) = &options.reading else {
        config.set("group.id", NO_GROUP);
        return config;
    };
    config.set("group.id", &group.id).set("max.poll.interval.ms", millis(group.max_poll_interval));
    if let Some(instance_id) = &group.instance_id {
        config.set("group.instance.id", instance_id);
    }
    match group.protocol {
        GroupProtocol::Consumer => config.set("group.protocol", "consumer"),
        GroupProtocol::Classic => config
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", millis(group.session_timeout))
            .set("heartbeat.interval.ms", millis((group.session_timeout / 3).min(HEARTBEAT_MAX))),
    };
    config
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;
    use crate::{
        options::{Password, TlsOptions},
        testing::{group, options},
    };

    #[test]
    fn the_client_takes_every_setting_of_both_protocols_and_of_none() {
        for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
            let config = consumer_config(&options(group(protocol)));
            let consumer: BaseConsumer = config.create().unwrap();
            assert!(consumer.subscription().unwrap().count() == 0);
        }
        let _consumer: BaseConsumer =
            consumer_config(&options(Reading::Partitions(vec![0]))).create().unwrap();
    }

    #[test]
    fn the_build_has_tls_scram_and_every_codec() {
        let mut options = options(Reading::Partitions(vec![0]));
        let (mechanism, username) = (SaslMechanism::ScramSha512, "loadline".to_owned());
        options.cluster.tls = Some(TlsOptions { ca_file: None, client: None });
        options.cluster.sasl = Some(SaslOptions { mechanism, username, password: Password::new("secret") });
        let config = consumer_config(&options);
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        let _consumer: BaseConsumer = config.create().unwrap();
        let built = config.create_native_config().unwrap().get("builtin.features").unwrap();
        for feature in ["gzip", "snappy", "zstd", "ssl", "sasl_plain", "sasl_scram"] {
            assert!(built.contains(feature), "{feature} of {built}");
        }
    }

    #[test]
    fn nothing_that_a_site_sets_replaces_what_a_promise_rests_on() {
        let mut options = options(Reading::Partitions(vec![0]));
        options.cluster.properties = [("enable.auto.commit", "true"), ("client.rack", "eu-1")]
            .map(|(k, v)| (k.into(), v.into()))
            .into();
        let config = consumer_config(&options);
        assert_eq!(
            (config.get("enable.auto.commit"), config.get("client.rack")),
            (Some("false"), Some("eu-1"))
        );
    }
}
