//! What can be wrong with the values of a profile, all of it at once, each with its key and the remedy.

use std::{collections::BTreeSet, time::Duration};

use super::{BrokerProfile, Profile};

/// The longest run: a simulator is not a soak test's scheduler.
const LENGTH_MAX: Duration = Duration::from_secs(24 * 3_600);
/// The most records: each is held in memory, at about a kilobyte.
const RECORDS_MAX: f64 = 5e6;
/// The most brokers: each is a receiver with a port of its own.
const BROKERS_MAX: usize = 1_000;
/// The longest id of a broker, in bytes: it is part of a file's name.
const ID_MAX: usize = 64;

/// Everything that is wrong with `profile`.
pub(super) fn problems(profile: &Profile) -> Vec<String> {
    let mut problems = Vec::new();
    load(profile, &mut problems);
    let shares = [
        ("load.hot_share", profile.load.hot_share),
        ("duplicates.producer_retries", profile.duplicates.producer_retries),
        ("faults.garbage", profile.faults.garbage),
        ("faults.conflicts", profile.faults.conflicts),
    ];
    for (key, share) in shares.into_iter().filter(|(_, share)| !(0.0..=1.0).contains(share)) {
        problems.push(format!("{key} is {share}: give a share between 0 and 1"));
    }
    brokers(profile, &mut problems);
    if let (Some(out), Some(back)) = (&profile.scale_out, &profile.scale_in)
        && back.at <= out.at
    {
        problems.push("scale_in.at must be later than scale_out.at".to_owned());
    }
    for scale in profile.scales().filter(|scale| scale.to == 0) {
        problems.push(format!("a group is scaled to none at {:?}: give at least 1", scale.at));
    }
    problems
}

fn load(profile: &Profile, problems: &mut Vec<String>) {
    let load = &profile.load;
    if !(load.base.is_finite() && load.base >= 0.0 && load.surge.is_finite() && load.surge >= 1.0) {
        problems.push(
            "load.base must be a number that is not negative, load.surge one that is at least 1".to_owned(),
        );
        return;
    }
    if profile.length().is_zero() || profile.length() > LENGTH_MAX {
        problems.push(format!(
            "load.before, during and after are {:?} together: give up to a day",
            profile.length()
        ));
    }
    if load.ramp > load.during {
        problems.push("load.ramp is part of load.during: make it shorter".to_owned());
    }
    let most = load.base * load.surge.max(1.0) * profile.length().as_secs_f64() + f64::from(load.backlog);
    if most > RECORDS_MAX {
        problems.push(format!(
            "{most:.0} events are too many to hold: lower the rates or the times to {RECORDS_MAX:.0}"
        ));
    } else if most < 1.0 {
        problems.push("there would be no event: raise load.base or load.backlog".to_owned());
    }
    let [least, longest] = load.body;
    if least < 256 || longest < least || longest > 64 * 1024 {
        problems.push(format!(
            "load.body is [{least}, {longest}]: give two sizes from 256 to 65536 bytes, the smaller first"
        ));
    }
    if load.loads == 0 || load.hot_loads > load.loads {
        problems.push("load.loads must be at least 1 and at least load.hot_loads".to_owned());
    }
    if load.hot_share > 0.0 && load.hot_loads == 0 {
        problems.push("load.hot_share needs load.hot_loads".to_owned());
    }
    if load.lanes.is_empty() || load.lanes.iter().any(|lane| !(lane.weight.is_finite() && lane.weight > 0.0))
    {
        problems.push("load.lanes must name at least one lane, each with a weight above 0".to_owned());
    }
    if load.lanes.iter().any(|lane| !plain(&lane.prefix)) {
        problems.push("load.lanes: a prefix is 1 to 16 letters, digits and hyphens".to_owned());
    }
}

fn plain(prefix: &str) -> bool {
    (1..=16).contains(&prefix.len())
        && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether `id` can name a broker: files of the run are named after it.
fn named(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=ID_MAX).contains(&id.len()) && id.bytes().all(fits)
}

fn brokers(profile: &Profile, problems: &mut Vec<String>) {
    if profile.brokers.is_empty() || profile.brokers.len() > BROKERS_MAX {
        problems.push(format!("there are {} brokers: give 1 to {BROKERS_MAX}", profile.brokers.len()));
    }
    let mut ids = BTreeSet::new();
    for broker in &profile.brokers {
        if !named(&broker.id) {
            problems.push(format!(
                "broker {:?}: an id is 1 to {ID_MAX} letters, digits, hyphens and underscores",
                broker.id
            ));
        }
        if !(broker.rate.is_finite() && broker.rate > 0.0) {
            problems.push(format!("broker {}: rate is {}: give a number above 0", broker.id, broker.rate));
        }
        if !ids.insert(&broker.id) {
            problems.push(format!("broker {} is there twice: give each an id of its own", broker.id));
        }
        if let Some(lane) = &broker.lane
            && !profile.load.lanes.iter().any(|known| known.prefix == *lane)
        {
            problems.push(format!("broker {}: lane {lane} is not one of load.lanes", broker.id));
        }
        troubles(broker, problems);
    }
}

fn troubles(broker: &BrokerProfile, problems: &mut Vec<String>) {
    let mut at = Duration::ZERO;
    for trouble in &broker.troubles {
        if trouble.from < at || trouble.to <= trouble.from {
            problems.push(format!(
                "broker {}: the trouble from {:?} to {:?} overlaps another or ends before it begins",
                broker.id, trouble.from, trouble.to
            ));
        }
        at = trouble.to;
        if let Err(error) = trouble.behaviour(&broker.usual()).check() {
            problems.push(format!("broker {}: {error}", broker.id));
        }
    }
    if let Err(error) = broker.usual().check() {
        problems.push(format!("broker {}: {error}", broker.id));
    }
}
