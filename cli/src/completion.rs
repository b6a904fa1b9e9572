//! `pgherd completion`: scripts that have shells complete its commands.

use clap::CommandFactory as _;
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};

use crate::args::{Args, CompletionArgs, Shell};
use crate::say::say;

/// Prints the script for a shell.
pub(crate) fn completion(args: &CompletionArgs) {
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    match args.shell {
        Shell::Bash => generate(Bash, &mut command, name, &mut script),
        Shell::Zsh => generate(Zsh, &mut command, name, &mut script),
        Shell::Fish => generate(Fish, &mut command, name, &mut script),
    }
    say(&String::from_utf8_lossy(&script));
}
