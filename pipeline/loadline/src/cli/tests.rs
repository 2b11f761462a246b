//! The command line: parsing, exit codes, and that no secret is repeated.

use std::{fs, io::Write, path::PathBuf, process::ExitCode};

use serde_json::json;

use super::*;

fn read(line: &str) -> Result<Cli, Exit> {
    Cli::read(line.split_whitespace().map(OsString::from))
}

fn checked(text: &str, json: bool, quiet: bool) -> (Exit, String) {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("loadline.toml");
    fs::write(dir.path().join("key"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    fs::write(&path, text).unwrap();
    let mut out = Vec::new();
    let exit = check(&path, json, quiet, &mut out);
    (exit, String::from_utf8(out).unwrap())
}

const FINE: &str = "source.kind = \"stdin\"\n[[brokers]]\nid = \"acme\"\nurl = \"https://acme.example\"\n\
                    secrets = [\"file:key\"]\nrate = 5\n";

#[test]
fn every_command_of_the_manual_is_understood() {
    Cli::command().debug_assert();
    let lines = [
        "run loadline.toml",
        "--quiet check loadline.toml",
        "check loadline.toml --json",
        "receive --listen 127.0.0.1:9001 --secret env:KEY --secret file:OLD --status 422 --latency 20ms --fail-rate 0.1 --throttle-rate 0.1 \
         --retry-after 2s --for 10m",
        "receive",
        "run loadline.toml --fail-fast --strict",
        "run",
        "run --config loadline.toml",
        "check --config loadline.toml",
        "status",
        "reload --config loadline.toml",
        "broker enable acme",
        "dead list --config loadline.toml --summary",
        "dead show intake@0:60",
        "dead show intake@0:60 --config loadline.toml",
        "state export --partition 2 partition-2.export",
        "produce events.ndjson --endpoint fluvio.example:9003 --topic shipment-events --timeout 1m --batch 1MiB --json",
        "produce events.ndjson --config loadline.toml",
        "demo --keep out --events events.ndjson",
        "broker enable acme --config loadline.toml",
        "broker disable acme --config loadline.toml",
        "broker pause acme --config loadline.toml --json",
        "broker resume acme --config loadline.toml",
        "status loadline.toml --watch --json",
        "dead list loadline.toml --json",
        "dead list loadline.toml --broker acme --cause refused --stage deliver --status matched --load L-1 --event e-1 \
         --since 2h --until 2026-03-01T08:30:00Z --max 10",
        "dead list loadline.toml --reason refused --summary",
        "dead show loadline.toml file:e@1:42/acme --json",
        "dead export loadline.toml --broker acme --to letters.ndjson",
        "dead replay loadline.toml --all --dry-run",
        "dead purge loadline.toml --id file:e@1:42 --json",
        "state seek --partition 2 --to 5001 --config loadline.toml --json",
        "state export --partition 2 --config loadline.toml partition-2.export --json",
        "state export partition-2.export --config loadline.toml --partition 2",
        "state import partition-2.export --config loadline.toml",
        "legacy legacy.toml --every 50ms",
        "bench",
        "bench --rounds 1 --deliveries 600 --brokers 12 --concurrency 64 --only throughput --json --dir out",
        "bench --only scale --entries 10000,1000000",
        "bench-part receiver --delay 20ms --paths 12",
        "bench-part client --port 9000 --events events.ndjson --brokers 12 --concurrency 64 --sign",
    ];
    for line in lines {
        assert!(read(&format!("loadline {line}")).is_ok(), "{line}");
    }
}

#[test]
fn a_usage_error_ends_with_64_and_help_with_0() {
    for line in [
        "",
        "go",
        "run a.toml --config b.toml",
        "receive --fail-rate 2",
        "receive --latency 5",
        "broker enable",
    ] {
        assert_eq!(read(&format!("loadline {line}")).unwrap_err(), Exit::Usage, "{line}");
    }
    for line in ["--help", "--version", "run --help"] {
        assert_eq!(read(&format!("loadline {line}")).unwrap_err(), Exit::Done, "{line}");
    }
    assert_eq!(ExitCode::from(Exit::Usage), ExitCode::from(64));
}

#[test]
fn what_only_loadline_itself_starts_is_not_shown_to_people() {
    let help = Cli::command().render_long_help().to_string();
    let has = |command: &str| help.lines().any(|line| line.trim_start().starts_with(command));
    assert!(has("receive") && has("bench ") && !has("legacy") && !has("bench-part"), "{help}");
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    let line = ["loadline", "receive", "--secret", "whsec_hunter2"];
    let unjudged = Cli::try_parse_from(line).unwrap();
    assert!(!format!("{unjudged:?}").contains("hunter2"));
    let error = unjudged.judged().unwrap_err();
    assert!(error.use_stderr() && !error.to_string().contains("hunter2"), "{error}");
    assert_eq!(read("loadline receive --secret hunter2").unwrap_err(), Exit::Usage);
}

#[test]
fn a_config_that_is_fine_is_summed_up_unless_quiet() {
    let (exit, out) = checked(FINE, false, false);
    assert_eq!(exit, Exit::Done);
    assert!(out.contains("loadline.toml: fine: 1 broker, 5 attempts a second"), "{out}");
    assert_eq!(checked(FINE, false, true), (Exit::Done, String::new()));
    let (_, out) = checked(FINE, true, false);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&answer["fine"], &answer["summary"]["brokers"]), (&json!(true), &json!(1)));
}

#[test]
fn a_config_with_problems_lists_them_and_counts_them() {
    let wrong = format!("{FINE}burst = 0\nloads = 5\n");
    let (exit, out) = checked(&wrong, false, true);
    assert_eq!(exit, Exit::Usage);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[0],
        "brokers[0].burst [acme] line 7: is out of bounds (0); give a whole number, 1 to 1000000"
    );
    assert!(lines[2].starts_with("2 problems in ") && lines.len() == 3, "{out}");
    let (exit, out) = checked(&wrong, true, false);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, &answer["fine"]), (Exit::Usage, &json!(false)));
    assert_eq!(answer["problems"][1]["key"], "brokers[0].loads");
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure_and_a_reader_who_has_gone_is_none() {
    struct Broken(io::ErrorKind);
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let told = |kind| check(Path::new("/nowhere"), false, false, &mut Broken(kind));
    assert_eq!(told(io::ErrorKind::StorageFull), Exit::Failed);
    assert_eq!(told(io::ErrorKind::BrokenPipe), Exit::Usage);
}

#[test]
fn a_config_is_the_word_or_the_option_and_what_is_behind_it_stays_what_it_was() {
    let config = |line: &str| read(line).unwrap().command.config().unwrap();
    for line in
        ["run x.toml", "run --config x.toml", "broker pause acme --config x.toml", "dead show x.toml e@1:2"]
    {
        let config = config(&format!("loadline {line}"));
        assert_eq!(config.path(), Path::new("x.toml"), "{line}");
        assert_eq!(config.complete("`loadline status`"), "`loadline status --config x.toml`", "{line}");
    }
    let Command::Dead(DeadCommand::Show(args)) = read("loadline dead show e@1:2").unwrap().command else {
        panic!("a show");
    };
    assert_eq!(args.id.to_string(), "e@1:2");
}
