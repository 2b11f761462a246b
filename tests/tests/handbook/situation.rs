//! The situations the handbook's sections are about, made with a real process, real receivers and real posts.

use std::{fs, net::SocketAddr, time::Duration};

use lab::receiver::Behaviour;
use reqwest::StatusCode;
use tests::{Ended, Events, Fleet, Loadline, Producer, ShipmentEvent, Site, Wants, lines, until};

use crate::{Place, logs, page::Command};

/// The brokers of every situation; it is `bolt` that has trouble.
const BROKERS: [&str; 3] = ["acme", "bolt", "crane"];
const BOLT: usize = 1;
/// What the pages call the address producers post to.
const INTAKE: &str = "127.0.0.1:8080";

/// A situation.
pub(crate) struct Situation {
    fleet: Fleet,
    site: Site,
    run: Option<Loadline>,
    intake: Option<SocketAddr>,
}

impl Situation {
    /// Brings it about.
    pub(crate) fn begin(name: &str) -> Self {
        let fleet = Fleet::start(BROKERS.len());
        let mut site = Site::with_posts(&fleet, &vec![Wants::all(); BROKERS.len()]);
        for (index, id) in BROKERS.iter().enumerate() {
            site.set_broker(index, "id", *id);
            site.set_broker(index, "rate", 500);
        }
        site.set("breaker.open_min", "1s");
        site.set("retry.attempts_max", 3);
        let mut situation = Self { fleet, site, run: None, intake: None };
        match name {
            "healthy" => situation.healthy(),
            "dead-broker" => situation.dead_broker(),
            "full-queue" => situation.full_queue(),
            "slow-broker" => situation.slow_broker(),
            "surge" => situation.surge(),
            "poison" => situation.poison(),
            "disk" => situation.disk(),
            "stopped" => situation.stopped(),
            "logs" => situation.logs(),
            _ => panic!("there is no situation {name}"),
        }
        situation
    }

    fn carry_out(&mut self, command: &Command) -> String {
        if command.text == "loadline run" {
            self.start();
            return String::new();
        }
        let mut text = command.text.clone();
        if let Some(addr) = self.intake {
            text = text.replace(INTAKE, &addr.to_string());
        }
        if command.goes_on {
            text = format!("timeout --preserve-status --signal=INT 3 {text}");
        }
        let mut ended = self.site.shell(&text);
        // What an interrupt ends may say so: 128 and the signal's number.
        let as_shown =
            |ended: &Ended| ended.code == Some(command.exits) || (command.goes_on && ended.code == Some(130));
        if command.looks() {
            until(&format!("{} exits {}", command.text, command.exits), || {
                let fits = as_shown(&ended);
                if !fits {
                    ended = self.site.shell(&text);
                }
                fits
            });
        }
        assert!(as_shown(&ended), "{}: {ended:?}", command.text);
        format!("{}{}", ended.stdout, ended.stderr)
    }

    fn start(&mut self) {
        let mut run = self.site.run();
        self.intake = Some(run.listening());
        let socket = self.site.path("state").join("admin.sock");
        until("the admin endpoint is there", || socket.exists());
        self.run = Some(run);
    }

