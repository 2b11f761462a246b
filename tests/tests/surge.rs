//! The surge simulator as people use it: the real binary puts the legacy model and Loadline through a surge, and its
//! oracle finds what is wrong with a record that has been tampered with.

// A scenario fails by panicking.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use lab::{
    BrokerTable, RunDir,
    oracle::{self, Evidence, Kind, Terms},
    surge::{figures, live::Quiet, run::run, system::Which},
    traffic::{
        generate,
        profile::{BrokerProfile, Profile},
    },
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::{loadline, pause};

fn surge(arguments: &[&str]) -> Output {
    Command::new(loadline()).arg("surge").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_incident_shows_in_the_legacy_column_and_not_in_loadlines() {
    let dir = tempfile::tempdir().unwrap();
    let (out, page) = (dir.path().join("out.json"), dir.path().join("report.html"));
    let ended = surge(&["--for", "10s", "--json", out.to_str().unwrap(), "--report", page.to_str().unwrap()]);
    let said = text(&ended.stdout) + &text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    let report = json(&out);
    let figures = |place: usize| report["systems"][place]["figures"].clone();
    let number =
        |figures: &Value, name: &str| figures[name].as_u64().unwrap_or_else(|| panic!("{name}: {said}"));
    let (legacy, loadline) = (figures(0), figures(1));
    assert!(number(&legacy, "duplicates") > number(&legacy, "explainedDuplicates"), "{said}");
    // What is appended while a machine stands still for a second is lag of either; the rest is the legacy model's own.
    assert!(number(&legacy, "peakLag") > 2 * number(&loadline, "peakLag"), "{said}");
    for nothing in ["lost", "outOfOrder", "waiting", "deadLetters", "lagAtEnd"] {
        assert_eq!(number(&loadline, nothing), 0, "{nothing}: {said}");
    }
    assert_eq!(number(&loadline, "duplicates"), number(&loadline, "explainedDuplicates"), "{said}");
    assert_eq!(number(&loadline, "delivered"), report["issued"]["deliveries"].as_u64().unwrap(), "{said}");
    // Not vacuous: it was thrown back, producers repeated themselves, and answers were lost.
    assert!(report["issued"]["duplicates"].as_u64().unwrap() > 50, "{said}");
    assert!(number(&loadline, "refused") > 0 && number(&loadline, "duplicates") > 0, "{said}");
    assert!(
        text(&ended.stdout).contains("Loadline: 0 lost, 0 out of order, 0 unexplained duplicates"),
        "{said}"
    );
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("inc-4471") && page.contains("<svg") && page.ends_with("</html>\n"));
}

#[test]
fn a_setting_loadline_does_not_take_is_named_before_anything_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wrong.toml");
    let profile = text(&surge(&["--profile", "steady", "--show"]).stdout);
    fs::write(&path, profile + "[loadline.limits]\nspill_after = \"1ms\"\n").unwrap();
    let ended = surge(&["--profile", path.to_str().unwrap(), "--only", "loadline", "--for", "2s"]);
    let said = text(&ended.stderr);
    assert_ne!(ended.status.code(), Some(0), "{said}");
    assert!(said.contains("limits.spill_after"), "{said}");
}

#[test]
fn what_is_killed_again_and_again_delivers_everything_once_but_for_what_was_on_the_wire() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.json");
    let ended =
        surge(&["--profile", "killed", "--only", "loadline", "--for", "8s", "--json", out.to_str().unwrap()]);
    let said = text(&ended.stdout) + &text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    let report = json(&out);
    let figures = &report["systems"][0]["figures"];
    assert_eq!(figures["delivered"], report["issued"]["deliveries"], "{said}");
    assert_eq!(figures["outOfOrder"], 0, "{said}");
}

