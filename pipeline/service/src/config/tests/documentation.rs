//! The example loads, and the documentation and the example tell every key, its default and its bounds as they are.

use std::{fs, path::PathBuf};

use super::*;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn known_keys() -> Vec<KnownKey> {
    let known = Reading::of(LEAST, Path::new(""), &environment).known;
    assert!(known.len() > 60, "the reader asks for {} keys", known.len());
    known
}

#[test]
fn the_documentation_has_a_row_for_every_key_with_its_default_and_bounds() {
    let text = fs::read_to_string(project("docs/configuration.md")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
    let mut wrong = Vec::new();
    for KnownKey { path, default, bounds } in known_keys() {
        let quoted = |text: String| if text.contains('`') { text } else { format!("`{text}`") };
        let default = default.map_or("none".to_owned(), quoted);
        let name = format!("`{path}`");
        let row = rows.iter().find(|row| row.get(1) == Some(&name.as_str()));
        let fits = row.is_some_and(|row| {
            row.len() == 6
                && row[2] == default
                && bounds.as_ref().is_none_or(|bounds| row[3] == bounds)
                && row[4].len() > 10
        });
        if !fits {
            wrong.push(format!("| {name} | {default} | {} | why |", bounds.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "docs/configuration.md needs these rows:\n{}", wrong.join("\n"));
}

#[test]
fn the_documentation_has_no_row_for_a_key_there_is_not() {
    let text = fs::read_to_string(project("docs/configuration.md")).unwrap();
    let known: Vec<String> = known_keys().into_iter().map(|key| key.path).collect();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let unknown: Vec<&str> =
        rows.map(|(key, _)| key).filter(|key| !known.iter().any(|known| known == key)).collect();
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn the_example_loads_and_mentions_every_key() {
    let path = project("examples/loadline.toml");
    let text = fs::read_to_string(&path).unwrap();
    // Two keys of one broker must differ, as in real life: each name gives its own.
    let environment = |name: &str| Ok(KEY.replace("MfKQ", &format!("{:04}", name.len())));
    let config = Config::parse(&text, path.parent().unwrap(), environment);
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    assert!(config.brokers.len() > 1);
    for KnownKey { path, .. } in known_keys() {
        let name = path.rsplit('.').next().unwrap();
        let mentions = |line: &str| {
            let line = line.trim_start_matches('#').trim_start();
            line.starts_with(&format!("{name} ")) || line == format!("[{path}]")
        };
        assert!(text.lines().any(mentions), "examples/loadline.toml does not mention {path}");
    }
}

#[test]
fn the_example_of_a_kafka_group_loads() {
    let path = project("examples/kafka.toml");
    let text = fs::read_to_string(&path).unwrap();
    let config = Config::parse(&text, path.parent().unwrap(), |_| Ok(KEY.to_owned()));
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    let SourceKind::Kafka(kafka) = &config.source.kind else { panic!("{:?}", config.source) };
    assert_eq!(kafka.cluster.properties["client.rack"], "eu-1a");
    assert!(kafka.cluster.sasl.is_some() && config.dead_topic.is_some());
}

#[test]
fn what_the_example_shows_as_a_default_is_the_default() {
    let text = fs::read_to_string(project("examples/loadline.toml")).unwrap();
    let known = known_keys();
    let mut section = "";
    let mut checked = 0;
    for line in text.lines() {
        // A section that is off unless it is there stands behind a `#` as a whole.
        let head = line.strip_prefix("# ").unwrap_or(line);
        if head.starts_with('[') {
            section = head.trim_matches(['[', ']']);
        }
        let Some((name, rest)) = line.strip_prefix("# ").and_then(|line| line.split_once(" = ")) else {
            continue;
        };
        let path = format!("{section}.{name}");
        let default = known.iter().find(|key| key.path == path).and_then(|key| key.default.as_deref());
        let Some(default) = default else { continue };
        let shown = rest.split("  #").next().unwrap().trim().trim_matches('"');
        assert_eq!(shown, default, "{path}");
        checked += 1;
    }
    assert!(checked > 40, "{checked} defaults");
}

#[test]
fn no_duration_is_longer_than_a_year_but_the_one_no_timer_is_set_to() {
    let year = Duration::from_secs(366 * 86_400);
    let longest = |bounds: &str| humantime::parse_duration(bounds.split_once(" to ")?.1).ok();
    let durations: Vec<(String, Duration)> =
        known_keys().into_iter().filter_map(|key| Some((key.path, longest(&key.bounds?)?))).collect();
    assert!(durations.len() > 15, "{durations:?}");
    let absurd: Vec<&str> =
        durations.iter().filter(|(_, longest)| *longest > year).map(|(path, _)| path.as_str()).collect();
    assert_eq!(absurd, ["rules.age_max"]);
}
