//! Ctrl-C and SIGTERM.

use std::future::Future;
use std::io;

/// The exit code of a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Waits until the user wants the program to stop. A second time ends it at
/// once: work in hand may take as long as the slowest receiver.
///
/// # Errors
/// The signals cannot be listened to.
pub async fn requested(in_hand: impl Fn() -> usize) -> io::Result<()> {
    signal()?.await;
    match in_hand() {
        0 => eprintln!("\nStopping."),
        count => eprintln!("\nStopping, once {count} invocations are done. Ctrl-C again stops at once."),
    }
    let again = signal()?;
    tokio::spawn(async move {
        again.await;
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // It fails only where there is no console, and then nobody can ask.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
