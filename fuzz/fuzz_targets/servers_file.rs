//! `mcpServers` files from any bytes: no panic, no value of a variable in a problem or a warning, and strictness changes only whether entries
//! that cannot be used spoil the file.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use slave::backends::servers_file::{self, ServersFile};
use slave::config::Strictness;

/// Stands for a secret of the environment.
const SECRET: &str = "k9#canary";

fn names(file: &ServersFile) -> Vec<String> {
    file.servers.iter().map(|server| format!("{server:?}")).collect()
}

fuzz_target!(|data: &[u8]| {
    let variable = |name: &str| (name != "UNSET").then(|| SECRET.to_owned());
    let read = |strictness| servers_file::read(Path::new("f"), Ok(data), strictness, variable);
    let (lenient, strict) = (read(Strictness::Entry), read(Strictness::File));
    let said = match &lenient {
        Ok(file) => {
            // Of an entry that is there twice, the one that can be used counts.
            assert!(!file.problems.is_empty() || file.refused.is_empty(), "{file:?}");
            [&file.problems[..], &file.warnings[..]].concat()
        }
        Err(error) => error.problems.clone(),
    };
    let quoted = data.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes());
    assert!(quoted || said.iter().all(|words| !words.contains(SECRET)), "{said:?}");
    match (lenient, strict) {
        (Ok(lenient), Ok(strict)) => assert_eq!(names(&lenient), names(&strict)),
        (Ok(lenient), Err(_)) => assert!(!lenient.problems.is_empty()),
        (Err(_), Ok(_)) => panic!("strictness lets more in"),
        (Err(_), Err(_)) => {}
    }
});
