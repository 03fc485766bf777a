//! The binary `tapegate`: command line, configuration, assembly, signals. The only room that sees every other.
//!
//! Flow of `serve`: `cli` -> `config` (all faults at once) -> `data` (the directory is ours) -> `assemble` (rooms put
//! together) -> `serve` (until a signal). Every other command but `tape` asks `client`: a gateway that runs, over its
//! admin listener (`desk`), or the catalog itself (`records`). `tape` reads cartridges with neither.

mod assemble;
mod check_config;
mod chores;
mod cli;
mod client;
mod clock;
mod command;
mod config;
mod data;
mod desk;
mod doctor;
mod error;
mod evidence;
mod keyring;
mod keys_in_use;
mod machines;
mod orders;
mod rebuild;
mod records;
mod serve;
mod stores;
mod switch;
mod table;
mod tape;
mod units;
mod view;
mod welcome;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use cli::{Cli, Command, ServeArgs};
use config::Config;
use error::{Error, told};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve(args),
        Command::CheckConfig { config, json } => check_config::check_config(config.as_deref(), json),
        Command::Status { watch, at } => command::status(&at, watch),
        Command::Library(command) => command::library(command),
        Command::Drive(command) => command::drive(command),
        Command::Task(command) => command::task(command),
        Command::Volume(command) => command::volume(command),
        Command::Pool(command) => command::pool(command),
        Command::Migrate(command) => command::migrate(command),
        Command::Restore(command) => command::restore(command),
        Command::Bucket(command) => command::bucket(command),
        Command::Doctor(args) => command::doctor(args),
        Command::Keys(command) => command::keys(command),
        Command::Rebuild(args) => log_to_stderr().and_then(|()| rebuild::rebuild(&args)),
        Command::Tape(command) => tape::run(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With standard error gone there is nobody left to tell.
            drop(writeln!(std::io::stderr(), "tapegate: {}", told(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}

fn serve(args: ServeArgs) -> Result<(), Error> {
    // Whatever is made below the data directory, objects and tapes too, is its owner's alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    log_to_stderr()?;
    let mut config = Config::load(args.config.as_deref())?;
    config.data = args.data.unwrap_or(config.data);
    config.listen = args.listen.unwrap_or(config.listen);
    config.admin_listen = args.admin_listen.unwrap_or(config.admin_listen);
    serve::serve(&config)
}

/// What is logged is decided by `TAPEGATE_LOG`, as `info` or `warn,engine=debug`.
fn log_to_stderr() -> Result<(), Error> {
    let directives = std::env::var(LOG).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::try_new(directives.as_deref().unwrap_or("info"));
    let filter = filter.map_err(|error| Error::Environment { variable: LOG, problem: error.to_string() })?;
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
    Ok(())
}

const LOG: &str = "TAPEGATE_LOG";
