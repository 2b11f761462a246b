//! What a broker's answers mean, as the config says it.

use ::http::StatusCode;
use stages::Meaning::{self, Disable, Final, Pause, Retry, Success};

use super::*;

fn meanings<const N: usize>(broker: &str, statuses: [u16; N]) -> [Meaning; N] {
    let config = with(broker, "").unwrap_or_else(|errors| panic!("{errors}"));
    statuses.map(|status| config.brokers[0].answers.meaning(StatusCode::from_u16(status).unwrap()))
}

#[test]
fn a_broker_lists_what_its_statuses_mean_and_the_others_keep_their_meaning() {
    let own =
        "success = [409]\nretry = [\"4xx\", 202]\npause = [\"5xx\", 403]\ndisable = [401]\nfinal = [503]";
    assert_eq!(
        meanings(own, [200, 202, 400, 401, 403, 409, 500, 503, 302]),
        [Success, Retry, Retry, Disable, Pause, Success, Pause, Final, Retry]
    );
    // The defaults as they stand in the documentation change nothing.
    let documented = "success = [\"2xx\"]\nretry = [408, 421, 425, 429, \"3xx\", \"5xx\"]\n\
                      pause = [401, 403, 404, 407]\ndisable = [410]\nfinal = [\"4xx\"]";
    let all: [u16; 400] = std::array::from_fn(|n| n as u16 + 200);
    for (status, (written, default)) in
        all.iter().zip(meanings(documented, all).iter().zip(meanings("", all)))
    {
        assert!(*written == default || *status == 409, "{status}: {written:?}, by default {default:?}");
    }
}

#[test]
fn a_rule_for_bodies_finds_its_error_and_says_what_it_means() {
    let rules = "body_errors = [{ pointer = \"/code\", values = [\"BUSY\", 17, false], then = \"retry\" }, \
                 { pointer = \"/errors\", missing = true }]";
    let config = with(rules, "").unwrap_or_else(|errors| panic!("{errors}"));
    let answers = &config.brokers[0].answers;
    let means = |body: &str| answers.error_in(Some(body.as_bytes())).map(|error| error.meaning);
    assert_eq!(means(r#"{"code":17,"errors":["x"]}"#), Some(Retry));
    assert_eq!(means(r#"{"code":"OK","errors":["x"]}"#), Some(Final));
    assert_eq!(means(r#"{"code":"OK","errors":[]}"#), None);
    assert_eq!((means("{}"), means("<html>")), (Some(Final), Some(Final)), "it is missing");
    assert!(!with("", "").unwrap().brokers[0].answers.judge_bodies());
}

#[test]
fn a_status_or_a_rule_that_cannot_be_is_named() {
    let table = [
        ("success = [199]", "brokers[0].success[0]"),
        ("success = [600]", "brokers[0].success[0]"),
        ("success = [200.5]", "brokers[0].success[0]"),
        ("success = [\"404\"]", "brokers[0].success[0]"),
        ("success = [\"1xx\"]", "brokers[0].success[0]"),
        ("success = 409", "brokers[0].success"),
        ("retry = [404]\nfinal = [500, 404]", "brokers[0].final[1]"),
        ("pause = [404, 404]", "brokers[0].pause[1]"),
        ("body_errors = { pointer = \"/a\" }", "brokers[0].body_errors"),
        ("body_errors = [{ values = [1] }]", "brokers[0].body_errors[0].pointer"),
        ("body_errors = [{ pointer = \"a\" }]", "brokers[0].body_errors[0].pointer"),
        ("body_errors = [{ pointer = \"/a\", values = [] }]", "brokers[0].body_errors[0].values"),
        ("body_errors = [{ pointer = \"/a\", values = [[1]] }]", "brokers[0].body_errors[0].values[0]"),
        ("body_errors = [{ pointer = \"/a\", then = \"success\" }]", "brokers[0].body_errors[0].then"),
        ("body_errors = [{ pointer = \"/a\", value = [1] }]", "brokers[0].body_errors[0].value"),
    ];
    for (broker, key) in table {
        let errors = with(broker, "").unwrap_err();
        let found: Vec<_> = errors.problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(found, [key], "{broker}\n{errors}");
    }
    let nine = format!("body_errors = [{}]", "{ pointer = \"/a\" }, ".repeat(9));
    let errors = with(&nine, "").unwrap_err().to_string();
    assert!(errors.contains("has 9 rules; give at most 8"), "{errors}");
}
