//! A group whose members have their brokers and subscriptions from a database: each of them sees a row that changes, and
//! together they press a broker no harder than its row says.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::{Events, Fleet, KafkaCluster, KafkaTopic, Postgres, ShipmentEvent, Site, Wants, now, until};

use crate::site::{follows, group, member, status, wait_for_shares};

const PARTITIONS: i32 = 6;
/// At most so many attempts of all members are under way.
const CONCURRENCY: usize = 4;
/// At most so many permits are saved up.
const BURST: usize = 2;

/// A member without a broker of its own.
fn site(fleet: &Fleet, topic: &KafkaTopic<'_>, server: &Postgres) -> Site {
    let mut site = follows(member(fleet, &[Wants::all()], topic, &group(topic)));
    site.take_broker(0);
    site.environment("LOADLINE_BROKER_KEY", fleet.tms(0).secret());
    site.subscribe_by(&server.connection());
    site
}

/// Makes one broker in the table that subscribes to all loads of the log.
fn fill(server: &Postgres, url: &str, log: &[ShipmentEvent]) {
    server.execute(&format!(
        "insert into brokers (id, webhook_url, secret_refs, rate, settings) values \
         ('acme', '{url}/one', '{{env:LOADLINE_BROKER_KEY}}', 40, '{{\"burst\": {BURST}, \"concurrency\": {CONCURRENCY}}}')"
    ));
    for load in log.iter().map(|event| &event.load_id).collect::<BTreeSet<_>>() {
        server.execute(&format!(
            "insert into broker_subscriptions (load_id, broker_id) values ('{load}', 'acme')"
        ));
    }
}

/// Waits until every member has half of this rate.
fn wait_for_halves(sites: &[&Site], rate: f64) {
    until(&format!("every member has its part of {rate} a second"), || {
        sites.iter().all(|site| {
            let broker: Value = status(site)["brokers"][0].clone();
            broker["rateWhole"] == rate && broker["rateAllowed"] == rate / 2.0
        })
    });
}

#[test]
fn every_member_sees_a_row_that_changes_and_the_divided_rate_follows_it() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let Some(server) = Postgres::start_with("log_statement = 'none'") else { return };
    let (topic, fleet) = (cluster.topic(PARTITIONS), Fleet::start(1));
    let tms = fleet.tms(0);
    let log = Events::new(54, 40).take(220);
    let sites = [0, 1].map(|_| site(&fleet, &topic, &server));
    let _made = sites[0].loadline(&["db", "init"]).expect(0);
    fill(&server, &tms.url(), &log);
    let runs = sites.each_ref().map(Site::run);
    let members: Vec<&Site> = sites.iter().collect();
    wait_for_shares(&members, &[3, 3]);
    wait_for_halves(&members, 40.0);

    topic.produce(&log[..160]);
    tms.wait_for(10);
    let slower = 8.0;
    server.execute(&format!("update brokers set rate = {slower} where id = 'acme'"));
    wait_for_halves(&members, slower);
    let (changed, before) = (now(), tms.taken());
    assert!(before + 40 < 160, "enough is left to tell one rate from another: {before} of 160 have come");
    tms.wait_for(160);
    let arrivals = tms.arrivals();
    let took = (arrivals[159].at - changed).as_secs_f64();
    let permitted = (BURST + CONCURRENCY) as f64 + slower * took;
    let since = 160 - before;
    assert!(since as f64 <= permitted, "{since} arrivals in {took} s, {permitted} permitted");

    let url = tms.url();
    server.execute(&format!("update brokers set webhook_url = '{url}/two', rate = 1000 where id = 'acme'"));
    wait_for_halves(&members, 1_000.0);
    topic.produce(&log[160..]);
    tms.wait_for(log.len());
    let arrivals = tms.arrivals();
    assert!(arrivals[..160].iter().all(|arrival| arrival.path.ends_with("/one")));
    assert!(arrivals[160..].iter().all(|arrival| arrival.path.ends_with("/two")));
    let events: BTreeSet<_> = arrivals.iter().map(|arrival| &arrival.webhook_id).collect();
    assert_eq!((arrivals.len(), events.len()), (log.len(), log.len()));
    let runs: Vec<_> = runs.into_iter().inspect(tests::Loadline::terminate).collect();
    for run in runs {
        assert_eq!(run.wait().summary().dead_letters, 0);
    }
}
