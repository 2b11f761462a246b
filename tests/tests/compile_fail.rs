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

/// The error, the lines it is about with their labels, and its notes.
fn words(message: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut words = format!("error[{}]: {}\n", text(&message["code"]["code"]), text(&message["message"]));
    let spans = message["spans"].as_array().into_iter().flatten();
    for span in spans.filter(|span| span["is_primary"] == true) {
        let at = text(&span["text"][0]["text"]);
        writeln!(words, "  {}: {} <- {}", span["line_start"], at.trim(), text(&span["label"])).unwrap();
    }
    let children = message["children"].as_array().into_iter().flatten();
    let about_the_layout =
        |note: &str| note.starts_with("the full name for the type") || note.contains("--verbose");
    let notes = children.filter(|child| child["spans"].as_array().is_some_and(Vec::is_empty));
    for note in notes.filter(|note| !about_the_layout(&text(&note["message"]))) {
        writeln!(words, "  {}: {}", text(&note["level"]), text(&note["message"])).unwrap();
    }
    words
}
