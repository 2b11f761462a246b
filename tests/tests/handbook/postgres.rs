//! A database, for the page about it: its commands are run on a real server if the machine can start one; else their words
//! are read only.

use std::fs;

use tests::{Events, Fleet, Postgres, Site, Wants, lines};

use crate::{Place, page::Command, syntax::is_understood};

/// How many events the site's file has.
const EVENTS: usize = 200;

/// A server without tables, and a site with two brokers, one of which takes named loads.
pub(crate) struct Database(Option<OnServer>);

struct OnServer {
    _server: Postgres,
    fleet: Fleet,
    site: Site,
}

impl Database {
    pub(crate) fn begin() -> Self {
        let on = Postgres::start().map(|server| {
            let fleet = Fleet::start(2);
            let mut site = Site::new(&fleet, &[Wants::all(), Wants::all()]);
            site.set_broker(1, "secrets", vec!["file:secret-of-broker-1"]);
            site.set_broker(1, "loads", vec!["LD-1", "LD-2"]);
            site.set("subscriptions.source", "postgres");
            site.set("subscriptions.connection", "file:database-url");
            site.set("subscriptions.tls", false);
            site.set("subscriptions.secret_prefixes", vec!["file:secret-of-broker-1"]);
            fs::write(site.path("database-url"), server.connection()).unwrap();
            fs::write(site.events(), lines(&Events::new(904, 20).take(EVENTS))).unwrap();
            OnServer { _server: server, fleet, site }
        });
        Self(on)
    }
}

impl Place for Database {
    fn run(&mut self, command: &Command) -> String {
        let Some(on) = &self.0 else {
            assert!(is_understood(&command.text), "{} is no command", command.text);
            return String::new();
        };
        let ended = on.site.shell(&command.text).expect(command.exits);
        if command.text == "loadline run" {
            on.fleet.tms(0).wait_for(EVENTS);
        }
        format!("{}{}", ended.stdout, ended.stderr)
    }

    fn only_reads(&self) -> bool {
        self.0.is_none()
    }
}
