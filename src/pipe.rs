//! Output that nobody reads any more, as with `ludoteca verify | head`.

use std::panic;
use std::process::exit;

/// What a shell reports of a program that SIGPIPE ended: 128 and the signal's number.
const SIGPIPE: i32 = 141;

/// Ends the program without a word when standard output is closed. Rust ignores SIGPIPE, which a server needs, so that
/// `println!` panics instead.
pub(crate) fn exit_quietly_on_broken_pipe() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        let said = panicked.payload_as_str().unwrap_or_default();
        if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
            exit(SIGPIPE);
        }
        report(panicked);
    }));
}
