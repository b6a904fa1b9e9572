//! `pgherd passwd`: composes an entry of `pool_passwd`, encrypted.

use std::io::{BufRead as _, IsTerminal as _};

use pgherd_core::auth::passwd::{self, Key};
use pgherd_core::auth::secret::Secret;
use pgherd_core::config::Files as _;
use pgherd_core::entropy::Entropy;

use crate::args::PasswdArgs;
use crate::ending::Ending;
use crate::files::Disk;
use crate::say::say;

/// Reads a password from standard input and prints the line that stores it.
pub(crate) fn passwd(args: &PasswdArgs) -> Result<(), Ending> {
    let disk = Disk::new(args.key_file.as_deref());
    let key_file = disk.key_file().ok_or_else(|| {
        Ending::CannotStart(
            "there is no key file; name one with --key-file, or make ~/.pgpoolkey with mode 0600"
                .into(),
        )
    })?;
    let path = key_file.path;
    let text = key_file.text.map_err(|fault| {
        Ending::CannotStart(format!("{path}: {fault}; the key must be readable by its owner only"))
    })?;
    let key = Key::read(&text);
    if key.is_empty() {
        return Err(Ending::CannotStart(format!("{path}: the first line, the key, is empty")));
    }
    if std::io::stdin().is_terminal() {
        eprintln!("Password for {} (it will be shown as you type):", args.user);
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Ending::CannotStart(format!("no password: {error}")))?;
    let password = Secret::new(line.trim_end_matches(['\n', '\r']));
    if password.expose().is_empty() {
        return Err(Ending::CannotStart("an empty password opens nothing".into()));
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Ending::Broken(format!("no random bytes: {error}")))?;
    let entry = passwd::encrypt(&password, &key, &mut Entropy::from_seed(seed));
    say(&format!("{}\n", passwd::line(&args.user, &entry)));
    Ok(())
}
