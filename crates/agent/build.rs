//! Compiles the BPF programs with clang. `make` installs clang and libbpf's headers where they are missing.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

fn main() -> Result<(), Box<dyn Error>> {
    let source = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../bpf");
    println!("cargo:rerun-if-changed={}", source.display());
    let target = env::var("CARGO_CFG_TARGET_ARCH")?;
    let include = format!("-I/usr/include/{target}-linux-gnu");
    for name in ["sekimori", "clock"] {
        compile(&source.join(format!("{name}.bpf.c")), &include)?;
    }
    Ok(())
}

fn compile(source: &Path, include: &str) -> Result<(), Box<dyn Error>> {
    let object = PathBuf::from(env::var("OUT_DIR")?).join(source.file_name().unwrap_or_default()).with_extension("o");
    let status = Command::new(env::var("CLANG").unwrap_or_else(|_| "clang".to_owned()))
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror", include, "-c"])
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
