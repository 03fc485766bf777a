//! `serve`: from the command line to the last drained request.
//!
//! Order at the end: the edge stops accepting and drains, the admin listener ends, the engine ends after its current
//! steps while the libraries put their cartridges back, and the process exits 0. What is cut off by the deadline is
//! found and put right at the next start, like after a power cut.

#[cfg(test)]
mod tests;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::assemble::{Gateway, assemble};
use crate::config::Config;
use crate::data::{DataDir, Root};
use crate::desk::Desk;
use crate::error::Error;
use crate::welcome::Welcome;

/// How long engine and libraries have to end their current steps; with the drain of the edge under 15 s.
const REST: Duration = Duration::from_secs(8);
/// How long admin questions under way may go on.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);

/// Runs the gateway until a signal ends it.
pub fn serve(config: &Config) -> Result<(), Error> {
    let root = Root::from_environment()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::assemble("runtime", error))?;
    let result = runtime.block_on(async {
        let stop = until_signalled()?;
        run(config, root, stop, |welcome| welcome.print(&mut std::io::stdout())).await
    });
    // What still blocks had its time.
    runtime.shutdown_background();
    result
}

/// Opens everything, tells `ready` once both listeners answer, and serves until `stop` holds `true`.
pub async fn run(
    config: &Config,
    environment: Option<Root>,
    stop: watch::Receiver<bool>,
    ready: impl FnOnce(&Welcome) -> std::io::Result<()>,
) -> Result<(), Error> {
    let data = Arc::new(DataDir::create(&config.data)?);
    let listener = listen(config.listen, "--listen").await?;
    let admin_listener = listen(config.admin_listen, "--admin-listen").await?;
    // Not before: a start that ends at a taken address must not make the secret that only the first start shows.
    let root = data.root(environment)?;
    let token = data.token()?;
    let (address, admin_address) = (local(&listener)?, local(&admin_listener)?);
    let Gateway { edge, engine, broken, behind, hands, keys_made } = assemble(config, &data, &root).await?;
    let engine = Arc::new(engine);
    data.note_admin_address(admin_address)?;

    let (end, ended) = watch::channel(false);
    let configured = config.libraries.clone();
    let desk = Arc::new(Desk::new(engine.clone(), behind, data.clone(), configured, hands));
    let mut admin = tokio::spawn(console::serve(admin_listener, desk, token, holds(ended.clone())));
    let drained = holds(ended);
    let mut serving = tokio::spawn(async move { edge.serve(listener, drained).await });
    let welcome = Welcome {
        address,
        admin_address,
        region: config.region.clone(),
        data: data.path().to_owned(),
        root,
        root_key: data.root_key(),
        keys_made,
    };
    if let Err(error) = ready(&welcome) {
        // Whoever started us no longer listens; that is no reason not to serve.
        tracing::debug!(%error, "the welcome could not be printed");
    }
    tracing::info!(%address, %admin_address, "ready");

    let outcome = tokio::select! {
        () = holds(stop) => Ok(()),
        reason = engine.failed() => Err(Error::Fatal { reason }),
        reason = broken => Err(Error::Fatal { reason }),
        _ = &mut serving => Err(Error::Fatal { reason: "the S3 listener ended".to_owned() }),
        _ = &mut admin => Err(Error::Fatal { reason: "the admin listener ended".to_owned() }),
    };
    tracing::info!("draining");
    end.send_replace(true);
    if !serving.is_finished() && serving.await.is_err() {
        tracing::error!("the S3 listener panicked");
    }
    if !admin.is_finished() && tokio::time::timeout(ADMIN_DRAIN, &mut admin).await.is_err() {
        admin.abort();
    }
    rest(&engine).await;
    tracing::info!("stopped");
    outcome
}

/// Ends the background work and puts the cartridges back, side by side: a library that stops lets the steps that wait
/// for it end.
async fn rest(engine: &engine::Engine) {
    let libraries = engine.house().libraries.clone();
    let shelve = tokio::task::spawn_blocking(move || {
        std::thread::scope(|scope| {
            for (name, library) in &libraries {
                scope.spawn(move || {
                    if let Err(error) = library.shutdown(REST) {
                        tracing::warn!(library = name, %error, "left with cartridges in drives");
                    }
                });
            }
        });
    });
    let both = async { tokio::join!(engine.stop(), shelve) };
    match tokio::time::timeout(REST, both).await {
        Ok(((), Ok(()))) => {}
        Ok(((), Err(error))) => tracing::error!(%error, "shutting down the libraries panicked"),
        Err(_) => tracing::warn!("a step took too long and is cut off; the next start puts it right"),
    }
}

async fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, option, source })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|error| Error::assemble("listener", error))
}

/// Ends once the watched flag is set, or nobody can set it any more.
async fn holds(mut flag: watch::Receiver<bool>) {
    drop(flag.wait_for(|set| *set).await);
}

/// A flag that the first SIGTERM or SIGINT sets; the second one ends the process at once.
fn until_signalled() -> Result<watch::Receiver<bool>, Error> {
    let failed = |source| Error::assemble("signal handlers", source);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                stop.send_replace(true);
            } else {
                drop(writeln!(std::io::stderr(), "stopped at once; the next start puts everything right"));
                std::process::exit(1);
            }
        }
    });
    Ok(stopped)
}
