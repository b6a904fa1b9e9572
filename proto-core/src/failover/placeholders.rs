//! The operator's commands with what they are about: `failover_command`, `failback_command` and
//! `follow_primary_command`, whose placeholders are Pgpool-II's, and `recovery_command`, which has two
//! of its own.
//!
//! Host names and data directories go into the line as they are, as in Pgpool-II, whose scripts'
//! users write `"%D"` or `%D` as they need it. They come from the configuration, never from a
//! client or a server. What a shell would not take for one word is told by [`is_one_word`].

use std::fmt::Write as _;

use crate::config::Backend;
use crate::id::BackendId;

/// What a command is about.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The node that was lost, that is back, or that is to follow: `%d`, `%h`, `%p`, `%D`.
    pub node: &'a Backend,
    /// Who takes the primary's place, or has; where no primary is lost, the usable node of the least
    /// number: `%m`, `%H`, `%r`, `%R`.
    pub new_main: Option<&'a Backend>,
    /// The usable node of the least number before: `%M`.
    pub old_main: Option<BackendId>,
    /// The primary before: `%P`, `%N`, `%S`.
    pub old_primary: Option<&'a Backend>,
    /// What else is told of the node; none but in `recovery_command`.
    pub standby: Option<Standby<'a>>,
}

/// What a standby is known by at its primary.
#[derive(Clone, Copy, Debug)]
pub struct Standby<'a> {
    /// Its `application_name`: `%a`.
    pub name: &'a str,
    /// Its replication slot: `%s`. Empty where it has none.
    pub slot: &'a str,
}

/// Fills a command's placeholders in. An unknown one leaves nothing, as in Pgpool-II.
#[must_use]
pub fn fill(command: &str, facts: &Facts<'_>) -> String {
    let (node, main, primary) = (Some(facts.node), facts.new_main, facts.old_primary);
    let mut line = String::with_capacity(command.len());
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            line.push(letter);
            continue;
        }
        match letters.next() {
            Some('d') => number(&mut line, node.map(|node| node.id)),
            Some('h') => word(&mut line, node.map(|node| node.hostname.as_str())),
            Some('p') => port(&mut line, node),
            Some('D') => word(&mut line, node.map(|node| node.data_directory.as_str())),
            Some('m') => number(&mut line, main.map(|main| main.id)),
            Some('H') => word(&mut line, main.map(|main| main.hostname.as_str())),
            Some('r') => port(&mut line, main),
            Some('R') => word(&mut line, main.map(|main| main.data_directory.as_str())),
            Some('M') => number(&mut line, facts.old_main),
            Some('P') => number(&mut line, primary.map(|primary| primary.id)),
            Some('N') => word(&mut line, primary.map(|primary| primary.hostname.as_str())),
            Some('S') => port(&mut line, primary),
            Some('a') => of_standby(&mut line, facts, |standby| standby.name),
            Some('s') => of_standby(&mut line, facts, |standby| standby.slot),
            Some('%') => line.push('%'),
            Some(_) | None => {}
        }
    }
    line
}

/// A node's number, -1 for none.
fn number(line: &mut String, id: Option<BackendId>) {
    let written = match id {
        Some(id) => write!(line, "{id}"),
        None => write!(line, "-1"),
    };
    debug_assert!(written.is_ok(), "text can always be added to");
}

/// A text, or an empty word, so that those behind it keep their places.
fn word(line: &mut String, text: Option<&str>) {
    match text {
        Some(text) if !text.is_empty() => line.push_str(text),
        Some(_) | None => line.push_str("\"\""),
    }
}

fn of_standby<'a>(line: &mut String, facts: &Facts<'a>, what: fn(Standby<'a>) -> &'a str) {
    if let Some(standby) = facts.standby {
        word(line, Some(what(standby)));
    }
}

fn port(line: &mut String, of: Option<&Backend>) {
    word(line, of.map(|backend| backend.port.to_string()).as_deref());
}

