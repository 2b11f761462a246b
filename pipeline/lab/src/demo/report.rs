//! The table at the end, in aligned plain text: what each broker got, and why the rest did not go. Every dead letter is
//! counted in exactly one row, and what the oracle holds against the run is told.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use state::DeadLetter;

use super::judge::{BrokerTally, Outcome};
use service::text_table::{shown, write_rows};

/// What stands for the broker of a record that never became an event.
const NO_BROKER: &str = "(none)";

/// Prints the report, with what the oracle found. Brokers stand in the order given; dead letters in that order too, most
/// frequent first.
///
/// # Errors
/// `out` cannot be written.
pub fn write_report(out: &mut impl Write, outcome: &Outcome, dead: &[DeadLetter]) -> io::Result<()> {
    let Outcome { tallies: brokers, findings } = outcome;
    let delivered: u64 = brokers.iter().map(|broker| broker.received).sum();
    let missing: u64 = brokers.iter().map(|broker| broker.missing).sum();
    write_rows(out, &broker_rows(brokers, dead), &[2, 3, 4, 5, 6])?;
    if !dead.is_empty() {
        writeln!(out, "\nwhy the rest did not go")?;
        write_rows(out, &dead_rows(brokers, dead), &[3])?;
    }
    if !findings.is_empty() {
        writeln!(out, "\nwhat the oracle found")?;
        findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))?;
    }
    let letters = dead.len();
    if missing == 0 {
        writeln!(out, "\n{delivered} delivered, {letters} dead-lettered, nothing missing")
    } else {
        writeln!(out, "\n{delivered} delivered, {letters} dead-lettered, {missing} MISSING")
    }
}

fn broker_rows(brokers: &[BrokerTally], dead: &[DeadLetter]) -> Vec<Vec<String>> {
    let head = ["broker", "is", "expected", "received", "repeats", "dead letters", "missing"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(brokers.iter().map(|broker| {
        let counts =
            [broker.expected, broker.received, broker.repeats, letters_of(broker, dead), broker.missing];
        let mut row = vec![shown(&broker.id), shown(&broker.about)];
        row.extend(counts.map(|count| count.to_string()));
        row
    }));
    rows
}

fn dead_rows(brokers: &[BrokerTally], dead: &[DeadLetter]) -> Vec<Vec<String>> {
    let place = |id: Option<&str>| brokers.iter().position(|broker| Some(&*broker.id) == id);
    let mut groups: BTreeMap<_, Vec<&DeadLetter>> = BTreeMap::new();
    for letter in dead {
        let broker = letter.broker.as_deref();
        // those of no broker, or of one not in the table, come last
        let order = place(broker).unwrap_or(usize::MAX);
        groups.entry((order, broker, letter.stage, &*letter.cause)).or_default().push(letter);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|((order, broker, ..), letters)| (*order, *broker, usize::MAX - letters.len()));

    let head = ["broker", "stage", "cause", "count", "first at", "in words"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(groups.into_iter().map(|((_, broker, stage, cause), letters)| {
        let first = letters.first();
        vec![
            shown(broker.unwrap_or(NO_BROKER)),
            stage.as_str().to_owned(),
            shown(cause),
            letters.len().to_string(),
            first.map(|letter| shown(&letter.position.to_string())).unwrap_or_default(),
            first.map(|letter| shown(&letter.detail)).unwrap_or_default(),
        ]
    }));
    rows
}

fn letters_of(broker: &BrokerTally, dead: &[DeadLetter]) -> u64 {
    dead.iter().filter(|letter| letter.broker.as_deref() == Some(&broker.id)).count() as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use state::{History, Position, StageName};

    use super::*;

    fn letter(broker: Option<&str>, stage: StageName, cause: &str, offset: u64, detail: &str) -> DeadLetter {
        DeadLetter {
            position: Position::new(Arc::from("file:events.ndjson"), 0, offset),
            broker: broker.map(Arc::from),
            stage,
            cause: cause.to_owned(),
            detail: detail.to_owned(),
            at: 0,
            history: History::default(),
            event_id: None,
            load_id: None,
            status: None,
            body: Vec::new(),
            body_len: 0,
            row: None,
        }
    }

    fn tally(id: &str, about: &str, [expected, received, repeats, missing]: [u64; 4]) -> BrokerTally {
        BrokerTally { id: id.to_owned(), about: about.to_owned(), expected, received, repeats, missing }
    }

    fn report(brokers: &[BrokerTally], dead: &[DeadLetter]) -> String {
        let mut out = Vec::new();
        let findings = brokers.iter().filter(|broker| broker.missing > 0);
        let findings = findings.map(|broker| format!("{}: lost", broker.id)).collect();
        write_report(&mut out, &Outcome { tallies: brokers.to_vec(), findings }, dead).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_report_says_what_each_broker_got_and_why_the_rest_did_not_go() {
        let brokers = [
            tally("amber", "well", [40, 40, 0, 0]),
            tally("indigo", "flaps", [33, 32, 2, 0]),
            tally("lichen", "gone", [9, 0, 0, 0]),
        ];
        let gone = "the broker is disabled: it answered 410";
        let mut dead = vec![
            letter(None, StageName::Decode, "not-json", 40_817, "cut\n off"),
            letter(Some("lichen"), StageName::Deliver, "refused", 120, "answered 410"),
            letter(Some("indigo"), StageName::Dedupe, "conflict", 99_007, "another body before"),
        ];
        dead.extend(
            (0..8)
                .map(|nth| letter(Some("lichen"), StageName::Deliver, "broker-disabled", 1_000 + nth, gone)),
        );
        let expected = "\
broker  is     expected  received  repeats  dead letters  missing
amber   well         40        40        0             0        0
indigo  flaps        33        32        2             1        0
lichen  gone          9         0        0             9        0

why the rest did not go
broker  stage    cause            count  first at                    in words
indigo  dedupe   conflict             1  file:events.ndjson@0:99007  another body before
lichen  deliver  broker-disabled      8  file:events.ndjson@0:1000   the broker is disabled: it answered 410
lichen  deliver  refused              1  file:events.ndjson@0:120    answered 410
(none)  decode   not-json             1  file:events.ndjson@0:40817  cut\u{fffd} off

72 delivered, 11 dead-lettered, nothing missing
";
        assert_eq!(report(&brokers, &dead), expected);
    }

    #[test]
    fn what_nobody_can_account_for_is_missing() {
        let dead = [letter(Some("amber"), StageName::Deliver, "too-old", 1, &"x".repeat(100))];
        let expected = format!(
            "\
broker  is    expected  received  repeats  dead letters  missing
amber   well        10         7        0             1        2

why the rest did not go
broker  stage    cause    count  first at                in words
amber   deliver  too-old      1  file:events.ndjson@0:1  {}…

what the oracle found
amber: lost

7 delivered, 1 dead-lettered, 2 MISSING
",
            "x".repeat(89)
        );
        assert_eq!(report(&[tally("amber", "well", [10, 7, 0, 2])], &dead), expected);
    }

    #[test]
    fn without_dead_letters_there_is_no_second_table() {
        let expected = "\
broker  is    expected  received  repeats  dead letters  missing
amber   well         1         1        0             0        0

1 delivered, 0 dead-lettered, nothing missing
";
        assert_eq!(report(&[tally("amber", "well", [1, 1, 0, 0])], &[]), expected);
    }
}
