//! How many instructions the pure stages take, counted by valgrind's callgrind: the same on a noisy machine and on a
//! quiet one, so that a regression shows where times tell nothing.
//!
//! `cargo bench -p benches --bench instructions`, with a filter such as `-- '*route*'` behind it. It needs valgrind and
//! gungraun's runner, in exactly the version of the library: `cargo install --locked gungraun-runner --version =0.20.0`.
//! Where one of them is missing it says so in one line, counts nothing, and does not fail.
//!
//! A count more than 5 % above the one that stands beside its benchmark in `counted.rs` fails. Another compiler,
//! allocator (the C library's is used here) or processor counts a little differently: if nothing else has changed, or a
//! change is worth what it costs, put the new numbers there. A count far below says the same.

mod counted;

use std::process::Command;

/// What criterion understands and gungraun does not: whoever runs all benchmarks with one of these means the others.
const OTHERS: [&str; 6] =
    ["--measurement-time", "--warm-up-time", "--sample-size", "--nresamples", "--profile-time", "--quick"];

/// The version of the library that `Cargo.toml` names; the runner must have the same.
const RUNNER: &str = "0.20.0";

fn main() {
    // Inside valgrind there is nothing to look for.
    let inside = std::env::args().nth(1).is_some_and(|first| first == "--gungraun-run");
    let other = std::env::args().find(|argument| OTHERS.iter().any(|other| argument.starts_with(other)));
    if let Some(other) = other {
        say(&format!("instructions are not counted: {other} is for the other benchmarks"));
        return;
    }
    if !inside && let Some(missing) = missing() {
        say(&format!("instructions are not counted: {missing}"));
        return;
    }
    counted::run();
}

/// What is missing, and what to do about it.
fn missing() -> Option<String> {
    let version = |tool| {
        let output = Command::new(tool).arg("--version").output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    if version("valgrind").is_none() {
        return Some("valgrind is not there: apt-get install valgrind".to_owned());
    }
    let runner = option_env!("GUNGRAUN_RUNNER").unwrap_or("gungraun-runner");
    let is_right = |found: &String| found.split_whitespace().any(|word| word == RUNNER);
    match version(runner).filter(is_right) {
        Some(_) => None,
        None => Some(format!(
            "gungraun-runner {RUNNER} is not there: cargo install --locked gungraun-runner --version ={RUNNER}"
        )),
    }
}

#[allow(clippy::print_stderr, reason = "this is what a benchmark is run for")]
fn say(words: &str) {
    eprintln!("{words}");
}
