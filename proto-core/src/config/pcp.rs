//! PCP, Pgpool-II's protocol for administrators: where it is served, and to whom.

use super::files::Files;
use super::findings::Findings;
use super::lookup::lookup;
use super::mistake::{Herd, Mistake};
use super::policies::blame;
use super::settings::Settings;
use crate::auth::pcp::{BadLine, Users};

/// Where PCP is served, to whom, and for which programs.
#[derive(Clone, Debug, Default)]
pub struct PcpPolicy {
    /// `pcp_listen_addresses`: where programs connect; `*` is every address, empty is none.
    pub listen_addresses: Vec<String>,
    /// `pcp_port`: TCP port for programs, and the name of the Unix socket.
    pub port: u16,
    /// `pcp_socket_dir`: where sockets for programs are made.
    pub socket_directories: Vec<String>,
    /// `pcp_dialect`: which programs are to understand what they are told.
    pub dialect: Dialect,
    /// The users of `pcp.conf`.
    pub users: Users,
}

/// Which clients are to understand the replies: there is no negotiation, and neither understands
/// the other's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Pgpool-II's programs up to 4.3: 12 fields tell of a node.
    V43,
    /// Those from 4.4 on: 13 fields, with the unit of the delay.
    #[default]
    V44,
}

impl PcpPolicy {
    /// Tells whether PCP is served: where nobody may log in, nobody need knock.
    #[must_use]
    pub const fn is_served(&self) -> bool {
        !self.users.is_empty()
    }
}

/// Tells where a configuration has PCP served, for a tool that asks there; its users, which are
/// nobody else's business, are not looked at.
///
/// # Errors
/// As of [`text`](super::text).
pub fn pcp_doors(path: &str, files: &dyn Files) -> Result<PcpPolicy, Vec<Mistake>> {
    lookup(path, files).map(|settings| doors(&settings))
}

/// Makes the policy, with the users of the file that there is.
pub(super) fn policy(settings: &Settings, files: &dyn Files, findings: &mut Findings) -> PcpPolicy {
    let policy = PcpPolicy { users: users(&settings.path, files, findings), ..doors(settings) };
    if policy.is_served() && u64::from(policy.port) == settings.number("port", None) {
        blame(settings, "pcp_port", Herd::PcpPort, findings);
    }
    policy
}

fn doors(settings: &Settings) -> PcpPolicy {
    PcpPolicy {
        listen_addresses: settings.list("pcp_listen_addresses", None),
        port: u16::try_from(settings.number("pcp_port", None)).unwrap_or_default(),
        socket_directories: settings.list("pcp_socket_dir", None),
        dialect: match settings.choice("pcp_dialect") {
            Some("4.3") => Dialect::V43,
            _ => Dialect::V44,
        },
        users: Users::default(),
    }
}

fn users(path: &str, files: &dyn Files, findings: &mut Findings) -> Users {
    let Some(file) = files.pcp_file(path) else { return Users::default() };
    match files.read(&file).map(|text| Users::parse(&text)) {
        Ok(Ok(users)) => return users,
        Ok(Err(BadLine { line, why })) => {
            findings.mistake(&file, Some(line), None, Herd::PcpLine(why));
        }
        Err(why) => findings.mistake(&file, None, None, Herd::PcpFile(why)),
    }
    Users::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::tests::Texts;
    use crate::config::load;

    const DIGEST: &str = "3090be164580c74a25efe7abdf542eb2";

    fn toml(settings: &str) -> String {
        format!("sr_check_user = \"a\"\n{settings}\n[[backends]]\nhostname = \"a\"\nport = 5432\n")
    }

    #[test]
    fn the_policy_is_read_with_its_users() {
        let text = toml(
            "pcp_port = 9000\npcp_listen_addresses = \"*\"\npcp_socket_dir = \"\"\n\
             pcp_dialect = \"4.3\"",
        );
        let users = format!("# who\nadmin:{DIGEST}\n");
        let files = Texts::new(&[("/etc/pgherd.toml", &text), ("/etc/pcp.conf", &users)]);
        let config = load("/etc/pgherd.toml", &files).expect("it is right").config;
        let expected = (vec!["*".to_owned()], 9000, Dialect::V43, true);
        let PcpPolicy { listen_addresses, port, socket_directories, dialect, users } = config.pcp;
        assert_eq!((listen_addresses, port, dialect, !users.is_empty()), expected);
        assert!(socket_directories.is_empty());

        // Whoever only asks there need not be able to read who may.
        let sealed = Texts::new(&[("/etc/pgherd.toml", &text), ("/etc/pcp.conf", "sealed")]);
        let doors = pcp_doors("/etc/pgherd.toml", &sealed).expect("it is right");
        assert_eq!((&*doors.listen_addresses, doors.port), (&["*".to_owned()][..], 9000));
        assert!(pcp_doors("absent", &sealed).is_err());

        let plain = toml("");
        let loaded = load("pgherd.toml", &Texts::new(&[("pgherd.toml", &plain)]));
        let pcp = loaded.expect("it is right").config.pcp;
        assert_eq!((pcp.port, pcp.dialect, pcp.is_served()), (9898, Dialect::V44, false));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_no_secret() {
        let good = format!("admin:{DIGEST}");
        let cases: [(&str, &str, &str); 3] = [
            (
                "",
                "admin:geheim",
                "/etc/pcp.conf:1: what follows the colon is not 32 hexadecimal digits; a line is \
                 user:digest, where the digest is what pg_md5 PASSWORD prints",
            ),
            (
                "pcp_port = 9999",
                &good,
                "/etc/pgherd.toml:2: pcp_port: it is the port for clients as well; choose another \
                 one; Pgpool-II's is 9898",
            ),
            ("", "#\nadmin", "/etc/pcp.conf:2: there is no colon; a line is "),
        ];
        for (settings, users, expected) in cases {
            let text = toml(settings);
            let files = Texts::new(&[("/etc/pgherd.toml", &text), ("/etc/pcp.conf", users)]);
            let rejected = load("/etc/pgherd.toml", &files).expect_err("it is wrong");
            let told: Vec<String> = rejected.mistakes.iter().map(ToString::to_string).collect();
            assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
        }
    }
}
