//! Who runs the program.

/// Finds the name of the user who runs this, as the accounts of this machine have it.
///
/// # Errors
/// The name is nowhere to be found.
pub(crate) fn own_name() -> Result<String, String> {
    let uid = rustix::process::geteuid().as_raw();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&accounts, uid)
        // Accounts may come from elsewhere than that file. Whoever logged in has a name then.
        .or_else(|| std::env::var("USER").ok())
        .ok_or_else(|| format!("user {uid} has no name"))
}

fn named(accounts: &str, uid: u32) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_the_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\n#\nbad\npg:x:70:71::/:\nother:x:70:0::/:\n";
        let cases = [(0, Some("root")), (70, Some("pg")), (71, None)];
        for (uid, name) in cases {
            assert_eq!(named(accounts, uid).as_deref(), name, "{uid}");
        }
    }
}
