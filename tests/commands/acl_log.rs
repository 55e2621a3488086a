use rondo::commands::acl::Reason;
use rondo::commands::acl::log::{AclLog, Context, Denial};

/// An entry keeps its number when it is counted again, and is the latest all the same.
#[test]
fn entries_of_one_millisecond_are_in_the_order_they_were_denied_in() {
    let denial = |object: &[u8]| Denial {
        reason: Reason::Command,
        context: Context::TopLevel,
        object: object.to_vec(),
        user: b"alice".to_vec(),
    };
    let mut log = AclLog::default();
    for (id, object) in [(0, b"get"), (1, b"set"), (2, b"get")] {
        log.add(denial(object), Vec::new(), 1_000, 128, || id);
    }
    let shown: Vec<(Vec<u8>, u64)> = AclLog::merged(vec![AclLog::default(), log])
        .into_iter()
        .map(|entry| (entry.denial.object, entry.count))
        .collect();
    assert_eq!(shown, [(b"get".to_vec(), 2), (b"set".to_vec(), 1)]);
}
