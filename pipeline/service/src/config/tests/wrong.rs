//! Wrong configs: each mistake is reported at its key, all of them at once, with the way out.

use super::{ConfigErrors, LEAST, parse, with};

fn keys(errors: &ConfigErrors) -> Vec<&str> {
    errors.problems.iter().map(|problem| problem.key.as_str()).collect()
}

#[test]
fn a_mistake_in_a_section_is_reported_at_its_key() {
    let table = [
        ("[schema]\npreset = \"cloudevent\"", "schema.preset"),
        ("[schema]\nevent_id = \"id\"", "schema.event_id"),
        ("[schema]\nload_id = \"/a~2\"", "schema.load_id"),
        ("[schema]\nload_id = 5", "schema.load_id"),
        ("[schema]\nstatus = \"/stops/-\"", "schema.status"),
        ("[schema]\nstatus = []", "schema.status"),
        ("[schema]\nstatus = [\"/a\", \"b\"]", "schema.status[1]"),
        ("[schema]\nstatus = \"digest\"", "schema.status"),
        ("[schema]\nstatus = { join = [\"/a\", \"b\"] }", "schema.status"),
        ("[schema]\nstatus = { join = \"/a\" }", "schema.status.join"),
        ("[schema]\nstatus = { joined = [\"/a\"] }", "schema.status.joined"),
        ("[schema]\nstatus = {}", "schema.status"),
        ("[schema]\nstatus = { date = \"/a\", time = \"/b\" }", "schema.status"),
        ("[schema]\noccurred_at = { date = \"/a\" }", "schema.occurred_at"),
        ("[schema]\nevent_id = \"header:\"", "schema.event_id"),
        ("[schema]\nevent_id = \"header:x id\"", "schema.event_id"),
        ("[schema]\nevent_id = \"header:x-id\"", "schema.event_id"),
        ("[schema]\nload_id = \"header:x-id\"", "schema.load_id"),
        ("[schema]\nzone = \"Chicago\"", "schema.zone"),
        ("[schema]\nevents = \"events\"", "schema.events"),
        ("[schema]\nevents_max = 0", "schema.events_max"),
        ("[rules]\nunknown_status = \"ignore\"", "rules.unknown_status"),
        ("[schema]\nevent_id = \"/loadId\"", "schema.event_id"),
        ("[schema]\nload_id = \"/eventId/a\"", "schema.load_id"),
        ("[schema]\nstatus = \"/a/b\"\ndepth_max = 1", "schema.status"),
        ("[schema]\nevent_id = \"id\"\nload_id = \"/eventId\"", "schema.event_id"),
        ("[schema]\nevent_id = 5\nload_id = \"/eventId\"", "schema.event_id"),
        ("[schema]\ndepth_max = 128", "schema.depth_max"),
        ("[schema.statuses]", "schema.statuses"),
        ("[schema.statuses]\na = [\"b\"]\nb = []", "schema.statuses.a[0]"),
        ("[schema.statuses]\na = [\"c\"]\nb = [\"c\"]", "schema.statuses.b[0]"),
        ("[schema.statuses]\na = \"b\"", "schema.statuses.a"),
        ("[rules]\nid_max = 0", "rules.id_max"),
        ("[rules]\nage_max = 3650", "rules.age_max"),
        ("[state]\ndir = \"\"", "state.dir"),
        ("[state]\ndurability = \"disk\"", "state.durability"),
        ("[state]\ncommit_max = 0", "state.commit_max"),
        ("[limits]\nshards = -1", "limits.shards"),
        ("[limits]\ndrain = \"8d\"", "limits.drain"),
        ("[limits]\nhold_min = \"2s\"", "limits.hold_min"),
        ("[limits]\nspill_after = \"0s\"", "limits.spill_after"),
        ("[delivery]\nallow_http = \"yes\"", "delivery.allow_http"),
        ("[delivery]\nallow_networks = [\"10.1.2.3/8\"]", "delivery.allow_networks[0]"),
        ("[delivery]\nallow_networks = [\"intranet\"]", "delivery.allow_networks[0]"),
        ("[delivery]\nallow_networks = \"10.0.0.0/8\"", "delivery.allow_networks"),
        ("[delivery]\nallow_ports = [80, 0]", "delivery.allow_ports[1]"),
        ("[delivery]\nallow_ports = 8443", "delivery.allow_ports"),
        ("[delivery]\nca_file = \"none.pem\"", "delivery.ca_file"),
        ("[retry]\nbudget_ratio = nan", "retry.budget_ratio"),
        ("[log]\nlevel = \"inof\"", "log.level"),
        ("[log]\nlevel = \"stages=loud\"", "log.level"),
        ("[log]\nformat = 1", "log.format"),
        ("[logs]", "logs"),
    ];
    for (text, key) in table {
        let errors = with("", text).unwrap_err();
        assert_eq!(keys(&errors), [key], "{text}\n{errors}");
    }
}

