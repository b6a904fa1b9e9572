//! What is said and done so that a node that is out of service becomes a standby again: by the
//! scripts of Pgpool-II's extension. When it is done, and what comes of it, is the control plane's
//! business.

pub mod extension;
