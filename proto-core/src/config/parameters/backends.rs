//! The backend nodes.

use super::{Kind, Parameter, count, list, port, text};

/// The greatest priority: more grades than there can be nodes.
const PRIORITY: i64 = 1000;

pub(super) const TABLE: &[Parameter] = &[
    text("backend_hostname", "").node().now(),
    port("backend_port", 1024).node().now(),
    Parameter::new("backend_weight", Kind::Real { min: 0.0, max: 100_000_000.0 }, Some("0"))
        .node()
        .now(),
    text("backend_data_directory", "").node().now(),
    list("backend_flag", '|', "ALLOW_TO_FAILOVER").node().now(),
    count("backend_priority", 0, PRIORITY, "1").node().now(),
    text("backend_application_name", "").node().now(),
];