#[test]
fn a_mistake_in_the_source_is_reported_at_its_key() {
    let table = [
        ("kind = \"http\"\npath = \"a\"", "source.path"),
        ("kind = \"htp\"\npath = \"a\"", "source.kind"),
        ("path = \"a\"\nlisten = \"127.0.0.1:1\"", "source.listen"),
        ("kind = \"stdin\"\nbody_max = \"1MiB\"", "source.body_max"),
        ("kind = \"http\"\nlisten = \"localhost:80\"", "source.listen"),
        ("kind = \"http\"\nlisten = 8080", "source.listen"),
        ("kind = \"http\"\nlisten = \"0.0.0.0:8080\"", "source.listen"),
        ("kind = \"http\"\nlisten = \"[::]:0\"", "source.listen"),
        ("kind = \"http\"\nlisten = \"0.0.0.0:1\"\ntoken = \"env:NONE\"", "source.token"),
        ("kind = \"http\"\ntoken = \"0123456789abcdef\"", "source.token"),
        ("kind = \"http\"\ntoken = \"env:SHORT\"", "source.token"),
        ("kind = \"http\"\ntoken = \"env:TOKEN\"", "source.token"),
        ("kind = \"http\"\nbacklog_max = 0", "source.backlog_max"),
        ("kind = \"http\"\nretention = \"400d\"", "source.retention"),
        ("kind = \"http\"\nbody_timeout = \"0s\"", "source.body_timeout"),
        ("kind = \"http\"\nbody_max = \"1000KiB\"", "source.body_max"),
        ("kind = \"http\"\nrecord_max = \"2MiB\"", "source.record_max"),
        ("kind = \"http\"\nbody_max = \"2MiB\"\nbacklog_bytes_max = \"1MiB\"", "source.body_max"),
        ("kind = \"http\"\nbacklog_max = 9999", "source.backlog_max"),
        ("kind = \"pulsar\"\npath = \"a\"", "source.kind"),
        ("kind = \"file\"", "source.path"),
        ("path = 5", "source.path"),
        ("kind = \"stdin\"\npath = \"a\"", "source.path"),
        ("path = \"a\"\npoll = \"1us\"", "source.poll"),
        ("path = \"a\"\nrecord_max = \"17MiB\"", "source.record_max"),
    ];
    for (source, key) in table {
        let errors = parse(&LEAST.replace("path = \"events.ndjson\"", source)).unwrap_err();
        assert_eq!(keys(&errors), [key], "{source}\n{errors}");
    }
}

