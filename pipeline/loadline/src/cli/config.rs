//! The arguments that name a command's config.
//!
//! One order everywhere: `--config FILE` or the word after the command, then the environment's `LOADLINE_CONFIG`,
//! then `loadline.toml` in the working directory.

use std::{env, path::PathBuf};

use clap::Args;
use service::ConfigFile;

/// The variable of the environment that names a config.
const VARIABLE: &str = "LOADLINE_CONFIG";
/// A config, named by a word or by an option.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// The config file; without it --config, LOADLINE_CONFIG or ./loadline.toml names it.
    #[arg(value_name = "CONFIG", id = "config-word")]
    word: Option<PathBuf>,
    /// The same as an option.
    #[arg(long = "config", value_name = "FILE", id = "config-option", conflicts_with = "config-word")]
    option: Option<PathBuf>,
}

/// A config, named by an option alone.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigOption {
    /// The config file; without it LOADLINE_CONFIG or ./loadline.toml names it.
    #[arg(long = "config", value_name = "FILE", id = "config-option")]
    option: Option<PathBuf>,
}

impl ConfigArgs {
    /// The config file.
    #[must_use]
    pub fn file(&self) -> ConfigFile {
        ConfigFile::of(self.word.as_ref().or(self.option.as_ref()), env::var_os(VARIABLE))
    }
}

impl ConfigOption {
    /// The config file.
    #[must_use]
    pub fn file(&self) -> ConfigFile {
        ConfigFile::of(self.option.as_ref(), env::var_os(VARIABLE))
    }
}
