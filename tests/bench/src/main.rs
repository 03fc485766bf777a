//! The bench of the real server: `bench ports` names free loopback ports, `bench run` measures a running server,
//! `bench stub` is a store that costs next to nothing, and `bench pass` compares servers in front of it.
//!
//! Words: a *cell* is one kind of request at one size and concurrency; a *limit* is what the machine does with the
//! same bytes and none of our code; a *row* is one figure of either.
//!
//! Flow of a run: wait for the server -> limits -> cells -> to tape and back -> table.
//!
//! Not here: starting and ending the server (`run.sh`).

mod cells;
mod client;
mod data;
mod error;
mod limit;
mod load;
mod meter;
mod pass;
mod pipeline;
mod report;
mod stub;
mod tape;
mod wire;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use http::Method;

use client::{Ask, Target};
use data::{Contents, Size};
use error::{Error, Result, file};
use load::Setting;
use meter::Process;
use report::Report;

/// How long a server may take to answer its first request.
const START_SECONDS_MAX: u64 = 30;

#[derive(Parser)]
#[command(name = "bench", about = "Figures of a running server, with the limits of the machine beside them")]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Prints free loopback ports, one per line
    Ports {
        /// How many
        count: usize,
    },
    /// Measures the limits and a running server; the root identity comes from TAPEGATE_ACCESS_KEY and
    /// TAPEGATE_SECRET_KEY
    Run(RunArguments),
    /// Is a store, on this address, until it is ended
    Stub {
        /// host:port
        listen: std::net::SocketAddr,
    },
    /// Measures the way to tape in this process: each stage, the chain, and drives that take their time
    Pipeline(pipeline::Arguments),
    /// Sends the same requests through several servers in front of one store; identity as for `run`
    Pass(PassArguments),
}

#[derive(Args)]
struct PassArguments {
    /// A server, as name=host:port=pid (may be given again)
    #[arg(long, required = true)]
    door: Vec<pass::Door>,
    /// Writes every figure of every round here as a line of JSON
    #[arg(long)]
    lines: Option<PathBuf>,
    /// How often all is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of a cell, in seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Cells of this size only
    #[arg(long)]
    size: Option<Size>,
}

#[derive(Args)]
struct RunArguments {
    /// S3 listener, host:port
    #[arg(long)]
    endpoint: String,
    /// Process of the server
    #[arg(long)]
    pid: u32,
    /// A folder for the limits, on the disk of the server's data; made and removed
    #[arg(long)]
    folder: PathBuf,
    /// Writes every figure here as a line of JSON
    #[arg(long)]
    lines: Option<PathBuf>,
    /// Measures this part only (may be given again)
    #[arg(long)]
    only: Vec<Part>,
    /// Small objects taken to tape and back
    #[arg(long, default_value_t = 10_000)]
    small: usize,
    /// Large objects taken to tape and back
    #[arg(long, default_value_t = 32)]
    large: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Limits,
    Cells,
    Tape,
}

fn main() -> ExitCode {
    let done = match Command::parse().what {
        What::Ports { count } => ports(count),
        What::Run(arguments) => run(&arguments),
        What::Stub { listen } => stub(listen),
        What::Pass(arguments) => pass(&arguments),
        What::Pipeline(arguments) => pipeline::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut next: Option<&dyn std::error::Error> = Some(&error);
            while let Some(cause) = next {
                eprintln!("bench: {cause}");
                next = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn ports(count: usize) -> Result<()> {
    let failed = file("looking for a free port");
    // All are held until all are named, so that they differ.
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<_>>()
        .map_err(&failed)?;
    for listener in &listeners {
        println!("{}", listener.local_addr().map_err(&failed)?.port());
    }
    Ok(())
}

fn run(arguments: &RunArguments) -> Result<()> {
    let target = Target::new(
        &arguments.endpoint,
        &identity("TAPEGATE_ACCESS_KEY")?,
        &identity("TAPEGATE_SECRET_KEY")?,
        "us-east-1",
    );
    let setting = Setting { target, server: Process(arguments.pid), contents: Arc::new(Contents::new()) };
    let mut report = Report::new(arguments.lines.as_deref()).map_err(file("making the report"))?;
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    // One thread: the server has the other cores to itself.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(file("starting the runtime"))?;
    runtime.block_on(wait_for_server(&setting.target))?;
    if wanted(Part::Limits) {
        limit::measure(&mut report, &setting.contents, &arguments.folder)?;
    }
    if wanted(Part::Cells) {
        runtime.block_on(cells::measure(&setting, &mut report))?;
    }
    if wanted(Part::Tape) {
        for (size, count) in [(Size::Small, arguments.small), (Size::Large, arguments.large)] {
            runtime.block_on(tape::round_trip(&setting, &mut report, size, count))?;
        }
    }
    print!("{}", report.table());
    Ok(())
}

fn stub(address: std::net::SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(file("starting the runtime"))?;
    runtime.block_on(stub::serve(address)).map_err(file("being a store"))
}

fn pass(arguments: &PassArguments) -> Result<()> {
    let mut report = Report::new(arguments.lines.as_deref()).map_err(file("making the report"))?;
    let (id, secret) = (identity("TAPEGATE_ACCESS_KEY")?, identity("TAPEGATE_SECRET_KEY")?);
    let cell_time = Duration::from_secs_f64(arguments.seconds.clamp(0.1, 30.0));
    let plan = pass::Plan { rounds: arguments.rounds, cell_time, size: arguments.size };
    pass::measure(&arguments.door, plan, (&id, &secret), &mut report)?;
    print!("{}", report.table());
    Ok(())
}

fn identity(name: &'static str) -> Result<String> {
    std::env::var(name).map_err(|_| Error::Identity { name })
}

async fn wait_for_server(target: &Target) -> Result<()> {
    let begin = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        let answer = match target.connect().await {
            Ok(mut client) => client.text(Ask::new(Method::GET, "/")).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(_) => return Ok(()),
            Err(error) if begin.elapsed().as_secs() >= START_SECONDS_MAX => return Err(error),
            Err(_) => {}
        }
    }
}