#[test]
fn a_run_in_which_the_simulator_stood_still_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.json");
    let mut command = Command::new(loadline());
    command.args(["surge", "--profile", "steady", "--only", "loadline", "--for", "4s", "--json"]).arg(&out);
    let running = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let simulator = Pid::from_child(&running);
    // The run begins somewhere in the first of these times, at the latest.
    for _ in 0..3 {
        pause(Duration::from_secs(1));
        kill_process(simulator, Signal::STOP).unwrap();
        pause(Duration::from_millis(500));
        kill_process(simulator, Signal::CONT).unwrap();
    }
    let ended = running.wait_with_output().unwrap();
    let said = text(&ended.stdout) + &text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(said.contains("this machine stood still for"), "{said}");
    let stalled_ms = json(&out)["systems"][0]["figures"]["stalledMs"].as_u64().unwrap();
    assert!(stalled_ms >= 500, "{said}");
}

#[test]
fn poison_becomes_dead_letters_and_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.json");
    let ended =
        surge(&["--profile", "poison", "--only", "loadline", "--for", "6s", "--json", out.to_str().unwrap()]);
    let said = text(&ended.stdout) + &text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    let report = json(&out);
    let figures = &report["systems"][0]["figures"];
    assert_eq!(figures["delivered"], report["issued"]["deliveries"], "{said}");
    assert!(figures["faultyLetters"].as_u64() >= report["issued"]["faulty"].as_u64(), "{said}");
}

#[test]
fn a_pipeline_that_already_runs_is_put_through_a_surge_over_http_and_through_its_file() {
    for kind in ["http", "file"] {
        let dir = tempfile::tempdir().unwrap();
        let ports = free_ports(3);
        let mut run_dir = RunDir::new(dir.path()).unwrap();
        let log = run_dir.path("log.ndjson");
        fs::write(&log, "").unwrap();
        run_dir.set("source.kind", kind);
        if kind == "http" {
            run_dir.set("source.listen", format!("127.0.0.1:{}", ports[0]));
        } else {
            run_dir.set("source.path", "log.ndjson");
            run_dir.set("source.follow", true);
            run_dir.set("source.poll", "20ms");
        }
        let secret = run_dir.keep_secret("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        for (id, port) in [("amber", ports[1]), ("mine", ports[2])] {
            let url = format!("http://127.0.0.1:{port}/hooks");
            run_dir.add_broker(BrokerTable::new(id, url, secret.as_str()).with("rate", 2_000));
        }
        let path = run_dir.save().unwrap();
        let mut running = Command::new(loadline())
            .args(["run", "--quiet"])
            .arg(&path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let target = match kind {
            "http" => format!("http://127.0.0.1:{}/events", ports[0]),
            _ => format!("file:{}", log.display()),
        };
        let out = dir.path().join("out.json");
        let ended = surge(&[
            "--profile",
            "steady",
            "--for",
            "4s",
            "--target",
            &target,
            "--config",
            path.to_str().unwrap(),
            "--json",
            out.to_str().unwrap(),
        ]);
        running.kill().unwrap();
        running.wait().unwrap();
        let said = text(&ended.stdout) + &text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "{kind}: {said}");
        let report = json(&out);
        assert_eq!(
            report["systems"][0]["figures"]["delivered"], report["issued"]["deliveries"],
            "{kind}: {said}"
        );
        assert_eq!(report["brokers"][1]["id"], "mine", "{kind}: the config names the brokers");
    }
}

/// Ports nobody listens on; somebody else may take one before it is used, but hardly.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

#[test]
fn profiles_are_named_shown_and_refused() {
    let listed = text(&surge(&["--list"]).stdout);
    for name in
        ["inc-4471", "steady", "spike-10x", "dead-broker", "thundering-recovery", "poison", "hot-load"]
    {
        assert!(listed.lines().any(|line| line.starts_with(name)), "{name}: {listed}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (own, out) = (dir.path().join("own.toml"), dir.path().join("out.json"));
    fs::write(&own, surge(&["--profile", "steady", "--show"]).stdout).unwrap();
    let own = own.to_str().unwrap();
    let ended = surge(&[
        "--profile",
        own,
        "--seed",
        "5",
        "--rate",
        "50",
        "--for",
        "1s",
        "--only",
        "loadline",
        "--json",
        out.to_str().unwrap(),
    ]);
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    assert_eq!(json(&out)["seed"], 5);
    let refused = surge(&["--profile", "inc-4472"]);
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(64), String::new()));
    assert!(text(&refused.stderr).contains("--list"));
}

