use std::process::ExitCode;

fn main() -> ExitCode {
    give_back_what_is_large();
    mailtrail::cli::main(std::env::args_os())
}

/// Blocks of a megabyte and more are mapped by themselves, so that the system has them back the moment they are free.
/// Left to itself glibc maps only what is larger than anything that was freed before, up to 32 MiB, and keeps the rest
/// in heaps of its own: after some large bodies at the same time the process would hold hundreds of megabytes for good.
///
/// The only unsafe code: no crate has a safe name for it.
fn give_back_what_is_large() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it sets a number within the C library; no other thread is there yet.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20) };
    }
}
