//! Rows of CLIENT LIST, and which rows a filter means.

use rondo::commands::{ClientFilter, ClientKind};
use rondo::node::clients::{ClientFlags, ClientRow, flags_text, matches, render_row};

fn row() -> ClientRow {
    ClientRow {
        id: 3,
        addr: "127.0.0.1:40000".to_string(),
        laddr: "127.0.0.1:6379".to_string(),
        fd: 9,
        name: b"me".to_vec(),
        age_s: 100,
        idle_s: 20,
        kind: ClientKind::Normal,
        flags: ClientFlags::default(),
        db: 2,
        subscriptions: [0, 0, 0],
        multi_count: -1,
        watch_count: 0,
        query_bytes: 26,
        query_free_bytes: 20448,
        argv_bytes: 10,
        multi_bytes: 0,
        reply_buffer_bytes: 1024,
        reply_buffer_peak_bytes: 512,
        output_buffer_bytes: 0,
        output_list_count: 0,
        output_bytes: 0,
        total_bytes: 22426,
        events: (true, false),
        command: "client|list",
        user: b"default".to_vec(),
        can_redirect: false,
        redirect: -1,
        resp: 2,
        lib_name: b"redis-py".to_vec(),
        lib_ver: Vec::new(),
        core: 1,
        bytes_in: 90,
        bytes_out: 80,
        commands_count: 7,
    }
}

// The form of Redis 8.0.6, and Valkey's fields behind it; only the numbers are ours.
#[test]
fn a_row_has_every_field_in_order() {
    let mut out = Vec::new();
    render_row(&row(), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "id=3 addr=127.0.0.1:40000 laddr=127.0.0.1:6379 fd=9 name=me age=100 idle=20 flags=N db=2 sub=0 psub=0 ssub=0 \
         multi=-1 watch=0 qbuf=26 qbuf-free=20448 argv-mem=10 multi-mem=0 rbs=1024 rbp=512 obl=0 oll=0 omem=0 \
         tot-mem=22426 events=r cmd=client|list user=default redir=-1 resp=2 lib-name=redis-py lib-ver= io-thread=1 \
         capa= tot-net-in=90 tot-net-out=80 tot-cmds=7\n"
    );
}

#[test]
fn flags_are_letters_in_order() {
    let flags = ClientFlags {
        blocked: true,
        unix_socket: true,
        no_evict: true,
        no_touch: true,
        ..ClientFlags::default()
    };
    assert_eq!(flags_text(ClientKind::Normal, flags), "bUeT");
    assert_eq!(flags_text(ClientKind::PubSub, ClientFlags::default()), "P");
}

// Each filter alone: one that means the row, and one that does not; the NOT- form is the opposite of both.
#[test]
fn each_filter_is_compared_with_its_field() {
    type Set = fn(&mut ClientFilter, bool, bool);
    /// Sets a filter field, or its NOT- form, to a value that fits the row or does not.
    macro_rules! field {
        ($field:ident, $not_field:ident, $fits:expr, $other:expr) => {
            (|filter: &mut ClientFilter, negated: bool, fits: bool| {
                let value = if fits { $fits } else { $other };
                if negated {
                    filter.$not_field = Some(value)
                } else {
                    filter.$field = Some(value)
                }
            }) as Set
        };
    }
    let fields: [Set; 12] = [
        field!(ids, not_ids, vec![1, 3], vec![1, 2]),
        field!(kind, not_kind, ClientKind::Normal, ClientKind::PubSub),
        field!(user, not_user, b"default".to_vec(), b"other".to_vec()),
        field!(
            addr,
            not_addr,
            b"127.0.0.1:40000".to_vec(),
            b"127.0.0.1:4".to_vec()
        ),
        field!(
            laddr,
            not_laddr,
            b"127.0.0.1:6379".to_vec(),
            b"127.0.0.1:1".to_vec()
        ),
        field!(ip, not_ip, b"127.0.0.1".to_vec(), b"127.0.0.2".to_vec()),
        field!(name, not_name, b"me".to_vec(), b"you".to_vec()),
        field!(lib_name, not_lib_name, b"redis-py".to_vec(), b"".to_vec()),
        field!(lib_ver, not_lib_ver, b"".to_vec(), b"1".to_vec()),
        field!(db, not_db, 2, 3),
        field!(flags, not_flags, b"N".to_vec(), b"U".to_vec()),
        field!(capa, not_capa, b"".to_vec(), b"r".to_vec()),
    ];
    for (index, set) in fields.iter().enumerate() {
        for negated in [false, true] {
            for fits in [false, true] {
                let mut filter = ClientFilter::default();
                set(&mut filter, negated, fits);
                assert_eq!(
                    matches(&filter, &row(), 1),
                    fits != negated,
                    "field {index}"
                );
            }
        }
    }
    let able = ClientRow {
        can_redirect: true,
        ..row()
    };
    let redirects = ClientFilter {
        capa: Some(b"r".to_vec()),
        ..ClientFilter::default()
    };
    assert!(matches(&redirects, &able, 1) && !matches(&redirects, &row(), 1));
    let by_age = |age| ClientFilter {
        age_s_min: Some(age),
        ..ClientFilter::default()
    };
    assert!(matches(&by_age(100), &row(), 1) && !matches(&by_age(101), &row(), 1));
    let by_idle = |idle| ClientFilter {
        idle_s_min: Some(idle),
        ..ClientFilter::default()
    };
    assert!(matches(&by_idle(20), &row(), 1) && !matches(&by_idle(21), &row(), 1));
    let skip_me = ClientFilter {
        skip_me: true,
        ..ClientFilter::default()
    };
    assert!(matches(&skip_me, &row(), 1) && !matches(&skip_me, &row(), 3));
}

#[test]
fn an_ip6_address_is_compared_without_brackets() {
    let row = ClientRow {
        addr: "[::1]:40000".to_string(),
        ..row()
    };
    let filter = ClientFilter {
        ip: Some(b"::1".to_vec()),
        ..ClientFilter::default()
    };
    assert!(matches(&filter, &row, 1));
}
