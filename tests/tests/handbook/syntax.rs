//! Commands that need what a test has not, such as a cluster or an hour: they are not run, but their words are read by
//! the program they are for, which must know them.

use std::process::{Command as Process, Stdio};

use tests::loadline;

use crate::{Place, page::Command, project};

/// A place in which nothing is done.
#[derive(Debug)]
pub(crate) struct Syntax;

impl Place for Syntax {
    fn run(&mut self, command: &Command) -> String {
        assert!(is_understood(&command.text), "{} is no command", command.text);
        String::new()
    }

    fn only_reads(&self) -> bool {
        true
    }
}

/// Whether `loadline` or cargo knows a command. Words in capitals stand for what a user names.
pub(crate) fn is_understood(command: &str) -> bool {
    // Variables of the environment that stand before a command.
    let is_variable = |word: &&str| {
        word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.starts_with('-'))
    };
    let mut words = command.split_whitespace().skip_while(is_variable).map(named);
    match words.next().as_deref() {
        Some("cargo") => is_in_the_workspace(&words.collect::<Vec<_>>()),
        Some("loadline" | "target/release/loadline") => {
            // Help is given once all words before it have been read.
            let words = words.take_while(|word| word != "#").chain(["--help".to_owned()]);
            let mut process = Process::new(loadline());
            process.args(words).stdout(Stdio::null()).stderr(Stdio::null());
            process.status().is_ok_and(|status| status.success())
        }
        _ => false,
    }
}

/// A word, or an example of what it stands for.
fn named(word: &str) -> String {
    let example = match word {
        "WHEN" => "1h",
        "ID" => "file:events.ndjson@1:42/acme",
        _ => "1",
    };
    let capitals = word.chars().all(|c| c.is_ascii_uppercase() || c == '|');
    if capitals { example.to_owned() } else { word.trim_matches('\'').to_owned() }
}

/// Whether all packages, tests and benchmarks that a cargo command names are there.
fn is_in_the_workspace(words: &[String]) -> bool {
    let mut metadata = Process::new(env!("CARGO"));
    metadata.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(project());
    let known = String::from_utf8(metadata.output().unwrap().stdout).unwrap();
    let mut named = words.windows(2).filter(|pair| ["-p", "--test", "--bench"].contains(&pair[0].as_str()));
    named.all(|pair| known.contains(&format!("\"name\":\"{}\"", pair[1])))
}

#[test]
fn a_command_that_is_none_is_found() {
    assert!(is_understood("loadline state export --partition N --config a.toml partition-1.export"));
    assert!(
        is_understood("loadline dead list --since WHEN")
            && is_understood("cargo test -p tests --test handbook")
    );
    assert!(!is_understood("loadline state export --partitions 1") && !is_understood("loadline fly"));
    assert!(!is_understood("cargo test -p tests --test handbok"));
}
