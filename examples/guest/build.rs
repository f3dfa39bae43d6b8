//! Builds the guest image: one more call of the compiler that builds this package, for a program
//! without an operating system, laid out by `linker.ld`.

use std::{env, path::PathBuf, process::Command};

fn main() {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let image = out.join("guest.elf");
    let script = package.join("linker.ld");
    for watched in ["kernel", "src", "linker.ld", "build.rs"] {
        println!("cargo::rerun-if-changed={watched}");
    }

    let link = format!(
        "-fuse-ld=bfd -nostartfiles -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
         -Wl,-z,max-page-size=4096 -Wl,-T,{}",
        script.display()
    );
    let mut rustc = Command::new(env::var_os("RUSTC").expect("cargo sets it"));
    rustc
        .arg(package.join("kernel/main.rs"))
        .args(["--crate-name=giantvm_guest_kernel", "--crate-type=bin"])
        .args(["--edition=2024", "--target=x86_64-unknown-linux-gnu"])
        .args([
            "-Cpanic=abort",
            "-Crelocation-model=static",
            "-Copt-level=3",
        ])
        .args(["-Cstrip=debuginfo", "-Ccodegen-units=1", "-Clinker=cc"])
        .args([
            "-Cdefault-linker-libraries=no",
            &format!("-Clink-args={link}"),
        ])
        // The same image wherever it is built; messages name files of this package.
        .arg(format!("--remap-path-prefix={}=guest", package.display()))
        .arg("-o")
        .arg(&image);
    let status = rustc
        .status()
        .expect("the compiler cargo names in RUSTC starts");
    assert!(
        status.success(),
        "the guest image does not build ({status}); it needs the target \
         x86_64-unknown-linux-gnu and a C compiler driver `cc` to link with"
    );
}
