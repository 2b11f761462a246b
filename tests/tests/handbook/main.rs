//! The pages an operator works from, carried out: every command of the runbook and of the operations page is run against
//! a real process in the situation its section is about, and must print what the page says it prints.

// A page that does not keep its word fails by panicking.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod page;
mod shape;
mod situation;

use std::{fs, path::Path};

use tests::until;

use self::{
    page::{Command, Page, Step},
    situation::Situation,
};

/// A page of `docs/`.
fn read(name: &str) -> Page {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    Page::parse(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Carries out everything on a page. Situations may follow one another under one name: each heading begins anew.
fn carry_out(name: &str) {
    let page = read(name);
    assert!(page.steps.len() > 3, "{name} has no commands");
    assert_eq!(page.unshown(), [] as [&str; 0], "commands of {name} that no block carries out");
    let mut now: Option<(String, usize, Situation)> = None;
    for step in &page.steps {
        let same = now
            .as_ref()
            .is_some_and(|(name, heading, _)| (name, heading) == (&step.situation, &step.heading));
        if !same {
            drop(now.take());
            now = Some((step.situation.clone(), step.heading, Situation::begin(&step.situation)));
        }
        if let Some((_, _, situation)) = &mut now {
            take(name, step, situation);
        }
    }
}

fn take(page: &str, step: &Step, situation: &mut Situation) {
    let place = format!("docs/{page}:{} ({})", step.line, step.situation);
    let mut said = String::new();
    for command in &step.commands {
        said = situation.run(command);
    }
    // What only looks may be done again until it sees what it is to see.
    if let Some(command) = step.commands.last().filter(|command| command.looks()) {
        until(&format!("{place} prints {:#?}, and not\n{said}", step.expected), || {
            let seen = shape::missing(&step.expected, &said).is_none();
            if !seen {
                said = situation.run(command);
            }
            seen
        });
    }
    println!("{place}\n{said}");
    if let Some(missing) = shape::missing(&step.expected, &said) {
        panic!("{place}: {missing:?} is not printed, but\n{said}");
    }
}

#[test]
fn every_command_of_the_runbook_does_in_its_situation_what_the_page_says() {
    carry_out("runbook.md");
}

#[test]
fn every_command_of_the_operations_page_does_what_the_page_says() {
    carry_out("operations.md");
}

#[test]
fn every_metric_an_alert_asks_for_is_one_that_a_run_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/alerts.yml");
    let alerts = fs::read_to_string(path).unwrap();
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
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md")).unwrap();
    let rows = page.lines().filter(|line| {
        line.starts_with("| `loadline_source_")
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
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let [alerts, runbook] =
        ["alerts.yml", "runbook.md"].map(|name| fs::read_to_string(docs.join(name)).unwrap());
    let headings = runbook.lines().filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")));
    let sections: Vec<String> = headings.map(|heading| heading.to_lowercase().replace(' ', "-")).collect();
    for text in [&alerts, &runbook] {
        for anchor in text.split("runbook.md#").skip(1).chain(text.split("](#").skip(1)) {
            let anchor = anchor.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).next().unwrap();
            assert!(sections.iter().any(|section| section == anchor), "{anchor} is not among {sections:?}");
        }
    }
    let alerts_without = alerts.split("- alert: ").skip(1).filter(|alert| !alert.contains("runbook.md"));
    assert_eq!(alerts_without.collect::<Vec<_>>(), [] as [&str; 0]);
}
