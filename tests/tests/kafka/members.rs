//! A group whose state follows its partitions is one to its brokers and to its operators: members together press a broker no
//! harder than one would, what is said of a broker at one member holds at all, and any member knows all others.

use std::time::Duration;

use lab::receiver::Behaviour;
use serde_json::Value;
use tests::{Events, Fleet, KafkaCluster, KafkaTopic, Loadline, Oracle, Site, Wants, now, pause, until};

use crate::site::{follows, group, member, status, wait_for_shares};

const PARTITIONS: i32 = 6;

/// A member for the only receiver of `fleet`.
fn site(fleet: &Fleet, topic: &KafkaTopic<'_>) -> Site {
    follows(member(fleet, &[Wants::all()], topic, &group(topic)))
}

fn end_all(runs: impl IntoIterator<Item = Loadline>) {
    let runs: Vec<_> = runs.into_iter().inspect(Loadline::terminate).collect();
    runs.into_iter().for_each(|run| drop(run.wait().summary()));
}

/// What `loadline status --group` says, whatever its exit code.
fn picture(site: &Site) -> Value {
    let told = site.loadline(&["status", "--group", "--json"]);
    serde_json::from_str(&told.stdout).unwrap_or_default()
}

/// The only broker, as a member shows it.
fn broker(site: &Site) -> Value {
    status(site)["brokers"][0].clone()
}

fn wait_for_state(sites: &[&Site], state: &str) {
    until(&format!("all are {state}"), || sites.iter().all(|site| broker(site)["state"] == state));
}

fn command(site: &Site, command: &str) {
    let _done = site.loadline(&["broker", command, "broker-0", "--config"]).expect(0);
}

#[test]
fn six_members_press_a_broker_no_harder_than_three_and_no_more_than_it_allows() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let (log, fleet) = (Events::new(51, 300).take(900), Fleet::start(1));
    fleet.tms(0).behave(Behaviour { latency: Duration::from_millis(20), ..Behaviour::default() });
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let (rate, burst) = (40.0, 12);
    let sites: Vec<Site> = (0..6)
        .map(|_| {
            let mut site = site(&fleet, &topic);
            site.set_broker(0, "rate", rate);
            site.set_broker(0, "burst", burst);
            site.set_broker(0, "concurrency", 6);
            site
        })
        .collect();
    let first: Vec<_> = sites.iter().collect();
    let mut runs: Vec<_> = sites[..3].iter().map(Site::run).collect();
    wait_for_shares(&first[..3], &[2, 2, 2]);
    let began = now();
    topic.produce(&log);
    fleet.tms(0).wait_for(200);
    let shown = broker(&sites[0]);
    assert_eq!((shown["rateWhole"].as_f64(), shown["concurrencyWhole"].as_u64()), (Some(rate), Some(6)));
    let allowed: f64 = sites[..3].iter().map(|site| broker(site)["rateAllowed"].as_f64().unwrap()).sum();
    assert!((allowed - rate).abs() < 1e-6, "{allowed}");
    runs.extend(sites[3..].iter().map(Site::run));
    wait_for_shares(&first, &[1; 6]);
    assert_eq!(broker(&sites[5])["concurrencyAllowed"], 1);
    fleet.tms(0).wait_for(log.len());
    let arrivals = fleet.tms(0).arrivals();
    let took = (arrivals.last().unwrap().at - began).as_secs_f64();
    // What was saved up at the beginning and what came due since: to the receiver's clock, from before the first was sent.
    let permitted = f64::from(burst) + rate * took;
    assert!(
        arrivals.len() as f64 <= permitted,
        "{} arrivals in {took} s, {permitted} permitted",
        arrivals.len()
    );
    end_all(runs);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn what_is_said_of_a_broker_at_one_member_holds_at_all_and_for_those_that_come_later() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let (log, fleet) = (Events::new(52, 50).take(300), Fleet::start(1));
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let sites: Vec<Site> = (0..3).map(|_| site(&fleet, &topic)).collect();
    let [paused_here, other] = [sites[0].run(), sites[1].run()];
    wait_for_shares(&[&sites[0], &sites[1]], &[3, 3]);
    command(&sites[0], "pause");
    wait_for_state(&[&sites[0], &sites[1]], "paused");
    topic.produce(&log);
    // Neither the member nor its disk is needed for that.
    let _killed = paused_here.kill();
    let late = sites[2].run();
    wait_for_shares(&[&sites[1], &sites[2]], &[3, 3]);
    wait_for_state(&[&sites[1], &sites[2]], "paused");
    assert_eq!(fleet.taken(), 0);
    command(&sites[2], "resume");
    until("all is delivered", || oracle.judge_all(&fleet).iter().all(|given| given.missing == 0));
    // The one that was killed has the pause on its disk, and the group's word for it that it is over.
    end_all([other, late]);
    let back = sites[0].run();
    wait_for_shares(&[&sites[0]], &[6]);
    assert_ne!(broker(&sites[0])["state"], "paused");
    end_all([back]);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_broker_that_answers_410_is_disabled_at_all_members_until_one_of_them_enables_it() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let (log, fleet) = (Events::new(53, 50).take(60), Fleet::start(1));
    let sites: Vec<Site> = (0..3).map(|_| site(&fleet, &topic)).collect();
    let mut runs = vec![sites[0].run(), sites[1].run()];
    wait_for_shares(&[&sites[0], &sites[1]], &[3, 3]);
    fleet.tms(0).behave(Behaviour { status: "410".parse().unwrap(), ..Behaviour::default() });
    // One load: one partition, one member.
    let of_one: Vec<_> = log.iter().filter(|event| event.load_id == log[0].load_id).cloned().collect();
    topic.produce(&of_one[..1]);
    wait_for_state(&[&sites[0], &sites[1]], "disabled");
    runs.push(sites[2].run());
    wait_for_shares(&[&sites[0], &sites[1], &sites[2]], &[2, 2, 2]);
    wait_for_state(&[&sites[2]], "disabled");
    assert_eq!(fleet.tms(0).counts().answered_otherwise, 1, "nobody else had to ask");
    fleet.tms(0).behave(Behaviour::default());
    command(&sites[2], "enable");
    wait_for_state(&[&sites[0], &sites[1], &sites[2]], "healthy");
    let rest: Vec<_> = log.iter().filter(|event| event.load_id != log[0].load_id).cloned().collect();
    topic.produce(&rest);
    fleet.tms(0).wait_for(rest.len());
    end_all(runs);
}

