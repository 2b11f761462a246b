//! What lines of each form are read as.

use std::io::Write;

use super::*;

fn read(text: &str, meaning: &Meaning, broker: Option<&str>) -> (Vec<Delivery>, Counts, Vec<crate::BadLine>) {
    let mut file = tempfile::Builder::new().prefix("bolt.").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let inputs = [Input { path: Some(file.path().to_owned()), broker: broker.map(str::to_owned) }];
    let mut nothing = |_| {};
    let mut reader = Reader::new(&inputs, meaning, &mut nothing);
    let all = reader.by_ref().map(Result::unwrap).collect();
    (all, reader.counts, std::mem::take(&mut reader.bad.first))
}

/// Broker, load, event, status, time and the time it occurred.
fn shown(delivery: &Delivery) -> (String, String, String, String, u64, Option<u64>) {
    let Delivery { broker, load, event, status, at, occurred_at, .. } = delivery.clone();
    (broker, load, event, status, at, occurred_at)
}

#[test]
fn json_csv_and_an_access_log_of_the_same_delivery_are_read_alike() {
    let wanted = ("bolt".into(), "L-1".into(), "e-1".into(), "delivered".into(), 1_767_574_923_000, None);
    let json =
        r#"{"time":"2026-01-05T01:02:03Z","eventId":"e-1","loadId":"L-1","status":"delivered","answer":200}"#;
    let csv = "time;eventId;loadId;status;answer\n2026-01-05 01:02:03;e-1;L-1;delivered;200\n";
    for text in [json, csv] {
        let (all, ..) = read(text, &Meaning::default(), None);
        assert_eq!(all.iter().map(shown).collect::<Vec<_>>(), std::slice::from_ref(&wanted), "{text}");
    }
    let columns = Columns {
        event_id: Column::named("/segments/1"),
        load_id: Column::named("/query/load"),
        status: Column::named("/extra/0"),
        ..Columns::default()
    };
    let access = r#"::1 - - [05/Jan/2026:02:02:03 +0100] "POST /hooks/e-1?load=L-1 HTTP/1.1" 202 0 "-" "-" "delivered""#;
    let (all, ..) = read(access, &Meaning { columns, ..Meaning::default() }, None);
    assert_eq!(all.iter().map(shown).collect::<Vec<_>>(), [wanted]);
}