    /// The process ends in good order.
    fn stop(&mut self) {
        if let Some(run) = self.run.take() {
            run.terminate();
            let ended = run.wait();
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
    }

    fn post(&self, events: &[ShipmentEvent]) {
        let told = Producer::new(self.intake.unwrap()).post(lines(events));
        assert_eq!(told.accepted, events.len() as u64, "{told:?}");
        // For what the page itself posts.
        fs::write(self.site.events(), lines(&Events::new(901, 10).take(20))).unwrap();
    }

    fn healthy(&mut self) {
        self.start();
        self.post(&Events::new(900, 20).take(300));
        self.fleet.iter().for_each(|tms| tms.wait_for(300));
    }

    /// Nobody answers at bolt.
    fn dead_broker(&mut self) {
        self.fleet.tms(BOLT).refuse();
        self.start();
        self.post(&Events::new(900, 20).take(300));
        self.fleet.tms(0).wait_for(300);
        self.fleet.tms(2).wait_for(300);
    }

    /// Nobody answers at bolt, and there is no room for more of what waits for it.
    fn full_queue(&mut self) {
        for (key, value) in [("in_flight_max", 64), ("per_broker_max", 32), ("unsettled_max", 4_096)] {
            self.site.set(&format!("limits.{key}"), value);
        }
        self.site.set("limits.spill_broker_max", "1280KiB");
        self.site.set("limits.when_full", "hold");
        self.site.set("source.record_max", "16KiB");
        self.fleet.tms(BOLT).refuse();
        self.start();
        Events::new(900, 500).take(4_000).chunks(500).for_each(|events| self.post(events));
    }

    /// bolt takes a second for an answer, and one request at a time.
    fn slow_broker(&mut self) {
        self.site.set_broker(BOLT, "concurrency", 1);
        self.site.set("limits.spill_after", "500ms");
        let slow = Behaviour { latency: Duration::from_secs(1), ..Behaviour::default() };
        self.fleet.tms(BOLT).behave(slow);
        self.start();
        self.post(&Events::new(900, 20).take(300));
        self.fleet.tms(0).wait_for(300);
        self.fleet.tms(2).wait_for(300);
    }

    /// More comes than all brokers together take, and memory is full.
    fn surge(&mut self) {
        for index in 0..BROKERS.len() {
            self.site.set_broker(index, "rate", 20);
            self.site.set_broker(index, "concurrency", 4);
        }
        for (key, value) in [("in_flight_max", 64), ("per_broker_max", 32), ("unsettled_max", 128)] {
            self.site.set(&format!("limits.{key}"), value);
        }
        self.start();
        Events::new(900, 500).take(4_000).chunks(500).for_each(|events| self.post(events));
    }

    /// Producers have sent what is no event, and events bolt refuses for good.
    fn poison(&mut self) {
        self.start();
        let log = Events::new(900, 20).take(100);
        self.post(&log[..50]);
        self.fleet.iter().for_each(|tms| tms.wait_for(50));
        self.fleet
            .tms(BOLT)
            .behave(Behaviour { status: StatusCode::UNPROCESSABLE_ENTITY, ..Behaviour::default() });
        let broken =
            b"{\"eventId\": \"e-1\", \"loadId\": \"L-1\"}\n{\"eventId\": \"e-2\", cut off\n".to_vec();
        let told = Producer::new(self.intake.unwrap())
            .post_with(&[("content-type", "application/x-ndjson")], [lines(&log[50..60]), broken].concat());
        assert_eq!(told.accepted, 12, "{told:?}");
        self.fleet.tms(0).wait_for(60);
        let wanted = 12;
        until("bolt's letters are there", || {
            let status = self.site.shell("loadline status --json loadline.toml");
            status.stdout.contains(&format!("\"total\":{wanted}"))
        });
        // It has been told what it did.
        self.fleet.tms(BOLT).behave(Behaviour::default());
    }

    /// The disk is full, and the process has ended over it.
    fn disk(&mut self) {
        self.healthy();
        self.stop();
        let used = fs::metadata(self.site.database()).unwrap().len();
        // Room for two of the store's segments and more, so that the process starts and then meets the end.
        let blocks = used / 512 + 4_096;
        let mut full = self.site.run_after(&format!("trap '' XFSZ; ulimit -f {blocks}"));
        let producer = Producer::new(full.listening());
        let log = Events::new(902, 200).take(20_000);
        for batch in log.chunks(500) {
            if producer.post_or_not(lines(batch)).is_none_or(|told| told.status != 202) {
                break;
            }
        }
        let ended = full.wait();
        assert_eq!(ended.code, Some(1), "{ended:?}");
    }

    fn stopped(&mut self) {
        self.dead_broker();
        self.stop();
    }

    /// Another service has delivered, and logs of it are there.
    fn logs(&mut self) {
        self.start();
        logs::write(|name, bytes| fs::write(self.site.path(name), bytes).unwrap());
    }
}

impl Place for Situation {
    fn run(&mut self, command: &Command) -> String {
        self.carry_out(command)
    }
}
