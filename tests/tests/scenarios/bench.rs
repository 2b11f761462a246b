//! `loadline bench` measures what it says it does: the shape of its answer and its counts, not its speeds.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tests::loadline;

fn bench(arguments: &[&str]) -> Output {
    Command::new(loadline()).arg("bench").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn report(arguments: &[&str]) -> Value {
    let ended = bench(&[&["--json", "--rounds", "1", "--deliveries", "600"], arguments].concat());
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    serde_json::from_slice(&ended.stdout).unwrap()
}

/// The contestants' names, and how many deliveries each one's only run has come to.
fn counts(contestants: &Value) -> Vec<(&str, u64)> {
    let of = |contestant: &'_ Value| contestant["runs"].as_array().map(Vec::len);
    let all = contestants.as_array().unwrap();
    assert!(all.iter().all(|contestant| of(contestant) == Some(1)), "{contestants}");
    let count = |contestant: &Value| contestant["runs"][0]["deliveries"].as_u64().unwrap();
    all.iter().map(|contestant| (contestant["name"].as_str().unwrap(), count(contestant))).collect()
}

#[test]
fn everyone_delivers_what_there_is_and_is_compared_with_what_it_should_be() {
    let report = report(&[]);
    let throughput = counts(&report["throughput"]["contestants"]);
    assert_eq!(throughput[..2], [("bare reqwest", 600), ("bare reqwest, signed", 600)]);
    assert_eq!(throughput[2], ("Loadline, durability = \"process\"", 600));
    assert_eq!(throughput[3], ("Loadline, durability = \"power\"", 600));
    assert_eq!(throughput[4], ("Loadline, random event ids", 600));
    // It has a bounded time.
    assert!(throughput[5].0.starts_with("legacy") && (2..=600).contains(&throughput[5].1), "{throughput:?}");

    let slow = counts(&report["slow"]["contestants"]);
    assert_eq!(slow[0], ("Loadline", 600));
    assert!(slow[1..].iter().all(|(_, count)| (2..=600).contains(count)), "{slow:?}");

    let dead = counts(&report["dead"]["variants"]);
    let others = [("all alive", 550), ("one refuses connections", 550), ("one never answers", 550)];
    assert_eq!(dead, others);

    let stages = report["throughput"]["stages"].as_array().unwrap();
    assert!(stages.len() == 6 && stages.iter().all(|stage| stage["micros"].as_f64().unwrap() > 0.0));
    let goals = report["goals"].as_array().unwrap();
    assert_eq!(goals.len(), 6);
    assert!(goals.iter().all(|goal| goal["reached"].is_boolean()), "{goals:?}");
    assert!(report["machine"]["cores"].as_u64().unwrap() > 0);
    assert_eq!(report["command"], "loadline bench --json --rounds 1 --deliveries 600");
    assert!(report.get("scale").is_none());
    let process = &report["throughput"]["contestants"][2]["runs"][0];
    for figure in ["perSecond", "cpuMicros", "receiverCpuMicros", "memoryMost"] {
        assert!(process[figure].is_number() || cfg!(not(target_os = "linux")), "{figure}: {process}");
    }
}

#[test]
fn many_brokers_and_many_entries_are_measured_when_asked_for_and_the_files_are_kept_where_they_are_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let report = report(&["--only", "scale", "--entries", "3000,500", "--dir", kept.to_str().unwrap()]);
    let scale = &report["scale"];
    let sizes = |of: &str| -> Vec<(u64, u64)> {
        let size = |sized: &Value| {
            let runs = &sized["contestant"]["runs"];
            (sized["size"].as_u64().unwrap(), runs[0]["deliveries"].as_u64().unwrap())
        };
        scale[of].as_array().unwrap().iter().map(size).collect()
    };
    assert_eq!(sizes("brokers"), [(12, 600), (1_000, 600), (10_000, 600)]);
    assert_eq!(sizes("entries"), [(500, 600), (3_000, 600)]);
    assert_eq!(scale["grown"]["entries"], 3_000);
    assert!(scale["grown"]["firstDeliverySeconds"]["median"].as_f64().unwrap() > 0.0);
    assert!(kept.join("ledger-3000").is_dir());
    assert!(report.get("throughput").is_none() && report["goals"].as_array().unwrap().len() == 5);

    let again = bench(&["--only", "scale", "--dir", kept.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(1) && said.contains("--dir"), "{said}");
}

#[test]
fn what_is_out_of_bounds_is_refused_before_anything_is_measured() {
    let out_of_bounds =
        [["--rounds", "0"], ["--deliveries", "99"], ["--brokers", "4"], ["--only", "everything"]];
    for arguments in out_of_bounds {
        assert_eq!(bench(&arguments).status.code(), Some(64), "{arguments:?}");
    }
}
