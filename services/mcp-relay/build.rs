//! Has the linker put the functions next to each other that a proxy or slave calls, so that fewer pages of the program are in memory.

use std::env;

/// The linker script, made by `make link-order`.
const ORDER: &str = "link-order.ld";

fn main() {
    println!("cargo::rerun-if-changed={ORDER}");
    for variable in ["RUSTC_LINKER", "CARGO_ENCODED_RUSTFLAGS"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    let is_measured = is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("PROFILE", "release");
    // A linker that somebody has chosen may be one that reads no linker scripts, as mold.
    let is_usual = env::var_os("RUSTC_LINKER").is_none()
        && env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| !flags.contains("-fuse-ld"));
    if let (true, Ok(folder)) = (is_measured && is_usual, env::var("CARGO_MANIFEST_DIR")) {
        // Two arguments, which the compiler driver hands on as they are: in one with `-Wl,` a comma of the path would end it.
        println!("cargo::rustc-link-arg-bins=-T");
        println!("cargo::rustc-link-arg-bins={folder}/{ORDER}");
    }
}