#[test]
fn answers_tell_what_was_taken_and_every_line_is_counted_once() {
    let line = |answer: &str| format!(r#"{{"time":1767574923,"eventId":"e-1","answer":{answer}}}"#);
    let answers = ["200", "\"204\"", "429", "500", "0", "499", "504", "\"timeout\"", "null"];
    let text: String = answers.iter().map(|answer| line(answer) + "\n").collect();
    let (all, counts, bad) = read(&(text + "{}\nnothing\n"), &Meaning::default(), Some("acme"));
    let outcomes: Vec<bool> = all.iter().map(|delivery| delivery.outcome == Outcome::Taken).collect();
    assert_eq!(outcomes, [true, true, false, false, false, false, false]);
    assert_eq!(all[0].broker, "acme");
    let wanted = Counts { lines: 11, taken: 2, unclear: 5, refused: 2, others: 0, bad: 2 };
    assert_eq!(counts, wanted);
    assert_eq!((bad[0].line, bad[0].why.as_str(), bad[1].line), (10, "time is not there or empty", 11));
}

#[test]
fn an_answer_may_be_written_in_more_ways_than_one_and_what_is_none_is_a_bad_line() {
    let outcome_of = |answer: &Value| {
        let row = serde_json::json!({ "answer": answer });
        outcome(&Columns::default().answer, &row)
    };
    for (answer, wanted) in [
        (r#""200 OK""#, Some(Outcome::Taken)),
        ("200.0", Some(Outcome::Taken)),
        (r#""202.00""#, Some(Outcome::Taken)),
        (r#""404 Not Found""#, None),
        ("503.0", None),
        (r#""504 Gateway Timeout""#, Some(Outcome::Unclear)),
        (r#""000""#, Some(Outcome::Unclear)),
        ("0.0", Some(Outcome::Unclear)),
        ("-1", Some(Outcome::Unclear)),
        (r#"" Timeout""#, Some(Outcome::Unclear)),
        (r#""-""#, Some(Outcome::Unclear)),
        (r#""""#, Some(Outcome::Unclear)),
        ("null", Some(Outcome::Unclear)),
    ] {
        assert_eq!(outcome_of(&serde_json::from_str(answer).unwrap()), Ok(wanted), "{answer}");
    }
    for answer in
        [r#""OK""#, "true", "1", "200.5", "2000", r#""502, 200""#, r#""200 : 502""#, "[200]", r#""2xx""#]
    {
        let why = outcome_of(&serde_json::from_str(answer).unwrap()).unwrap_err();
        assert!(why.starts_with("answer is ") && why.contains("neither an HTTP status"), "{answer}: {why}");
    }
}

#[test]
fn a_log_that_begins_with_a_byte_order_mark_is_read_in_each_form() {
    let columns = Columns { broker: Column::usual("host"), ..Columns::default() };
    let event_id = Column::named("/segments/1");
    let access = Meaning { columns: Columns { event_id, ..columns.clone() }, ..Meaning::default() };
    let named = Meaning { columns, ..Meaning::default() };
    for (text, meaning) in [
        (r#"{"time":1767574923,"host":"acme","eventId":"e-1","answer":200}"#, &named),
        ("time,host,eventId,answer\n1767574923,acme,e-1,200\n", &named),
        (r#"acme - - [05/Jan/2026:02:02:03 +0100] "POST /hooks/e-1 HTTP/1.1" 200 0"#, &access),
    ] {
        let (all, counts, bad) = read(&format!("\u{feff}{text}"), meaning, None);
        assert_eq!((counts.taken, counts.bad), (1, 0), "{bad:?}");
        assert_eq!((&*all[0].broker, &*all[0].event), ("acme", "e-1"));
    }
}

#[test]
fn other_methods_and_other_paths_are_no_deliveries() {
    let meaning = Meaning {
        columns: Columns { event_id: Column::named("/segments/1"), ..Columns::default() },
        path: Some("/hooks/".into()),
        ..Meaning::default()
    };
    let line = |request: &str| format!("::1 - - [05/Jan/2026:02:02:03 +0100] \"{request} HTTP/1.1\" 200 0\n");
    let text = ["POST /hooks/e-1", "GET /hooks/e-1", "POST /login"].map(line).concat();
    let (all, counts, _) = read(&text, &meaning, None);
    assert_eq!((all.len(), counts.taken, counts.others), (1, 1, 2));
}

#[test]
fn a_body_is_read_by_the_schema_of_a_run_and_digested() {
    let schema = Schema::flat().with_all([(stages::Field::LoadId, "/load/id")]).unwrap();
    let columns = Columns {
        body: Some(Column::named("request_body")),
        time: Column::named("time_local"),
        answer: Column::named("status"),
        broker: Column::usual("host"),
        ..Columns::default()
    };
    let meaning = Meaning { columns, schema: Some(schema), ..Meaning::default() };
    let line = |body: &str| {
        let body = serde_json::to_string(body).unwrap();
        let (time, request) = ("05/Jan/2026:02:02:03 +0100", "POST /hooks HTTP/1.1");
        format!(
            r#"{{"time_local":"{time}","host":"bolt","request":"{request}","status":"200","request_body":{body}}}"#
        ) + "\n"
    };
    let one = r#"{"eventId":"e-1","load":{"id":"L-1"},"status":"delivered","occurredAt":"2026-01-05T01:02:00Z","sequence":4}"#;
    let text = [one, &one.replace('4', "5"), "{}"].map(line).concat();
    let (all, counts, bad) = read(&text, &meaning, None);
    assert_eq!((all.len(), counts.bad, all[0].sequence), (2, 1, Some(4)));
    assert_eq!(shown(&all[0]).5, Some(1_767_574_920_000));
    assert!(all[0].digest.len() == 32 && all[0].digest != all[1].digest);
    assert!(bad[0].why.starts_with("its body is no event: "), "{bad:?}");
}

#[test]
fn a_column_that_was_named_must_be_there() {
    let columns = Columns { load_id: Column::named("load"), ..Columns::default() };
    let (_, counts, bad) =
        read(r#"{"time":1,"eventId":"e"}"#, &Meaning { columns, ..Meaning::default() }, None);
    assert_eq!((counts.bad, bad[0].why.as_str()), (1, "load is not there or empty"));
}
