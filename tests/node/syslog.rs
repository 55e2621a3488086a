//! What is sent to the system's log.

use rondo::node::syslog::{Syslog, facility};
use std::os::unix::net::UnixDatagram;
use tracing_subscriber::layer::SubscriberExt;

/// One datagram an event, with the numbers of RFC 3164; nobody there is no error.
#[test]
fn an_event_is_a_datagram() {
    let folder = std::env::temp_dir().join(format!("rondo-syslog-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let place = folder.join("log");
    let syslog = Syslog::to(&place, facility("local3"), "cache").expect("a socket");
    let message = tracing_subscriber::fmt::format().without_time();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .event_format(message.with_level(false).with_target(false))
        .with_writer(syslog);
    let subscriber = tracing_subscriber::registry().with(layer);
    let _ = std::fs::remove_file(&place);
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!("nobody is there yet");
        let receiver = UnixDatagram::bind(&place).expect("a place");
        tracing::warn!(port = 7, "a warning");
        tracing::info!("a notice");
        let mut bytes = [0; 200];
        for expected in [
            "<156>cache[PID]: a warning port=7",
            "<157>cache[PID]: a notice",
        ] {
            let count = receiver.recv(&mut bytes).expect("a datagram");
            let expected = expected.replace("PID", &std::process::id().to_string());
            assert_eq!(String::from_utf8_lossy(&bytes[..count]), expected);
        }
    });
    let _ = std::fs::remove_dir_all(&folder);
    assert_eq!(
        [facility("user"), facility("local0"), facility("local7")],
        [1, 16, 23]
    );
}
