//! The alert rules: each asks for metrics that there are, and leads to a section of the runbook that is there.

use std::collections::HashSet;

use crate::{Place, page::Command, rules, situation::Situation, text};

#[test]
fn every_metric_an_alert_asks_for_is_one_that_a_run_gives() {
    let alerts = text("alerts.yml");
    let mut situation = Situation::begin("dead-broker");
    let metrics =
        situation.run(&Command::of("curl -s --unix-socket state/admin.sock http://localhost/metrics"));
    let names = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
        words.filter(|word| word.starts_with("loadline_")).map(str::to_owned).collect()
    };
    let mut given = names(&metrics);
    // Those of a cluster's partitions need a cluster, and some are given only at times, as their rows say. That the page
    // has what is given then, other tests see to.
    let page = text("metrics.md");
    let rows = page.lines().filter(|line| {
        line.starts_with("| `loadline_source_")
            || line.starts_with("| `loadline_group_")
            || (line.starts_with("| `loadline_") && line.contains("Not there unless"))
    });
    given.extend(rows.flat_map(|row| names(row.split('|').nth(1).unwrap())));
    let asked = names(&alerts);
    assert!(asked.len() > 8, "{asked:?}");
    for name in asked {
        assert!(given.contains(&name), "{name} is not among the metrics\n{metrics}");
    }
}

#[test]
fn every_alert_leads_to_a_section_of_the_runbook() {
    let alerts = text("alerts.yml");
    let without = alerts.split("- alert: ").skip(1).filter(|alert| !alert.contains("runbook"));
    assert_eq!(without.collect::<Vec<_>>(), [] as [&str; 0]);
    let places: Vec<&str> = alerts.split_whitespace().filter(|word| word.starts_with("runbook")).collect();
    for place in places {
        let place = place.trim_end_matches(['"', '.']);
        let Some((page, anchor)) = place.split_once('#') else { continue };
        let anchors: HashSet<String> = rules::anchors(&text(page)).collect();
        assert!(anchors.contains(anchor), "{place}: not among {anchors:?}");
    }
}
