//! The migrations are compiled in: a new one makes the crate anew.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
