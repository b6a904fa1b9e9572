//! `pgherd`: one address in front of a herd of PostgreSQL servers.
//!
//! The program owns what the machines must not touch: files, environment, signals, the terminal.

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod check;
mod demo;
mod dial;
mod ending;
mod files;
mod logging;
mod passwd;
mod pid;
mod run;
mod say;

use args::{Args, Command};

fn main() -> ExitCode {
    let ended = match Args::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Passwd(args) => passwd::passwd(&args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(ending) => {
            eprintln!("pgherd: {ending}");
            ending.code()
        }
    }
}
