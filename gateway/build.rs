//! The storefront is compiled in: a new file makes the crate anew.

fn main() {
    println!("cargo:rerun-if-changed=../web");
}
