//! What the types forbid stays forbidden: each case under `compile_fail/` is the line with one thing wrong, and the
//! compiler refuses it with the words beside it; the whole line compiles.
//!
//! The cases are checked by cargo in this workspace, with the dependencies the other targets use: a project of its own
//! (trybuild's way) would build every one of them once more, which took a quarter of all the checks' time.

// What the harness needs fails as a test does.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The whole line compiles, as part of this very test: the cases are it with one thing wrong each.
#[allow(dead_code, unreachable_pub, reason = "it only has to compile")]
#[path = "compile_fail/the_whole_line.rs"]
mod the_whole_line;

const CASES: [&str; 8] = [
    "stages_swapped",
    "dedupe_left_out",
    "deliver_without_a_permit",
    "a_permit_used_twice",
    "run_without_settle",
    "a_ticket_cloned",
    "a_ticket_settled_without_a_verdict",
    "a_fresh_delivery_made_by_hand",
];

/// Set it to have the files beside the cases written anew; then read what has changed.
const WRITE: &str = "LOADLINE_TEST_WRITE_REFUSALS";

#[test]
fn a_line_that_breaks_a_rule_does_not_compile() {
    let said = refusals();
    let mut wrong = String::new();
    for case in CASES {
        let path = cases().join(case).with_extension("refusal");
        let said = said.get(case).map_or("", String::as_str);
        if env::var_os(WRITE).is_some() {
            fs::write(&path, said).unwrap();
        }
        let wanted = fs::read_to_string(&path).unwrap_or_default();
        if said.is_empty() {
            writeln!(wrong, "{case} compiles").unwrap();
        } else if said != wanted {
            writeln!(wrong, "{case} is refused with\n{said}instead of\n{wanted}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}with {WRITE}=1 the files of the refusals are written anew");
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail")
}

/// What the compiler says of each case, in as many words as a change of its layout leaves alone.
fn refusals() -> BTreeMap<String, String> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["check", "--workspace", "--examples", "--features", "tests/must_not_compile"])
        .args(["--keep-going", "--offline", "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let ran = cargo.output().unwrap();
    let mut said = BTreeMap::<String, String>::new();
    for line in String::from_utf8(ran.stdout).unwrap().lines() {
        let told: Value = serde_json::from_str(line).unwrap();
        if told["message"]["level"] == "error" && !told["message"]["code"].is_null() {
            let case = told["target"]["name"].as_str().unwrap();
            said.entry(case.to_owned()).or_default().push_str(&words(&told["message"]));
        }
    }
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert!(said.keys().all(|case| CASES.contains(&case.as_str())), "something else fails too:\n{stderr}");
    assert!(!said.is_empty(), "cargo did not get to the cases:\n{stderr}");
    said
}

/// The error and the lines it is about, with what was expected there. How much of a long type the compiler shows hangs
/// on where the sources are, so types are without their parameters and modules here.
fn words(message: &Value) -> String {
    let text = |value: &Value| short(value.as_str().unwrap_or_default());
    let mut words = format!("error[{}]: {}\n", text(&message["code"]["code"]), text(&message["message"]));
    let spans = message["spans"].as_array().into_iter().flatten();
    for span in spans.filter(|span| span["is_primary"] == true) {
        let at = span["text"][0]["text"].as_str().unwrap_or_default();
        write!(words, "  {}: {}", span["line_start"], at.trim()).unwrap();
        let label = text(&span["label"]);
        let label = if label.contains("expected") { format!(" <- {label}") } else { String::new() };
        writeln!(words, "{label}").unwrap();
    }
    words
}

/// The text, with `a::B<C<D>>` become `B`.
fn short(text: &str) -> String {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let (mut short, mut depth) = (String::new(), 0);
    for letter in text.chars() {
        match letter {
            '<' if depth > 0 || short.ends_with(is_name) => depth += 1,
            '>' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            ':' if short.ends_with(':') => {
                // What stands before the two colons, if it is a module: a type has a capital.
                let before = short.trim_end_matches(':');
                let start = before.rfind(|letter| !is_name(letter)).map_or(0, |at| at + 1);
                if before[start..].starts_with(|first: char| first.is_lowercase()) {
                    short.truncate(start);
                } else {
                    short.push(letter);
                }
            }
            letter => short.push(letter),
        }
    }
    short
}

#[test]
fn types_lose_their_modules_and_their_parameters() {
    assert_eq!(short("for struct `line::Open<A<b::C>, D>` in"), "for struct `Open` in");
    assert_eq!(
        short("`<Retry<Then<Throttle, ...>> as stages::Stage>::In == Delivery`"),
        "`<Retry as Stage>::In == Delivery`"
    );
}
