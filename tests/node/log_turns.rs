//! Who writes in bulk waits for the logs' writes, and only for those.

use rondo::node::log_turns::{LogWrites, let_by};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const FOR_EVER: Duration = Duration::from_secs(3600);

#[test]
fn nobody_waits_where_no_reply_does() {
    let logs = [LogWrites::default(), LogWrites::default()];
    let_by(logs.iter(), FOR_EVER);
    logs[0].set_awaited(true);
    logs[0].count_end();
    logs[0].set_awaited(false);
    let_by(logs.iter(), FOR_EVER);
    let_by([].iter(), FOR_EVER);
}

#[test]
fn a_piece_waits_for_a_write_of_each_log() {
    let logs = [(); 3].map(|()| LogWrites::default());
    let (may_end, is_through) = (AtomicBool::new(false), AtomicBool::new(false));
    logs[0].set_awaited(true);
    logs[2].set_awaited(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let_by(logs.iter(), FOR_EVER);
            assert!(may_end.load(Ordering::SeqCst));
            is_through.store(true, Ordering::SeqCst);
        });
        // One of them gets on, which is not enough.
        for _ in 0..20 {
            logs[0].count_end();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!is_through.load(Ordering::SeqCst));
        may_end.store(true, Ordering::SeqCst);
        // Of the other nobody waits for the end any more, as after a change of policy.
        logs[2].set_awaited(false);
        while !is_through.load(Ordering::SeqCst) {
            logs[0].count_end();
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_write_that_never_ends_is_waited_for_only_so_long() {
    let log = LogWrites::default();
    log.set_awaited(true);
    let_by([&log].into_iter(), Duration::from_millis(1));
}
