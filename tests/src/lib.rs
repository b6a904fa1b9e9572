//! The scenarios of pgherd, and the worlds in which they are played.

pub mod world;
