//! The operator's preferences for whom reads go where: by user, by database, by application.

use super::pattern::{BadPattern, Pattern};
use crate::id::BackendId;

/// The three lists, of which the later one wins: user, database, application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Redirects {
    /// `user_redirect_preference_list`.
    pub users: Vec<Redirect>,
    /// `database_redirect_preference_list`.
    pub databases: Vec<Redirect>,
    /// `app_name_redirect_preference_list`.
    pub applications: Vec<Redirect>,
}

/// One item of a list: whoever matches reads there, at this ratio.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// Whom it is about.
    pub who: Pattern,
    /// Where to.
    pub to: Target,
    /// How many of the sessions, `0 <= ratio <= 1`; the others go elsewhere.
    pub ratio: f64,
}

/// Where reads are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// On the primary.
    Primary,
    /// On one of the standbys.
    Standby,
    /// On this node.
    Node(BackendId),
}

/// Which list a preference comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `user_redirect_preference_list`.
    User,
    /// `database_redirect_preference_list`.
    Database,
    /// `app_name_redirect_preference_list`.
    Application,
}

impl List {
    /// Returns the parameter's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user_redirect_preference_list",
            Self::Database => "database_redirect_preference_list",
            Self::Application => "app_name_redirect_preference_list",
        }
    }
}

/// What is wanted for one session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// Where to.
    pub to: Target,
    /// With this probability.
    pub ratio: f64,
    /// Who says so.
    pub list: List,
}

/// What is wrong with a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadRedirect {
    /// An item without a colon.
    NoTarget(String),
    /// What stands behind the colon is no node.
    NoNode(String),
    /// What stands in parentheses is no number between 0 and 1.
    NoRatio(String),
    /// What stands in front of the colon is no pattern.
    Pattern(BadPattern),
}

impl Redirects {
    /// Finds what is wanted for a session; `application` is what its startup packet says.
    #[must_use]
    pub fn wanted(&self, user: &str, database: &str, application: &str) -> Option<Wanted> {
        let lists = [
            (List::Application, &self.applications, application),
            (List::Database, &self.databases, database),
            (List::User, &self.users, user),
        ];
        lists.into_iter().find_map(|(list, items, name)| {
            let item = items.iter().find(|item| item.who.matches(name))?;
            Some(Wanted { to: item.to, ratio: item.ratio, list })
        })
    }
}

/// Reads a list: `pattern:node` or `pattern:node(ratio)`, with commas between the items.
///
/// # Errors
/// An item is of another shape.
pub fn read(text: &str) -> Result<Vec<Redirect>, BadRedirect> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(item).collect()
}

fn item(text: &str) -> Result<Redirect, BadRedirect> {
    let (who, target) =
        text.rsplit_once(':').ok_or_else(|| BadRedirect::NoTarget(text.to_owned()))?;
    let (node, ratio) = match target.trim().split_once('(') {
        None => (target.trim(), 1.0),
        Some((node, ratio)) => {
            let number = ratio.strip_suffix(')').and_then(|ratio| ratio.trim().parse().ok());
            let is_ratio = |ratio: &f64| (0.0..=1.0).contains(ratio);
            let number = number.filter(is_ratio);
            (node.trim(), number.ok_or_else(|| BadRedirect::NoRatio(target.to_owned()))?)
        }
    };
    let to = match node.to_ascii_lowercase().as_str() {
        "primary" => Target::Primary,
        "standby" => Target::Standby,
        number => match number.parse() {
            Ok(number) => Target::Node(BackendId(number)),
            Err(_) => return Err(BadRedirect::NoNode(node.to_owned())),
        },
    };
    let who = Pattern::new(who.trim()).map_err(BadRedirect::Pattern)?;
    Ok(Redirect { who, to, ratio })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let shown = |text: &str| {
            let items = read(text).ok()?;
            let item =
                |item: &Redirect| format!("{} {:?} {}", item.who.written(), item.to, item.ratio);
            Some(items.iter().map(item).collect::<Vec<_>>().join("; "))
        };
        let cases: &[(&str, Option<&str>)] = &[
            ("", Some("")),
            ("postgres:primary", Some("postgres Primary 1")),
            (
                "a:primary, b[01] : 2(0.3) ,c:STANDBY( 0 ),",
                Some("a Primary 1; b[01] Node(BackendId(2)) 0.3; c Standby 0"),
            ),
            ("(?:a|b):1", Some("(?:a|b) Node(BackendId(1)) 1")),
            ("a", None),
            ("a:first", None),
            ("a:-1", None),
            ("a:1(2)", None),
            ("a:1(0.5", None),
            ("a:1(NaN)", None),
            ("(:1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text).as_deref(), *expected, "{text}");
        }
    }

    #[test]
    fn the_application_counts_most() {
        let redirects = Redirects {
            users: read("bob:0,.*:1").unwrap(),
            databases: read("shop:2").unwrap(),
            applications: read("report.*:standby(0.5)").unwrap(),
        };
        let cases: &[(&str, &str, &str, Target, List)] = &[
            ("bob", "x", "psql", Target::Node(BackendId(0)), List::User),
            ("ann", "x", "psql", Target::Node(BackendId(1)), List::User),
            ("bob", "SHOP", "psql", Target::Node(BackendId(2)), List::Database),
            ("bob", "shop", "report 1", Target::Standby, List::Application),
        ];
        for (user, database, application, to, list) in cases {
            let wanted = redirects.wanted(user, database, application).unwrap();
            assert_eq!((wanted.to, wanted.list), (*to, *list), "{user} {database} {application}");
        }
        assert_eq!(Redirects::default().wanted("bob", "shop", "psql"), None);
    }
}
