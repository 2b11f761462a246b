//! Configs: any text gives a config or problems that can be acted on, and no secret is ever shown.

use std::{env::VarError, path::Path};

use service::config::{Config, Summary};

/// A signing key nobody uses, and as much of it as may not be shown.
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Takes `input` as a config file.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // Written into the file itself it is shown to nobody either, unless it was cut.
    let environment = |name: &str| if name == "KEY" { Ok(KEY.to_owned()) } else { Err(VarError::NotPresent) };
    match Config::parse(text, Path::new("/nowhere"), environment) {
        Ok(config) => {
            assert!(!config.brokers.is_empty());
            let shown = format!("{config:?} {}", Summary::from(&config));
            assert!(!shown.contains(SECRET), "a secret is shown");
        }
        Err(errors) => {
            assert!(!errors.problems.is_empty());
            for problem in &errors.problems {
                assert!(!problem.key.is_empty() && !problem.problem.is_empty() && !problem.remedy.is_empty());
                assert!(problem.line.is_none_or(|line| line <= text.lines().count().max(1) + 1), "{problem}");
            }
            assert!(!errors.to_string().contains(SECRET), "a secret is shown");
        }
    }
}
