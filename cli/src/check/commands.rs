//! The operator's commands: whether they are there and can be run, and what a shell makes of them.

use std::fs;
use std::io;
use std::path::Path;

use pgherd_core::config::{Backend, Config, RecoveryMode};
use pgherd_core::failover::placeholders::is_one_word;
use rustix::fs::{Access, access};

/// What there is to say about the commands, and how many of them cannot be run.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) lines: Vec<String>,
    pub(super) failures: usize,
}

/// Looks at every command that begins with a path. What others begin with, a shell will find or not.
pub(super) fn look(config: &Config) -> Findings {
    let commands = &config.commands;
    let recovery = match &config.recovery.mode {
        RecoveryMode::Command(command) => Some(command),
        RecoveryMode::Extension | RecoveryMode::Off => None,
    };
    let all = [
        ("failover_command", commands.failover.as_ref()),
        ("follow_primary_command", commands.follow_primary.as_ref()),
        ("failback_command", commands.failback.as_ref()),
        ("recovery_command", recovery),
    ];
    let mut findings = Findings::default();
    for (name, command) in all {
        let Some(command) = command else { continue };
        let program = command.line.split_whitespace().next().unwrap_or_default();
        if program.starts_with('/') && is_one_word(program) && !program.contains(['%', '=']) {
            let line = match can_run(Path::new(program)) {
                Ok(()) => format!("{name}: {program} can be run"),
                Err(error) => {
                    findings.failures += 1;
                    format!(
                        "{name}: {program} cannot be run by this user: {error}; put it there and make \
                         it executable"
                    )
                }
            };
            findings.lines.push(line);
        }
        let odd = config.backends.iter().flat_map(|backend| odd_words(&command.line, backend));
        findings.lines.extend(odd.map(|odd| format!("{name}: {odd}")));
    }
    findings
}

fn can_run(program: &Path) -> io::Result<()> {
    if fs::metadata(program)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(access(program, Access::EXEC_OK)?)
}

/// Names what of a node a shell would take apart, where the command mentions it.
fn odd_words(line: &str, backend: &Backend) -> Vec<String> {
    let id = backend.id;
    let words = [
        ("backend_hostname", &backend.hostname, ["%h", "%H", "%N"].as_slice()),
        ("backend_data_directory", &backend.data_directory, &["%D", "%R"]),
        ("backend_application_name", &backend.application_name, &["%a"]),
    ];
    let is_odd = |(_, value, places): &(_, &String, &[&str])| {
        !is_one_word(value) && places.iter().any(|place| line.contains(place))
    };
    let odd = words.into_iter().filter(is_odd);
    odd.map(|(key, value, places)| {
        let place = places.iter().find(|place| line.contains(**place)).unwrap_or(&"%D");
        format!("a shell takes {key}{id} \"{value}\" apart: write '{place}' in quotes")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use pgherd_core::config::Command;
    use pgherd_core::time::Duration;

    use super::*;
    use crate::files::Disk;

    fn config(line: &str, directory: &str) -> Config {
        let dir = std::env::temp_dir().join(format!("pgherd-check-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join(format!("{}.toml", directory.len()));
        let text = format!(
            "sr_check_user = \"u\"\n[[backends]]\nhostname = \"db\"\nport = 5432\n\
             data_directory = \"{directory}\"\n"
        );
        fs::write(&path, text).unwrap();
        let mut config = crate::files::read(&path, &Disk::new(None)).unwrap().0;
        fs::remove_dir_all(&dir).unwrap();
        let within = Duration::from_secs(1);
        config.commands.failover = Some(Command { line: line.to_owned(), within });
        config
    }

    #[test]
    fn what_cannot_be_run_is_found() {
        let cases: &[(&str, &str, usize, &[&str])] = &[
            ("/bin/sh -c 'exit %d'", "/pgdata", 0, &["/bin/sh can be run"]),
            ("/no/such/script.sh %d", "/pgdata", 1, &["cannot be run by this user"]),
            ("/tmp %d", "/pgdata", 1, &["cannot be run by this user"]),
            ("ssh %h promote", "/pgdata", 0, &[]),
            ("'/opt/my scripts/x' %d", "/pgdata", 0, &[]),
            ("promote %D", "/pg data", 0, &["write '%D' in quotes"]),
            ("promote %d", "/pg data", 0, &[]),
        ];
        for (line, directory, failures, said) in cases {
            let findings = look(&config(line, directory));
            assert_eq!(findings.failures, *failures, "{line}: {findings:?}");
            assert_eq!(findings.lines.len(), said.len(), "{line}: {findings:?}");
            for (line, said) in findings.lines.iter().zip(*said) {
                assert!(line.contains(said), "{line}");
            }
        }
    }
}
