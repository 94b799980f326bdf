//! Compiles the programs that Sekimori's are compared with: one that does nothing, and other ways to search.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo:rerun-if-changed={}", dir.join("../bpf").display());
    for name in ["empty.bpf.c", "search.bpf.c"] {
        compile(&dir.join(name))?;
    }
    Ok(())
}

fn compile(source: &Path) -> Result<(), Box<dyn Error>> {
    let object = PathBuf::from(env::var("OUT_DIR")?).join(source.file_name().unwrap_or_default()).with_extension("o");
    println!("cargo:rerun-if-changed={}", source.display());
    let include = format!("-I/usr/include/{}-linux-gnu", env::var("CARGO_CFG_TARGET_ARCH")?);
    let status = Command::new(env::var("CLANG").unwrap_or_else(|_| "clang".to_owned()))
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", &include, "-c"])
        .arg(source)
        .arg("-o")
        .arg(&object)
        .status()
        .map_err(|error| format!("cannot run clang: {error}; install the packages clang and libbpf-dev"))?;
    if !status.success() {
        return Err(format!("clang could not compile {}", source.display()).into());
    }
    Ok(())
}
