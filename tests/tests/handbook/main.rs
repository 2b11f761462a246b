//! The documentation, carried out: every command it shows is run in the situation its section is about, and must print what
//! the page says it prints; and what holds for every page is checked.

// A page that does not keep its word fails by panicking.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod alerts;
mod connecting;
mod kafka;
mod logs;
mod modules;
mod page;
mod postgres;
mod receiving;
mod rules;
mod shape;
mod situation;
mod syntax;
mod tour;

use std::{fs, path::PathBuf};

use tests::until;

use self::{
    kafka::Kafka,
    page::{Command, Page, Step},
    postgres::Database,
    situation::Situation,
    syntax::Syntax,
    tour::Tour,
};

/// Where commands are run.
trait Place {
    /// Runs a command as the page shows it; what it said on both outputs.
    fn run(&mut self, command: &Command) -> String;

    /// Whether commands are not run here, so that nothing is printed.
    fn only_reads(&self) -> bool {
        false
    }
}

/// The place a page names by its situation.
fn place(name: &str) -> Box<dyn Place> {
    match name {
        "tour" => Box::new(Tour::begin()),
        "syntax" => Box::new(Syntax),
        "kafka" => Box::new(Kafka::begin()),
        "postgres" => Box::new(Database::begin()),
        _ => Box::new(Situation::begin(name)),
    }
}

/// The project's directory.
fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of `docs/`.
fn text(name: &str) -> String {
    let path = project().join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Carries out everything on a page of `docs/`. Situations may follow one another under one name: each note begins anew.
fn carry_out(name: &str) {
    let page = Page::parse(&text(name));
    assert!(!page.steps.is_empty(), "{name} has no commands");
    let mut now: Option<(usize, Box<dyn Place>)> = None;
    for step in &page.steps {
        if now.as_ref().is_none_or(|(heading, _)| *heading != step.heading) {
            drop(now.take());
            now = Some((step.heading, place(&step.situation)));
        }
        if let Some((_, place)) = &mut now {
            take(name, step, place.as_mut());
        }
    }
}

fn take(page: &str, step: &Step, place: &mut dyn Place) {
    let here = format!("docs/{page}:{} ({})", step.line, step.situation);
    let mut said = String::new();
    for command in &step.commands {
        said = place.run(command);
    }
    if place.only_reads() {
        return;
    }
    // What only looks may be done again until it sees what it is to see.
    if let Some(command) = step.commands.last().filter(|command| command.looks()) {
        until(&format!("{here} prints {:#?}, and not\n{said}", step.expected), || {
            let seen = shape::missing(&step.expected, &said).is_none();
            if !seen {
                said = place.run(command);
            }
            seen
        });
    }
    println!("{here}\n{said}");
    if let Some(missing) = shape::missing(&step.expected, &said) {
        panic!("{here}: {missing:?} is not printed, but\n{said}");
    }
}

/// A test for each page with commands; the list of them.
macro_rules! pages {
    ($($test:ident: $page:literal,)+) => {
        /// The pages whose commands a test runs.
        const CARRIED_OUT: &[&str] = &[$($page),+];
        $(#[test]
        fn $test() {
            carry_out($page);
        })+
    };
}

pages! {
    every_command_of_the_runbook_does_in_its_situation_what_the_page_says: "runbook.md",
    every_command_of_the_runbooks_situations_does_what_the_page_says: "runbook-situations.md",
    every_command_of_the_runbooks_sources_does_what_the_page_says: "runbook-sources.md",
    every_command_of_the_operations_page_does_what_the_page_says: "operations.md",
    every_command_of_the_page_on_reloading_does_what_the_page_says: "reloading.md",
    every_command_of_the_page_on_dead_letters_does_what_the_page_says: "dead-letters.md",
    every_command_of_the_page_on_audits_does_what_the_page_says: "audit.md",
    every_command_of_the_page_on_the_state_directory_does_what_the_page_says: "state-directory.md",
    every_command_of_the_page_on_metrics_does_what_the_page_says: "metrics.md",
    every_command_of_the_tour_does_what_the_page_says: "tour.md",
    every_command_of_the_page_on_rehearsals_does_what_the_page_says: "rehearse.md",
    every_command_of_the_surge_page_is_understood: "surge.md",
    every_command_of_the_page_on_surges_of_a_running_pipeline_is_understood: "surge-target.md",
    every_command_of_the_page_on_surges_over_kafka_is_understood: "surge-kafka.md",
    every_command_of_the_performance_page_is_understood: "performance.md",
    every_command_of_the_kafka_page_does_what_the_page_says: "kafka.md",
    every_command_of_the_page_on_state_that_follows_is_understood: "kafka-state.md",
    every_command_of_the_page_on_subscriptions_does_what_the_page_says: "subscriptions.md",
    every_command_of_the_fluvio_page_is_understood: "fluvio.md",
    every_command_of_the_page_on_fluvio_partitions_is_understood: "fluvio-partitions.md",
    every_command_of_the_page_on_testing_is_understood: "testing.md",
    every_command_of_the_page_on_tests_with_servers_is_understood: "testing-servers.md",
    every_command_of_the_page_on_idempotency_is_understood: "idempotency.md",
}

#[test]
fn every_page_with_commands_is_carried_out_and_every_command_in_running_text_is_one() {
    let pages = rules::pages();
    let parsed: Vec<(&str, Page)> =
        pages.iter().map(|page| (page.name.as_str(), Page::parse(&page.text))).collect();
    // `.ci/run` runs the README's.
    let with_commands = parsed.iter().filter(|(name, page)| *name != "README.md" && !page.steps.is_empty());
    let with_commands: Vec<String> = with_commands.map(|(name, _)| (*name).to_owned()).collect();
    let mut carried: Vec<String> = CARRIED_OUT.iter().map(|page| format!("docs/{page}")).collect();
    carried.sort();
    assert_eq!(with_commands, carried);
    let shown = |named: &str| parsed.iter().any(|(_, page)| page.shows(named));
    for (name, page) in &parsed {
        for named in page.named.iter().filter(|named| !shown(named)) {
            assert!(syntax::is_understood(named), "{name}: `{named}` is no command");
        }
    }
}
