//! The binary: parse, run, exit code.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use crossfade::cli::{self, Cli, CompleteArgs, Verb};
use crossfade::{demo, server};

/// Statements run on many threads, and allocate small things that die young.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.verb {
        Verb::Run(args) => match cli::load(args) {
            Ok(config) => {
                let args = args.clone();
                server::run(config, Box::new(move || cli::load(&args)))
            }
            Err(error) => {
                // Without stderr there is nobody to tell.
                let _ = writeln!(std::io::stderr(), "error: {}", error.message());
                for line in error.fields().detail.iter().flat_map(|d| d.lines()) {
                    let _ = writeln!(std::io::stderr(), "  {line}");
                }
                ExitCode::from(cli::exit::USAGE)
            }
        },
        Verb::Demo(args) => ExitCode::from(demo::run(args)),
        Verb::Check(args) => server::check(args),
        Verb::Assess(args) => server::assess(args),
        Verb::Complete(CompleteArgs { order, clean: Some(file) }) => server::clean(order, file),
        Verb::Translate(args) => server::translate(args),
        verb => cli::execute(verb),
    }
}