#[test]
fn a_mistake_in_a_broker_is_reported_at_its_key_with_its_id() {
    let table = [
        ("burst = 0", "brokers[0].burst"),
        ("headers = { proxy-authorization = \"a\" }", "brokers[0].headers.proxy-authorization"),
        ("concurrency = 1025", "brokers[0].concurrency"),
        ("timeout = \"2s\"", "brokers[0].timeout"),
        ("statuses = []", "brokers[0].statuses"),
        ("statuses = [\"lost\"]", "brokers[0].statuses[0]"),
        ("loads = []", "brokers[0].loads"),
        ("loads = \"some\"", "brokers[0].loads"),
        ("loads = { suffix = \"a\" }", "brokers[0].loads"),
        ("loads = [1]", "brokers[0].loads[0]"),
        ("loads = { prefix = [] }", "brokers[0].loads"),
        ("loads = { prefix = [\"a\", 1] }", "brokers[0].loads.prefix[1]"),
        ("filter = {}", "brokers[0].filter"),
        ("filter = { mode = \"ltl\" }", "brokers[0].filter.mode"),
        ("filter = { \"/a~\" = 1 }", "brokers[0].filter./a~"),
        ("filter = { \"/a\" = [] }", "brokers[0].filter./a"),
        ("filter = { \"/a\" = [nan] }", "brokers[0].filter./a[0]"),
        ("filter = { \"/a\" = { exist = true } }", "brokers[0].filter./a"),
        ("headers = { host = \"a\" }", "brokers[0].headers.host"),
        ("headers = { webhook-id = \"a\" }", "brokers[0].headers.webhook-id"),
        ("headers = { Traceparent = \"a\" }", "brokers[0].headers.Traceparent"),
        ("headers = { \"a b\" = \"a\" }", "brokers[0].headers.a b"),
        ("headers = { x-a = \"1\", X-A = \"2\" }", "brokers[0].headers.x-a"),
        ("headers = { cookie = \"a\" }", "brokers[0].headers.cookie"),
        ("headers = { x-a = \"env:NONE\" }", "brokers[0].headers.x-a"),
        ("brust = 5", "brokers[0].brust"),
    ];
    for (line, key) in table {
        let errors = with(line, "").unwrap_err();
        assert_eq!(keys(&errors), [key], "{line}\n{errors}");
        assert_eq!(errors.problems[0].broker.as_deref(), Some("acme"));
        assert_eq!(errors.problems[0].line, Some(8), "{errors}");
    }
}

#[test]
fn a_mistake_in_the_statuses_is_told_once_and_not_at_every_broker() {
    let errors =
        with("statuses = [\"a\"]", "[schema.statuses]\na = [\"b\"]\nc = [\"b\", \" d\"]").unwrap_err();
    assert_eq!(keys(&errors), ["schema.statuses.c[0]", "schema.statuses.c[1]"], "{errors}");
}

