//! Prints the picture of a group for people: its members first, then what waits for which broker.

use std::io::{self, Write};

use super::{GroupBroker, GroupPicture, MemberStatus, span::span};
use crate::text_table::{shown, shown_in, write_rows};

/// How many members and brokers are listed; `--json` has all.
const LISTED_MAX: usize = 40;
/// How many partitions' numbers are listed.
const NUMBERS_MAX: usize = 24;

/// Writes `picture`.
///
/// # Errors
/// `out` cannot be written.
pub fn write_group(out: &mut impl Write, picture: &GroupPicture) -> io::Result<()> {
    let GroupPicture { group, asked, partitions, unread, answering, silent, members, brokers, .. } = picture;
    let mut line = format!("group {}: {answering} members answer", shown(group));
    if *silent > 0 {
        line += &format!(", {silent} do not");
    }
    line += &match unread.as_slice() {
        [] => format!("; all {partitions} partitions are read"),
        unread => {
            format!("; of {partitions} partitions nobody reads {}", numbers(unread, unread.len() as u64))
        }
    };
    writeln!(out, "{line}\nasked {}\n", shown(asked))?;
    let head = ["member", "at", "version", "up", "heard", "partitions", "lag", "in memory", "on disk"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(members.iter().take(LISTED_MAX).map(member));
    let sums = ["together", "", "", "", ""].map(str::to_owned);
    let totals = [picture.lag_events, picture.in_flight, picture.spilled].map(|count| count.to_string());
    rows.push([&sums[..], &[String::new()], &totals].concat());
    write_rows(out, &rows, &[6, 7, 8])?;
    more(out, members.len())?;
    writeln!(out)?;
    if brokers.is_empty() {
        return writeln!(out, "nothing waits for any broker, and all are healthy");
    }
    let mut rows = vec![["broker", "waiting", "at how many members"].map(str::to_owned).to_vec()];
    rows.extend(brokers.iter().take(LISTED_MAX).map(|GroupBroker { id, states, waiting }| {
        let states: Vec<_> =
            states.iter().map(|(state, members)| format!("{} {members}", shown(state))).collect();
        vec![shown(id), waiting.to_string(), states.join(", ")]
    }));
    write_rows(out, &rows, &[1])?;
    more(out, brokers.len())
}

fn member(MemberStatus { name, age_seconds, silent, summary }: &MemberStatus) -> Vec<String> {
    let heard = match (silent, summary.stopping) {
        (true, _) => format!("silent for {}", span(*age_seconds)),
        (false, true) => "stopping".to_owned(),
        (false, false) => format!("{} ago", span(*age_seconds)),
    };
    let counts = [summary.lag_events, summary.in_flight, summary.spilled].map(|count| count.to_string());
    let texts = [
        shown_in(name, 60),
        shown(&summary.address),
        shown_in(&summary.version, 20),
        span(summary.uptime_seconds),
        heard,
        numbers(&summary.partitions, summary.assigned),
    ];
    [&texts[..], &counts].concat()
}

/// Some of `all` numbers, of which there are `count`.
fn numbers(all: &[u32], count: u64) -> String {
    if count == 0 {
        return "none".to_owned();
    }
    let listed: Vec<_> = all.iter().take(NUMBERS_MAX).map(u32::to_string).collect();
    let more = count.saturating_sub(listed.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", listed.join(" "))
}

fn more(out: &mut impl Write, all: usize) -> io::Result<()> {
    match all.saturating_sub(LISTED_MAX) {
        0 => Ok(()),
        more => writeln!(out, "… and {more} more; --json has them"),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::status::MemberSummary;

    #[test]
    fn members_and_what_waits_are_listed_and_what_is_missing_comes_first() {
        let summary = |partitions: &[u32]| MemberSummary {
            version: "0.1.0".to_owned(),
            address: "host admin.sock".to_owned(),
            uptime_seconds: 60.0,
            partitions: partitions.to_vec(),
            assigned: partitions.len() as u64,
            of: 3,
            lag_events: 5,
            ..MemberSummary::default()
        };
        let members = vec![
            MemberStatus::new("one", &summary(&[0, 1]), Duration::from_secs(2), false),
            MemberStatus::new("two", &summary(&[2]), Duration::from_secs(40), true),
        ];
        let mut picture = GroupPicture::of("g", "one", members);
        let text = |picture: &GroupPicture| {
            let mut out = Vec::new();
            write_group(&mut out, picture).unwrap();
            String::from_utf8(out).unwrap()
        };
        let said = text(&picture);
        assert!(
            said.starts_with("group g: 1 members answer, 1 do not; of 3 partitions nobody reads 2\n"),
            "{said}"
        );
        assert!(said.contains("silent for 40") && said.contains("0 1"), "{said}");
        assert!(said.ends_with("nothing waits for any broker, and all are healthy\n"), "{said}");
        picture.brokers = (0..LISTED_MAX + 2)
            .map(|number| GroupBroker {
                id: format!("b{number}"),
                states: BTreeMap::from([("open".to_owned(), 2)]),
                waiting: 7,
            })
            .collect();
        let said = text(&picture);
        assert!(
            said.contains("b0")
                && said.contains("open 2")
                && said.ends_with("… and 2 more; --json has them\n"),
            "{said}"
        );
    }
}
