//! Where statements go, from the settings.

use super::findings::Findings;
use super::format::Format;
use super::mistake::Unfit;
use super::policies::blame;
use super::settings::Settings;
use crate::route::balance::{Delay, Instead};
use crate::route::pattern::Pattern;
use crate::route::recent::Tracking;
use crate::route::redirect::{self, Redirect, Redirects};
use crate::route::rules::{Comments, FunctionRule, Rules};
use crate::route::writes::{Balancing, Dependents, OnWrite, TransactionReads};

/// Where statements go.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingPolicy {
    /// `load_balance_mode`.
    pub load_balance: bool,
    /// `statement_level_load_balance`.
    pub level: Level,
    /// What the operator says of functions, texts and comments.
    pub rules: Rules,
    /// `disable_load_balance_on_write`, `transaction_reads`,
    /// `dml_adaptive_object_relationship_list`.
    pub balancing: Balancing,
    /// Whom the lists send where.
    pub redirects: Redirects,
    /// `delay_threshold`, `delay_threshold_by_time`, `prefer_lower_delay_standby`.
    pub delay: Delay,
    /// `track_table_mutation_…`.
    pub tracking: Tracking,
}

/// `statement_level_load_balance`: how often the node to read from is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Once for a session.
    #[default]
    Session,
    /// For every statement.
    Statement,
}

/// Makes the policy of routing.
pub(super) fn routing(settings: &Settings, findings: &mut Findings) -> RoutingPolicy {
    let instead = match settings.flag("prefer_lower_delay_standby") {
        true => Instead::LeastDelayed,
        false => Instead::Primary,
    };
    let staleness_max = settings.milliseconds("track_table_mutation_max_staleness");
    RoutingPolicy {
        load_balance: settings.flag("load_balance_mode"),
        level: match settings.flag("statement_level_load_balance") {
            true => Level::Statement,
            false => Level::Session,
        },
        rules: rules(settings, findings),
        balancing: balancing(settings, findings),
        redirects: Redirects {
            users: redirects(settings, "user_redirect_preference_list", findings),
            databases: redirects(settings, "database_redirect_preference_list", findings),
            applications: redirects(settings, "app_name_redirect_preference_list", findings),
        },
        delay: Delay {
            bytes: settings.number("delay_threshold", None),
            time: settings.milliseconds("delay_threshold_by_time"),
            instead,
        },
        tracking: Tracking {
            ttl_factor: settings.real("track_table_mutation_ttl_factor"),
            staleness_max: Some(staleness_max).filter(|max| !max.is_zero()),
            cold_start: settings.milliseconds("track_table_mutation_cold_start_duration"),
            tables_max: settings.count("track_table_mutation_table_size"),
        },
    }
}

fn rules(settings: &Settings, findings: &mut Findings) -> Rules {
    let mut list = |name| patterns(settings, name, findings);
    let (reading, writing) = (list("read_only_function_list"), list("write_function_list"));
    // As in Pgpool-II, the first list silences the second.
    let functions = if !reading.is_empty() {
        FunctionRule::ReadOnly(reading)
    } else if !writing.is_empty() {
        FunctionRule::Writing(writing)
    } else {
        FunctionRule::Catalog
    };
    let stateless = list("stateless_function_list");
    let texts = list("primary_routing_query_pattern_list");
    let comments = match settings.flag("allow_sql_comments") {
        true => Comments::Ignored,
        false => Comments::Bind,
    };
    Rules::new(functions, stateless, texts, comments)
}

fn patterns(settings: &Settings, name: &'static str, findings: &mut Findings) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for written in settings.list(name, None) {
        match Pattern::new(&written) {
            Ok(pattern) => patterns.push(pattern),
            Err(bad) => {
                blame(settings, name, Unfit::BadPattern { written, why: bad.why }, findings);
            }
        }
    }
    patterns
}

fn redirects(settings: &Settings, name: &'static str, findings: &mut Findings) -> Vec<Redirect> {
    match redirect::read(&settings.text(name, None)) {
        Ok(redirects) => redirects,
        Err(bad) => {
            blame(settings, name, Unfit::BadRedirect(bad), findings);
            Vec::new()
        }
    }
}

fn balancing(settings: &Settings, findings: &mut Findings) -> Balancing {
    let on_write = match settings.choice("disable_load_balance_on_write") {
        Some("off") => OnWrite::Off,
        Some("trans_transaction") => OnWrite::TransTransaction,
        Some("always") => OnWrite::Always,
        Some("dml_adaptive") => OnWrite::DmlAdaptive,
        Some("dml_adaptive_global") => OnWrite::DmlAdaptiveGlobal,
        Some(_) | None => OnWrite::Transaction,
    };
    // A pgpool.conf was written for Pgpool-II's rule, and says nothing about ours.
    let is_given = settings.given("transaction_reads", None).is_some();
    let transaction_reads = match (settings.choice("transaction_reads"), settings.format) {
        (Some("until_write"), _) => TransactionReads::UntilWrite,
        (_, Format::Pgpool) if !is_given => TransactionReads::UntilWrite,
        (_, Format::Pgpool | Format::Toml) => TransactionReads::Primary,
    };
    let name = "dml_adaptive_object_relationship_list";
    let dependents = Dependents::read(&settings.text(name, None)).unwrap_or_else(|| {
        blame(settings, name, Unfit::BadRelationships, findings);
        Dependents::default()
    });
    Balancing { on_write, transaction_reads, dependents }
}

#[cfg(test)]
mod tests;
