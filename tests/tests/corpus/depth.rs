//! The deepest statements that are parsed fit a small stack: a shard's thread has 2 MiB.

use std::thread::Builder;

use pgherd_core::route::class::Reason;
use pgherd_core::route::classify::{QUERY_TERMS_MAX, classify};
use pgherd_core::route::lore::Lore;
use pgherd_core::route::rules::Rules;

/// In bytes.
const SMALL_STACK: usize = 1024 * 1024;

#[test]
fn deep_trees_fit_the_stack() {
    let count = QUERY_TERMS_MAX - 20;
    let chains = [
        format!("select 1{}", " + 1".repeat(count)),
        format!("select a{}", " or a".repeat(count / 2)),
        format!("select 1{}", " union select 1".repeat(count / 2)),
        format!("select a{}", "::int".repeat(count / 3)),
        format!("select a{}", " is null".repeat(count / 2)),
        format!("select {} a", "not ".repeat(count)),
        format!("select {} 1", "- ".repeat(count)),
    ];
    for chain in chains {
        let reason = move || classify(chain.as_bytes(), &Lore::bare(&Rules::default())).reason;
        let small = Builder::new().stack_size(SMALL_STACK).spawn(reason);
        let reason = small.expect("a thread can be started").join().expect("the stack is enough");
        assert!(!matches!(reason, Reason::TooComplex { .. }), "{reason}");
    }
}
