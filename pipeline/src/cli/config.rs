//! Which config file a command is about: what the user named enters, the path leaves, and the words that name it again.
//!
//! One order everywhere: `--config FILE` or the word after the command, then the environment's `LOADLINE_CONFIG`, then
//! `loadline.toml` in the working directory.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;

/// The variable of the environment that names a config.
const VARIABLE: &str = "LOADLINE_CONFIG";
/// The config of a command that names none, in the working directory.
const DEFAULT: &str = "loadline.toml";
/// How a command begins in a text.
const COMMAND: &str = "`loadline ";
/// The commands that are about a config.
const ABOUT_A_CONFIG: [&str; 7] = ["run", "check", "status", "broker", "reload", "dead", "state"];

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

/// A config file, and whether another command has to name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    path: PathBuf,
    named: bool,
}

impl ConfigFile {
    fn of(named: Option<&PathBuf>, environment: Option<OsString>) -> Self {
        let environment = environment.filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            named: named.is_some(),
            path: named.cloned().or(environment).unwrap_or_else(|| PathBuf::from(DEFAULT)),
        }
    }

    /// A config that every command has to name.
    #[must_use]
    pub fn named(path: PathBuf) -> Self {
        Self { path, named: true }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `text` with the commands that stand in it between backquotes made complete: each that is about a config names
    /// this one, as the user has.
    #[must_use]
    pub fn complete(&self, text: &str) -> String {
        if !self.named {
            return text.to_owned();
        }
        let (mut complete, mut rest) = (String::new(), text);
        while let Some((before, command)) = rest.split_once(COMMAND) {
            complete += before;
            complete += COMMAND;
            let end = command.find('`').unwrap_or(command.len());
            let (command, behind) = command.split_at(end);
            complete += command;
            let is_about_a_config = ABOUT_A_CONFIG.contains(&command.split(' ').next().unwrap_or_default());
            if is_about_a_config && !behind.is_empty() && !command.contains("--config") {
                complete += &format!(" --config {}", quoted(&self.path));
            }
            rest = behind;
        }
        complete + rest
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@%:=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_comes_before_the_environment_and_that_before_the_default() {
        let named = PathBuf::from("a.toml");
        let path = |named: Option<&PathBuf>, environment: Option<&str>| {
            ConfigFile::of(named, environment.map(OsString::from)).path
        };
        assert_eq!(path(Some(&named), Some("b.toml")), Path::new("a.toml"));
        assert_eq!(path(None, Some("b.toml")), Path::new("b.toml"));
        assert_eq!(path(None, Some("")), Path::new("loadline.toml"));
        assert_eq!(path(None, None), Path::new("loadline.toml"));
    }

    #[test]
    fn a_command_between_backquotes_names_the_config_as_it_was_named() {
        let text =
            "use `loadline broker enable acme` or `loadline surge --list`, not `loadline run --config b`";
        let named = ConfigFile::named(PathBuf::from("x.toml"));
        assert_eq!(
            named.complete(text),
            "use `loadline broker enable acme --config x.toml` or `loadline surge --list`, not `loadline run --config b`"
        );
        assert_eq!(ConfigFile::of(None, None).complete(text), text, "what is found anyway need not be named");
        let broken = "it's ` odd, `loadline status`; `loadline";
        assert_eq!(
            named.complete(broken),
            "it's ` odd, `loadline status --config x.toml`; `loadline",
            "a backquote in somebody's words changes nothing"
        );
        let odd = ConfigFile::named(PathBuf::from("it's here/x.toml"));
        assert_eq!(odd.complete("`loadline status`"), r"`loadline status --config 'it'\''s here/x.toml'`");
    }
}
