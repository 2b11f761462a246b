//! Simulates as many seeds as you like: `cargo run -p sim -- --seeds 10000`.

use std::{
    io::{Write, stderr, stdout},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
};

use clap::Parser;
use sim::{Kind, campaign, plan, traced};

/// Simulates the whole line, seed by seed, and tells of every promise that is broken.
#[derive(Debug, Parser)]
struct Args {
    /// Simulate groups of several members, not single processes.
    #[arg(long)]
    group: bool,
    /// How many seeds to simulate.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed; a fresh one if it is not given.
    #[arg(long)]
    from: Option<u64>,
    /// Simulate this seed alone and tell every step.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// End once so many promises are broken.
    #[arg(long, default_value_t = 1)]
    broken_max: usize,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let kind = if args.group { Kind::Group } else { Kind::Process };
    if let Some(seed) = args.seed {
        writeln!(stdout(), "{}", plan(kind, seed))?;
        let (outcome, trace) = traced(kind, seed, None);
        write!(stdout(), "{trace}")?;
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&outcome)?)?;
        return Ok(exit_code(outcome.violation.is_none()));
    }
    let done = AtomicU64::new(0);
    let summary =
        campaign(kind, args.from.unwrap_or_else(rand::random), args.seeds, args.broken_max, |outcome| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            let told = if done.is_multiple_of(100) {
                writeln!(stderr(), "{done} of {} seeds", args.seeds)
            } else {
                Ok(())
            };
            let broken = outcome
                .violation
                .as_ref()
                .map(|broken| writeln!(stderr(), "seed {}: {broken}", outcome.seed));
            // Nobody may be listening.
            drop((told, broken));
        });
    let text = if args.json { serde_json::to_string_pretty(&summary)? } else { words(&summary) };
    writeln!(stdout(), "{text}")?;
    Ok(exit_code(summary.broken.is_empty()))
}

fn words(summary: &sim::Summary) -> String {
    let sim::Summary { base, seeds, runs, crashes, moves, steps, repeats, simulated, broken } = summary;
    let hours = *simulated as f64 / 3_600_000.0;
    let mut text = format!(
        "{seeds} seeds from {base}: {runs} runs, {crashes} of them crashed, {moves} moves, {steps} steps, {repeats} repeats, \
         {hours:.1} simulated hours, {} broken promises",
        broken.len()
    );
    for outcome in broken {
        if let Some(violation) = &outcome.violation {
            text.push_str(&format!("\nSIM_SEED={}: {violation}", outcome.seed));
        }
    }
    text
}

fn exit_code(well: bool) -> ExitCode {
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