/// Tells whether a shell takes a text for one word that means itself.
#[must_use]
pub fn is_one_word(text: &str) -> bool {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-:,+@%=".contains(letter);
    text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FailoverFlag;
    use crate::time::Duration;

    fn backend(id: u8, hostname: &str, data_directory: &str) -> Backend {
        Backend {
            id: BackendId(id),
            hostname: hostname.to_owned(),
            port: 5432 + u16::from(id),
            weight: 1.0,
            data_directory: data_directory.to_owned(),
            application_name: String::new(),
            failover: FailoverFlag::Allow,
            always_primary: false,
            priority: 1,
            connect_timeout: Duration::from_secs(1),
        }
    }

    const TUTORIAL: &str = "/etc/pgpool-II/failover.sh %d %h %p %D %m %H %M %P %r %R %N %S";

    #[test]
    fn placeholders_are_filled_in() {
        let old = backend(0, "pg1", "/pgdata/0");
        let new = backend(1, "pg2", "/pgdata/1");
        let standby = backend(2, "/run/postgresql", "/pg data/$2");
        let bare = backend(3, "pg4", "");
        let lost = Facts {
            node: &old,
            new_main: Some(&new),
            old_main: Some(BackendId(0)),
            old_primary: Some(&old),
            standby: None,
        };
        let known = Some(Standby { name: "node1", slot: "pgherd_1" });
        let recovered = Facts { standby: known, ..lost };
        let nameless = Facts { standby: Some(Standby { name: "", slot: "" }), ..lost };
        let alone = Facts { new_main: None, old_main: None, old_primary: None, ..lost };
        let follow = Facts { node: &standby, ..lost };
        let unset = Facts { node: &bare, new_main: Some(&bare), ..lost };
        let cases: &[(&str, &Facts<'_>, &str)] = &[
            ("%d", &lost, "0"),
            ("%h", &lost, "pg1"),
            ("%p", &lost, "5432"),
            ("%D", &lost, "/pgdata/0"),
            ("%m", &lost, "1"),
            ("%H", &lost, "pg2"),
            ("%r", &lost, "5433"),
            ("%R", &lost, "/pgdata/1"),
            ("%M", &lost, "0"),
            ("%P", &follow, "0"),
            ("%N", &follow, "pg1"),
            ("%S", &follow, "5432"),
            ("date +%%s", &lost, "date +%s"),
            ("%%d", &lost, "%d"),
            ("%a|%s", &lost, "|"),
            ("%d|%a|%s|%m", &recovered, "0|node1|pgherd_1|1"),
            ("%a|%s", &nameless, "\"\"|\"\""),
            ("no placeholder", &lost, "no placeholder"),
            ("", &lost, ""),
            ("--id=%d,%%", &lost, "--id=0,%"),
            ("a%xb%éc", &lost, "abc"),
            ("at the end %", &lost, "at the end "),
            ("%%%d%%", &lost, "%0%"),
            ("%m|%H|%r|%R", &alone, "-1|\"\"|\"\"|\"\""),
            ("%M|%P|%N|%S", &alone, "-1|-1|\"\"|\"\""),
            ("%D %R", &unset, "\"\" \"\""),
            ("%h '%D'", &follow, "/run/postgresql '/pg data/$2'"),
            (
                TUTORIAL,
                &lost,
                "/etc/pgpool-II/failover.sh 0 pg1 5432 /pgdata/0 1 pg2 0 0 5433 /pgdata/1 pg1 5432",
            ),
            (
                TUTORIAL,
                &alone,
                "/etc/pgpool-II/failover.sh 0 pg1 5432 /pgdata/0 -1 \"\" -1 -1 \"\" \"\" \"\" \"\"",
            ),
        ];
        for (command, facts, line) in cases {
            assert_eq!(fill(command, facts), *line, "{command}");
        }
    }

    #[test]
    fn what_a_shell_would_take_apart_is_known() {
        for plain in ["pg1.example.com", "/pgdata/17/data", "::1", "fe80::1%eth0", ""] {
            assert!(is_one_word(plain), "{plain}");
        }
        for odd in ["/pg data", "$HOME", "a;b", "`x`", "~", "a*", "'", "a\nb", "a&b", "(x)"] {
            assert!(!is_one_word(odd), "{odd}");
        }
    }
}
