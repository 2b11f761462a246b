//! A Kafka cluster, for the page about it: its commands are run on a real one if the machine can start one; else the words
//! of Loadline's own are read only.

use std::fs;

use tests::{Events, Fleet, KafkaCluster, Listener, Loadline, Site, Wants, lines, until};

use crate::{Place, page::Command, syntax::is_understood};

/// What the page calls a broker of the cluster.
const CLUSTER: &str = "kafka-1.example:9092";
/// Kafka's scripts, and the classes they run.
const TOOLS: [(&str, &str); 2] = [
    ("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
    ("kafka-consumer-groups.sh", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
];

/// A cluster, and a site that reads from it.
pub(crate) struct Kafka(Option<OnCluster>);

struct OnCluster {
    cluster: &'static KafkaCluster,
    fleet: Fleet,
    site: Site,
    run: Option<Loadline>,
}

impl Kafka {
    pub(crate) fn begin() -> Self {
        let on = KafkaCluster::shared().map(|cluster| {
            let fleet = Fleet::start(1);
            let mut site = Site::without_source(&fleet, &[Wants::all()]);
            site.set("source.kind", "kafka");
            site.set("source.bootstrap", vec![cluster.bootstrap(Listener::Plain)]);
            site.set("source.group", "loadline");
            fs::write(site.events(), lines(&Events::new(903, 20).take(200))).unwrap();
            OnCluster { cluster, fleet, site, run: None }
        });
        Self(on)
    }
}

impl OnCluster {
    fn run(&mut self, text: &str) -> String {
        let text = text.replace(CLUSTER, &self.cluster.bootstrap(Listener::Plain));
        let tool = TOOLS.iter().find_map(|(script, class)| Some((class, text.strip_prefix(script)?)));
        if let Some((class, arguments)) = tool {
            return self.cluster.tool(class, &arguments.split_whitespace().collect::<Vec<_>>());
        }
        if text == "loadline run" {
            let run = self.site.run();
            let socket = self.site.path("state").join("admin.sock");
            until("the admin endpoint is there", || socket.exists());
            self.run = Some(run);
            return String::new();
        }
        if text == "loadline status" {
            self.fleet.tms(0).wait_for(200);
        }
        let ended = self.site.shell(&text);
        format!("{}{}", ended.stdout, ended.stderr)
    }
}

impl Place for Kafka {
    fn run(&mut self, command: &Command) -> String {
        match &mut self.0 {
            Some(on) => on.run(&command.text),
            None => {
                let is_tool = TOOLS.iter().any(|(script, _)| command.text.starts_with(script));
                assert!(is_tool || is_understood(&command.text), "{} is no command", command.text);
                String::new()
            }
        }
    }

    fn only_reads(&self) -> bool {
        self.0.is_none()
    }
}
