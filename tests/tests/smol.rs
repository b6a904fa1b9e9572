//! The scenarios in reality, on smol.

mod lane;

fn main() {
    lane::main("smol");
}
