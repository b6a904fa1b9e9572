//! How the primary is reached: by libpq's ways, now by programs and later by the standby.

use std::env;

use pgherd_core::failover::conninfo::compose;

/// What of the environment programs may know, and what the standby is told instead: its server lives
/// longer than this environment.
const INHERITED: [(&str, &str); 10] = [
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCRL", "sslcrl"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGKRBSRVNAME", "krbsrvname"),
];

/// Whether a variable of the environment says how to log in. All others of libpq's, such as
/// `PGOPTIONS`, would lead programs astray.
pub(super) fn is_inherited(variable: &str) -> bool {
    INHERITED.iter().any(|(name, _)| *name == variable)
}

/// Whom to ask, and as whom.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
}

impl Access {
    /// A connection string for programs, which have the rest from their environment.
    pub(super) fn for_programs(&self) -> String {
        let port = self.port.to_string();
        compose(&[
            ("host", self.host.as_str()),
            ("port", &port),
            ("user", &self.user),
            ("dbname", "postgres"),
            ("application_name", "pgherd_rebuild"),
            ("connect_timeout", CONNECT_TIMEOUT),
        ])
    }

    /// `primary_conninfo` of the standby.
    pub(super) fn for_standby(&self, application_name: Option<&str>) -> String {
        self.standby(application_name, |variable| env::var(variable).ok())
    }

    fn standby(
        &self,
        application_name: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> String {
        let mut pairs = vec![
            ("host", self.host.clone()),
            ("port", self.port.to_string()),
            ("user", self.user.clone()),
        ];
        pairs.extend(application_name.map(|name| ("application_name", name.to_owned())));
        for (name, keyword) in INHERITED {
            pairs.extend(variable(name).filter(|value| !value.is_empty()).map(|it| (keyword, it)));
        }
        let pairs: Vec<(String, String)> =
            pairs.into_iter().map(|(keyword, value)| (keyword.to_owned(), value)).collect();
        compose(&pairs)
    }
}

/// How long a server may take to let somebody in, in seconds. Longer than any network is slow.
const CONNECT_TIMEOUT: &str = "10";

#[cfg(test)]
mod tests {
    use super::*;

    /// Its name, variables of the environment, and what it is told.
    type Case = (Option<&'static str>, &'static [(&'static str, &'static str)], &'static str);

    #[test]
    fn the_standby_is_told_what_its_server_will_not_find_in_the_environment() {
        let access = Access { host: "db1".into(), port: 5432, user: "r".into() };
        let cases: [Case; 4] = [
            (None, &[], "host=db1 port=5432 user=r"),
            (Some("node 1"), &[], "host=db1 port=5432 user=r application_name='node 1'"),
            (None, &[("PGPASSWORD", "it's")], "host=db1 port=5432 user=r password='it\\'s'"),
            (
                None,
                &[("PGPASSWORD", ""), ("PGSSLMODE", "verify-full"), ("PGOPTIONS", "-c x=y")],
                "host=db1 port=5432 user=r sslmode=verify-full",
            ),
        ];
        for (name, variables, expected) in cases {
            let find = |wanted: &str| {
                let found = variables.iter().find(|(name, _)| *name == wanted);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(access.standby(name, find), expected);
        }
        assert!(is_inherited("PGPASSFILE") && !is_inherited("PGOPTIONS"));
    }
}
