//! `dohle config list|explain|check`: settings, without a node.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::server::read;
use super::{Console, Exit, Output};
use crate::base::World;
use crate::config::{File, Scope, load, report};
use crate::host;

#[derive(Args)]
pub(super) struct ConfigArguments {
    #[command(subcommand)]
    command: ConfigCommand,
    /// How the answer is written
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Lists every key, its type, scope and default
    List {
        /// Only the keys of one scope
        #[arg(long, value_enum)]
        scope: Option<Within>,
    },
    /// Says what a key means, what it is set to here, and by whom
    Explain {
        key: String,
        /// Explain it as this file sets it
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Says what a node that starts with this file would complain about; exits with 1 on an error
    Check { file: PathBuf },
}

#[derive(Clone, Copy, ValueEnum)]
enum Within {
    ReadOnly,
    PerBroker,
    ClusterWide,
    Topic,
    Group,
}

impl From<Within> for Scope {
    fn from(within: Within) -> Self {
        match within {
            Within::ReadOnly => Self::ReadOnly,
            Within::PerBroker => Self::PerBroker,
            Within::ClusterWide => Self::ClusterWide,
            Within::Topic => Self::Topic,
            Within::Group => Self::Group,
        }
    }
}

pub(super) fn run(arguments: ConfigArguments, world: &World, console: &mut Console) -> Exit {
    let format = arguments.output.into();
    let report = match arguments.command {
        ConfigCommand::List { scope } => report::list(scope.map(Scope::from), format),
        ConfigCommand::Explain { key, config } => {
            let text = match &config {
                Some(path) => match read(path, world, console) {
                    Some(text) => Some((path.display().to_string(), text)),
                    None => return Exit::Failed,
                },
                None => None,
            };
            let file = text.as_ref().map(|(name, text)| File { name, text });
            let (settings, _) = load(file, host::environment(), &[]);
            report::explain(&key, &settings, format)
        }
        ConfigCommand::Check { file } => {
            let Some(text) = read(&file, world, console) else { return Exit::Failed };
            report::check(File { name: &file.display().to_string(), text: &text }, format)
        }
    };
    console.answer(&report.output);
    if report.has_errors { Exit::Failed } else { Exit::Done }
}