#[test]
fn any_member_knows_all_others_and_says_who_is_silent() {
    let Some(cluster) = KafkaCluster::shared() else { return };
    let topic = cluster.topic(PARTITIONS);
    let fleet = Fleet::start(1);
    let sites: Vec<Site> = (0..3)
        .map(|number| {
            let mut site = site(&fleet, &topic);
            site.set("source.instance_id", format!("member-{number}"));
            site
        })
        .collect();
    let mut runs: Vec<_> = sites.iter().map(Site::run).collect();
    wait_for_shares(&sites.iter().collect::<Vec<_>>(), &[2, 2, 2]);
    let held = |site: &Site| -> Vec<(String, bool, Value)> {
        let told = picture(site);
        let members = told["members"].as_array().cloned().unwrap_or_default();
        let told = members.iter().map(|member| {
            let name = member["name"].as_str().unwrap().to_owned();
            (name, member["silent"].as_bool().unwrap(), member["partitions"].clone())
        });
        told.collect()
    };
    until("each member tells the same of all three", || {
        let all: Vec<_> = sites.iter().map(held).collect();
        let is_whole = sites.iter().all(|site| site.loadline(&["status", "--group"]).code == Some(0));
        is_whole && all[0].len() == 3 && all.iter().all(|told| *told == all[0])
    });
    let told = picture(&sites[1]);
    assert_eq!((&told["asked"], &told["partitions"]), (&Value::from("member-1"), &Value::from(6)));
    assert_eq!(told["unread"].as_array().map(Vec::len), Some(0));
    // One leaves in good order and is gone, one is killed and is silent.
    end_all(runs.pop());
    let _killed = runs.pop().unwrap().kill();
    until("the one that is left says so", || {
        let told = held(&sites[0]);
        told.len() == 2 && (&*told[1].0, told[1].1) == ("member-1", true) && !told[0].1
    });
    assert_eq!(picture(&sites[0])["silent"], 1);
    assert_eq!(sites[0].loadline(&["status", "--group"]).code, Some(2));
    assert_eq!(sites[1].loadline(&["status", "--group"]).code, Some(4));
    end_all(runs);
}

#[test]
fn a_command_that_the_topic_does_not_take_holds_here_and_says_so_and_reaches_the_others_later() {
    let Some(cluster) = KafkaCluster::of_three() else { return };
    let topic = cluster.topic(PARTITIONS);
    let fleet = Fleet::start(1);
    let sites: Vec<Site> = (0..2)
        .map(|_| {
            let mut site = site(&fleet, &topic);
            // Nobody is put out meanwhile.
            site.set("source.session_timeout", "45s");
            site
        })
        .collect();
    let runs: Vec<_> = sites.iter().map(Site::run).collect();
    wait_for_shares(&[&sites[0], &sites[1]], &[3, 3]);
    (0..3).for_each(|node| cluster.pause(node));
    let said = site_says(&sites[0], "pause");
    (0..3).for_each(|node| cluster.resume(node));
    assert!(said.contains("at this member only"), "{said}");
    wait_for_state(&[&sites[0]], "paused");
    wait_for_state(&[&sites[1]], "paused");
    pause(Duration::from_millis(100));
    command(&sites[1], "resume");
    wait_for_state(&[&sites[0], &sites[1]], "healthy");
    end_all(runs);
}

fn site_says(site: &Site, command: &str) -> String {
    site.loadline(&["broker", command, "broker-0", "--config"]).expect(1).stderr
}
