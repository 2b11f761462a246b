//! Logs of deliveries, as a service before Loadline may have left them: the same night in each form that is audited.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

/// A delivery: the second of the minute, broker, event, status, the second in which it occurred, answer.
type Delivery = (f64, &'static str, &'static str, &'static str, u32, &'static str);

const DELIVERIES: [Delivery; 8] = [
    (1.1, "acme", "evt-1", "accepted", 59, "200"),
    (2.3, "bolt", "evt-1", "accepted", 59, "200"),
    (7.3, "bolt", "evt-2", "in-transit", 65, "\"timeout\""),
    (8.2, "bolt", "evt-2", "in-transit", 65, "200"),
    (8.9, "bolt", "evt-1", "accepted", 59, "200"),
    (21.0, "bolt", "evt-3", "delivered", 80, "503"),
    (22.4, "bolt", "evt-3", "delivered", 80, "200"),
    (31.0, "bolt", "evt-2", "in-transit", 65, "200"),
];

/// Gives each log, by its name, to `write`.
pub(crate) fn write(mut write: impl FnMut(&str, &[u8])) {
    let (mut json, mut csv) = (String::new(), "sent_at;broker;id;load;state;http\n".to_owned());
    let (mut access, mut bodies) = (String::new(), String::new());
    for (second, broker, event, status, occurred, answer) in DELIVERIES {
        let occurred = format!("2026-01-05T22:{:02}:{:02}Z", 13 + occurred / 60, occurred % 60);
        let fields =
            format!(r#""eventId":"{event}","loadId":"CHI-7","status":"{status}","occurredAt":"{occurred}""#);
        let time = format!("2026-01-05T22:14:{second:04.1}00Z");
        json += &format!("{{\"time\":\"{time}\",\"broker\":\"{broker}\",{fields},\"answer\":{answer}}}\n");
        let answer = answer.trim_matches('"');
        csv += &format!("2026-01-05 16:14:{second:04.1};{broker};{event};CHI-7;{status};{answer}\n");
        if broker == "bolt" && answer != "timeout" {
            let local = format!("05/Jan/2026:22:14:{:02} +0000", second as u32);
            let request = format!("POST /hooks/{event}?load=CHI-7 HTTP/1.1");
            access += &format!("10.0.0.9 - - [{local}] \"{request}\" {answer} 2 \"-\" \"old-service/4\"\n");
            access += &format!("10.0.0.9 - - [{local}] \"GET /health HTTP/1.1\" 200 2 \"-\" \"probe\"\n");
            let body = format!("{{{fields}}}").replace('"', "\\\"");
            bodies += &format!(
                "{{\"time_local\":\"{local}\",\"status\":\"{answer}\",\"request_body\":\"{body}\"}}\n"
            );
        }
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(access.as_bytes()).unwrap();
    write("deliveries.ndjson", json.as_bytes());
    write("deliveries.csv", csv.as_bytes());
    write("bolt.access.log.gz", &packed.finish().unwrap());
    write("tms.json", bodies.as_bytes());
}
