//! The scenarios in reality, on glommio.

mod lane;

fn main() {
    lane::main("glommio");
}
