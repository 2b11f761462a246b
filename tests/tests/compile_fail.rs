//! What the types forbid stays forbidden: each file under `compile_fail/` breaks one rule of the line and must not
//! compile, with the message beside it; the whole line must.

/// The whole line compiles, as part of this very test: the cases below are it with one thing wrong each.
#[allow(dead_code, unreachable_pub, reason = "it only has to compile")]
#[path = "compile_fail/the_whole_line.rs"]
mod the_whole_line;

#[test]
fn a_line_that_breaks_a_rule_does_not_compile() {
    let cases = trybuild::TestCases::new();
    for broken in [
        "stages_swapped",
        "dedupe_left_out",
        "deliver_without_a_permit",
        "a_permit_used_twice",
        "run_without_settle",
        "a_ticket_cloned",
        "a_ticket_settled_without_a_verdict",
        "a_fresh_delivery_made_by_hand",
    ] {
        cases.compile_fail(format!("tests/compile_fail/{broken}.rs"));
    }
}
