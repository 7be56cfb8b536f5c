use std::process::ExitCode;

fn main() -> ExitCode {
    mailtrail::cli::main(std::env::args_os())
}