#[test]
fn what_a_broker_must_have_is_asked_for() {
    let table = [
        ("id = \"acme\"", "", "brokers[0].id"),
        ("id = \"acme\"", "id = \"Acme\"", "brokers[0].id"),
        ("url = \"https://acme.example/hook\"", "", "brokers[0].url"),
        ("https://acme.example", "http://acme.example", "brokers[0].url"),
        ("https://acme.example", "https://10.0.0.1", "brokers[0].url"),
        ("https://acme.example", "https://localhost", "brokers[0].url"),
        ("rate = 49.5", "", "brokers[0].rate"),
        ("rate = 49.5", "rate = 0", "brokers[0].rate"),
        ("rate = 49.5", "rate = 0.001\nburst = 1000000", "brokers[0].burst"),
        ("secrets = [\"env:KEY\"]", "", "brokers[0].secrets"),
        ("[\"env:KEY\"]", "[]", "brokers[0].secrets"),
        ("\"env:KEY\"", "\"env:KEY\", \"env:KEY\"", "brokers[0].secrets[1]"),
        ("\"env:KEY\"", "\"env:NONE\"", "brokers[0].secrets[0]"),
        ("\"env:KEY\"", "\"env:SHORT\"", "brokers[0].secrets[0]"),
        ("\"env:KEY\"", "\"file:none\"", "brokers[0].secrets[0]"),
        ("\"env:KEY\"", "\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"", "brokers[0].secrets[0]"),
        ("[[brokers]]", "[brokers]", "brokers"),
    ];
    for (from, to, key) in table {
        let errors = parse(&LEAST.replace(from, to)).unwrap_err();
        assert_eq!(keys(&errors)[..1], [key], "{to}\n{errors}");
    }
    assert_eq!(keys(&parse("source.kind = \"stdin\"").unwrap_err()), ["brokers"]);
    let twice = format!("{LEAST}{}", &LEAST[LEAST.find("[[").unwrap()..]);
    assert_eq!(keys(&parse(&twice).unwrap_err()), ["brokers[1].id"]);
}

#[test]
fn each_relation_is_checked_and_reported_at_the_key_that_is_in_the_file() {
    let table = [
        ("[limits]\nper_broker_max = 4097", "limits.per_broker_max"),
        ("[limits]\nin_flight_max = 1023", "limits.in_flight_max"),
        ("[limits]\nunsettled_max = 4095", "limits.unsettled_max"),
        ("[limits]\nspill_total_max = \"255MiB\"", "limits.spill_total_max"),
        ("[limits]\nspill_broker_max = \"64KiB\"", "limits.spill_broker_max"),
        ("[limits]\nper_broker_max = 31", "limits.per_broker_max"),
        ("[limits]\nmemory_max = \"8191KiB\"", "limits.memory_max"),
        ("[delivery]\nconnect_timeout = \"15s\"", "delivery.connect_timeout"),
        ("[retry]\nbase = \"6m\"", "retry.base"),
        ("[retry]\ncap = \"1999ms\"", "retry.cap"),
        ("[retry]\ncap = \"2h\"\nretry_after_max = \"1h\"\nage_max = \"119m\"", "retry.cap"),
        ("[retry]\nretry_after_max = \"73h\"", "retry.retry_after_max"),
        ("[state]\ndedupe_window = \"72h\"", "state.dedupe_window"),
        ("[retry]\nage_max = \"7d\"", "retry.age_max"),
        ("[breaker]\nopen_min = \"61s\"", "breaker.open_min"),
    ];
    for (text, key) in table {
        let errors = with("", text).unwrap_err();
        assert_eq!(keys(&errors), [key], "{text}\n{errors}");
    }
}

#[test]
fn a_relation_with_a_brokers_own_key_is_reported_at_that_broker() {
    let errors = with("timeout = \"2s\"", "[delivery]\nconnect_timeout = \"3s\"").unwrap_err();
    assert_eq!(keys(&errors), ["brokers[0].timeout"], "{errors}");
    assert_eq!(errors.problems[0].broker.as_deref(), Some("acme"));
}

#[test]
fn the_way_out_is_named() {
    let table = [
        (
            "[limits]\nin_fligth_max = 1",
            "limits.in_fligth_max line 10: is not a key of the config; did you mean in_flight_max?",
        ),
        (
            "[limits]\ngrace = \"11m\"",
            "limits.grace line 10: is out of bounds (\"11m\"); give a duration such as \"5s\" or \"250ms\", 0s to 10m",
        ),
        (
            "[state]\ndedupe_window = \"3d\"",
            "state.dedupe_window line 10: must be more than retry.age_max, which is 3d, by default: the ledger must \
             not forget a delivery that is still tried (3d); change it or retry.age_max",
        ),
    ];
    for (text, words) in table {
        let errors = with("", text).unwrap_err();
        assert_eq!(errors.problems[0].to_string(), words);
    }
}

#[test]
fn every_problem_is_reported_in_one_run() {
    let text = r#"
        colour = "blue"
        [source]
        kind = "pulsar"
        poll = 5
        [schema]
        depth_max = "deep"
        [state]
        dedupe_window = "1h"
        cache = "lots"
        [limits]
        per_broker_max = 9000
        grase = "1s"
        [delivery]
        allow_networks = ["10.0.0.0/8", "x"]
        [[brokers]]
        id = "acme"
        url = "http://192.168.0.1/"
        secrets = ["env:NONE", "hunter2", "env:KEY"]
        statuses = ["matched", "lost"]
        [[brokers]]
        id = "acme"
        rate = -1
        timeout = "1s"
    "#;
    let expected = [
        "source.kind",
        "source.path",
        "source.poll",
        "schema.depth_max",
        "state.cache",
        "limits.grase",
        "delivery.allow_networks[1]",
        "limits.per_broker_max",
        "state.dedupe_window",
        "brokers[0].url",
        "brokers[0].url",
        "brokers[0].secrets[0]",
        "brokers[0].secrets[1]",
        "brokers[0].rate",
        "brokers[0].statuses[1]",
        "brokers[1].id",
        "brokers[1].url",
        "brokers[1].secrets",
        "brokers[1].rate",
        "brokers[1].timeout",
        "colour",
    ];
    let errors = parse(text).unwrap_err();
    assert_eq!(keys(&errors), expected, "{errors}");
}
