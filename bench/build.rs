//! Compiles the program that does nothing, which the others are compared with.

use std::{env, error::Error, path::PathBuf, process::Command};

fn main() -> Result<(), Box<dyn Error>> {
    let source = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("empty.bpf.c");
    let object = PathBuf::from(env::var("OUT_DIR")?).join("empty.bpf.o");
    println!("cargo:rerun-if-changed={}", source.display());
    let include = format!("-I/usr/include/{}-linux-gnu", env::var("CARGO_CFG_TARGET_ARCH")?);
    let status = Command::new(env::var("CLANG").unwrap_or_else(|_| "clang".to_owned()))
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", &include, "-c"])
        .arg(&source)
        .arg("-o")
        .arg(&object)
        .status()
        .map_err(|error| format!("cannot run clang: {error}; install the packages clang and libbpf-dev"))?;
    if !status.success() {
        return Err(format!("clang could not compile {}", source.display()).into());
    }
    Ok(())
}
