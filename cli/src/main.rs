//! `pgherd`: one address in front of a herd of PostgreSQL servers.
//!
//! The program owns what the machines must not touch: files, environment, signals, the terminal.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

mod account;
mod admin;
mod args;
mod check;
mod completion;
mod demo;
mod dial;
mod ending;
mod files;
mod logfile;
mod logging;
mod memory;
mod moment;
mod passwd;
mod pcp;
mod personality;
mod pid;
mod rebuild;
mod run;
mod say;
mod stream;
mod terminal;

use args::{Args, Command};
use personality::Personality;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some((program, args)) = args.split_first()
        && let Some(code) = Personality::called(program).run(program, args)
    {
        return code;
    }
    let ended = match Args::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Passwd(args) => passwd::passwd(&args),
        Command::Admin(command) => admin::admin(&command),
        Command::Rebuild(args) => rebuild::rebuild(&args),
        Command::Completion(args) => {
            completion::completion(&args);
            Ok(())
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(ending) => {
            eprintln!("pgherd: {ending}");
            ending.code()
        }
    }
}
