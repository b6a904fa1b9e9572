//! What is made of signs that a server is lost, or is back.

use super::Config;
use super::format::Format;
use super::settings::Settings;
use crate::time::Duration;

/// What is made of signs that a server is lost, or is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignPolicy {
    /// `failover_on_backend_error`: a session has lost a connection.
    pub error: OnError,
    /// `failover_on_backend_shutdown`: a server has said that it stops.
    pub shutdown: OnShutdown,
    /// `detach_false_primary`: a second server takes writes.
    pub rival: OnRival,
    /// `auto_failback`: a server that was lost answers again.
    pub failback: Failback,
}

/// `failover_on_backend_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The server is looked at at once.
    Look,
    /// The next look comes when it comes.
    Wait,
}

/// `failover_on_backend_shutdown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnShutdown {
    /// It is lost if one fresh look fails.
    Confirm,
    /// As many looks have to fail as of any other.
    Wait,
}

/// `detach_false_primary`. In either case it serves nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRival {
    /// It is to be made a standby by whatever is configured for that.
    Demote,
    /// It is left as it is.
    Leave,
}

/// `auto_failback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// It serves as soon as it is proved to follow the primary.
    Proved {
        /// `auto_failback_interval`: and so long has passed since it did so last.
        interval: Duration,
    },
    /// It serves when the operator attaches it.
    ByHand,
}

/// The parameters whose defaults depend on the format: Pgpool-II has them off, and whoever comes
/// with a `pgpool.conf` may have something else that does their work.
const ON_IN_TOML: [&str; 2] = ["detach_false_primary", "auto_failback"];

/// Reads the policy.
pub(super) fn policy(settings: &Settings) -> SignPolicy {
    let [detach_false_primary, auto_failback] = ON_IN_TOML;
    SignPolicy {
        error: match settings.flag("failover_on_backend_error") {
            true => OnError::Look,
            false => OnError::Wait,
        },
        shutdown: match settings.flag("failover_on_backend_shutdown") {
            true => OnShutdown::Confirm,
            false => OnShutdown::Wait,
        },
        rival: match is_on(settings, detach_false_primary) {
            true => OnRival::Demote,
            false => OnRival::Leave,
        },
        failback: match is_on(settings, auto_failback) {
            true => Failback::Proved { interval: settings.seconds("auto_failback_interval") },
            false => Failback::ByHand,
        },
    }
}

fn is_on(settings: &Settings, name: &'static str) -> bool {
    match (settings.setting(name, None), settings.format) {
        (Some(_), _) => settings.flag(name),
        (None, format) => format == Format::Toml,
    }
}

/// Shows what holds where a file says nothing.
pub(super) fn show(settings: &Settings, config: &mut Config) {
    for name in ON_IN_TOML {
        config.show_flag(name, is_on(settings, name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::tests::load_one;

    #[test]
    fn what_a_file_leaves_open_depends_on_its_format() {
        let toml = "sr_check_user = 'a'\n";
        let backend = "\n[[backends]]\nhostname = 'a'\nport = 5432\n";
        let conf = "sr_check_user = 'a'\nbackend_hostname0 = 'a'\nbackend_port0 = 5432\n";
        let proved = |seconds| Failback::Proved { interval: Duration::from_secs(seconds) };
        let cases = [
            ("pgherd.toml", format!("{toml}{backend}"), OnRival::Demote, proved(60), "on"),
            (
                "pgherd.toml",
                format!("{toml}auto_failback = false{backend}"),
                OnRival::Demote,
                Failback::ByHand,
                "off",
            ),
            ("pgpool.conf", conf.to_owned(), OnRival::Leave, Failback::ByHand, "off"),
            (
                "pgpool.conf",
                format!("{conf}auto_failback = on\nauto_failback_interval = 5\n"),
                OnRival::Leave,
                proved(5),
                "on",
            ),
        ];
        for (path, text, rival, failback, shown) in cases {
            let config = load_one(path, &text).unwrap().config;
            let expected =
                SignPolicy { error: OnError::Look, shutdown: OnShutdown::Wait, rival, failback };
            assert_eq!(config.signs, expected, "{path}");
            assert_eq!(config.shown("auto_failback").unwrap().words, shown, "{path}");
        }
    }
}