/// The evidence of one real run of Loadline, with nothing wrong with it.
fn honest() -> (Profile, Evidence) {
    static RUN: OnceLock<(Profile, Evidence)> = OnceLock::new();
    let taken = RUN.get_or_init(|| {
        let profile = Profile::load("steady").unwrap().lasting(Duration::from_secs(3));
        let wants: Vec<_> = profile.brokers.iter().map(BrokerProfile::subscription).collect();
        let traffic = generate(&profile, &wants);
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ran = runtime.block_on(run(
            Which::Loadline,
            &profile,
            &traffic,
            (loadline(), dir.path()),
            &mut Quiet,
            std::future::pending(),
        ));
        (profile, ran.unwrap().evidence)
    });
    taken.clone()
}

fn judged(tamper: impl FnOnce(&mut Evidence)) -> oracle::Judgement {
    let (profile, mut evidence) = honest();
    tamper(&mut evidence);
    oracle::judge(&evidence, &Terms::new(figures::promised(&profile, Which::Loadline)))
}

/// The one finding there is, and what it is about.
fn only(judgement: &oracle::Judgement) -> (Kind, String) {
    assert_eq!(
        judgement.counts.total(),
        1,
        "{:?}",
        judgement.findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
    let finding = &judgement.findings[0];
    (finding.violation.kind(), finding.to_string())
}

#[test]
fn an_honest_record_is_clean() {
    let judgement = judged(|_| {});
    assert!(
        judgement.is_clean(),
        "{:?}",
        judgement.findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
}

#[test]
fn a_delivery_that_is_dropped_is_lost() {
    let mut event = None;
    let judgement = judged(|evidence| event = evidence.brokers[1].received.taken.remove(40).event);
    let (kind, told) = only(&judgement);
    assert_eq!(kind, Kind::Lost);
    let (_, evidence) = honest();
    assert!(
        told.contains(&evidence.traffic.events[event.unwrap() as usize].id) && told.contains("basalt"),
        "{told}"
    );
}

#[test]
fn two_deliveries_that_are_swapped_are_out_of_order() {
    let judgement = judged(|evidence| {
        let load = |evidence: &Evidence, place: usize| {
            let event = evidence.brokers[0].received.taken[place].event.unwrap();
            evidence.traffic.events[event as usize].load_id.clone()
        };
        let count = evidence.brokers[0].received.taken.len();
        let pair = (0..count).find_map(|first| {
            let later = (first + 1..count).find(|later| load(evidence, *later) == load(evidence, first))?;
            Some((first, later))
        });
        let (first, later) = pair.expect("two events of one load");
        let taken = &mut evidence.brokers[0].received.taken;
        // The later comes first; each keeps its own time, so that nothing else is wrong.
        let (a, b) = (taken[first].clone(), taken[later].clone());
        taken[first].event = b.event;
        taken[first].webhook_id.clone_from(&b.webhook_id);
        taken[later].event = a.event;
        taken[later].webhook_id = a.webhook_id;
    });
    assert!(judgement.counts.of(Kind::OutOfOrder) > 0, "{:?}", judgement.counts);
}

#[test]
fn a_delivery_that_is_made_twice_is_doubled() {
    let judgement = judged(|evidence| {
        let taken = &mut evidence.brokers[0].received.taken;
        let again = taken[30].clone();
        taken.insert(31, again);
    });
    assert_eq!(only(&judgement).0, Kind::Duplicate);
}

#[test]
fn a_body_that_is_forged_was_never_issued() {
    let judgement = judged(|evidence| evidence.brokers[2].received.taken[5].event = None);
    assert!(
        judgement.counts.of(Kind::Forged) == 1 && judgement.counts.of(Kind::Lost) == 1,
        "{:?}",
        judgement.counts
    );
}

#[test]
fn a_webhook_id_that_changes_between_two_attempts_is_noticed() {
    let judgement = judged(|evidence| {
        let taken = &mut evidence.brokers[0].received.taken;
        taken[30].told = None;
        let mut again = taken[30].clone();
        again.webhook_id = Some("another".into());
        taken.insert(31, again);
    });
    assert_eq!(judgement.counts.total(), 1);
    assert!(judgement.findings[0].to_string().contains("another"), "{}", judgement.findings[0]);
}
