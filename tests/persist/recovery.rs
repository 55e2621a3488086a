use rondo::persist::record::{Dependency, Part, TransactionRecord};
use rondo::persist::recovery::{Scan, Tail, settle};

/// A transaction with a part on each of `shards`, which has seen `seen`.
fn transaction(stamp: u64, shards: &[u16], seen: &[(u16, u64)]) -> TransactionRecord {
    let part = |&shard: &u16| Part {
        shard,
        db: 0,
        now_ms: 0,
        commands: format!("T{stamp} on {shard}").into_bytes(),
    };
    let dependency = |&(core, lsn): &(u16, u64)| Dependency { core, lsn };
    TransactionRecord {
        stamp,
        dependencies: seen.iter().map(dependency).collect(),
        parts: shards.iter().map(part).collect(),
    }
}

fn scan(last_lsn: u64, transactions: &[(u64, TransactionRecord)]) -> Scan {
    Scan {
        last_lsn,
        transactions: transactions.to_vec(),
        tail: Tail::Clean,
        bytes: 0,
        extent: None,
    }
}

/// The ends, and the missing parts as text.
fn check(scans: &[Scan], ends: &[u64], missing: &[&[&str]]) {
    let settled = settle(scans, true);
    let text = |part: &Part| String::from_utf8_lossy(&part.commands).into_owned();
    let got: Vec<Vec<String>> = (settled.missing.iter())
        .map(|parts| parts.iter().map(text).collect())
        .collect();
    assert_eq!(settled.ends, ends);
    assert_eq!(got, missing);
}

#[test]
fn a_transaction_in_all_logs_is_complete() {
    let it = transaction(1, &[0, 1], &[(0, 4), (1, 7)]);
    let scans = [scan(5, &[(5, it.clone())]), scan(9, &[(8, it)])];
    check(&scans, &[5, 9], &[&[], &[]]);
}

#[test]
fn a_log_that_ends_before_a_transaction_gets_its_part_from_another() {
    let it = transaction(1, &[0, 1], &[(0, 4), (1, 7)]);
    check(
        &[scan(5, &[(5, it)]), scan(7, &[])],
        &[5, 7],
        &[&[], &["T1 on 1"]],
    );
}

#[test]
fn several_missing_ones_come_in_the_order_of_their_stamps() {
    let (a, b) = (transaction(3, &[0, 1], &[]), transaction(2, &[2, 1], &[]));
    let scans = [scan(9, &[(9, a)]), scan(0, &[]), scan(1, &[(1, b)])];
    check(&scans, &[9, 0, 1], &[&[], &["T2 on 1", "T3 on 1"], &[]]);
}

/// Shard 1 has lost record 7, which the transaction may have seen: it never happened, nor did what follows it.
#[test]
fn a_transaction_that_may_have_seen_what_is_lost_is_cut_off() {
    let it = transaction(1, &[0, 1], &[(0, 4), (1, 7)]);
    check(&[scan(9, &[(5, it)]), scan(6, &[])], &[4, 6], &[&[], &[]]);
}

/// What depends on what is cut off goes too, and what does not stays.
#[test]
fn cuts_go_on_until_nothing_changes() {
    let first = transaction(1, &[0, 1], &[(0, 4), (1, 7)]);
    let second = transaction(2, &[2, 0], &[(2, 10), (0, 8)]);
    let third = transaction(3, &[2, 3], &[(2, 10), (3, 1)]);
    let scans = [
        scan(9, &[(5, first), (9, second.clone())]),
        scan(6, &[]),
        scan(12, &[(11, third.clone()), (12, second)]),
        scan(2, &[(2, third)]),
    ];
    check(&scans, &[4, 6, 11, 2], &[&[], &[], &[], &[]]);
}

/// A transaction whose record one log lost to a cut for another reason, and which depends on nothing there, is completed.
#[test]
fn a_part_that_was_cut_off_for_another_reason_comes_back() {
    let lost = transaction(1, &[0, 1], &[(1, 7)]);
    let kept = transaction(2, &[0, 2], &[(0, 4), (2, 0)]);
    let scans = [
        scan(6, &[(5, lost), (6, kept.clone())]),
        scan(6, &[]),
        scan(1, &[(1, kept)]),
    ];
    check(&scans, &[4, 6, 1], &[&["T2 on 0"], &[], &[]]);
}
