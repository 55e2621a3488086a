//! What CLIENT LIST says about a client, and which clients a filter means.
//!
//! Promises  fields, order and spelling of Redis 8, byte for byte.
//! Not here  parsing filters: `commands/client_filter.rs`; collecting rows over cores: the node's loop.
//! Tests     tests/node/clients.rs: a row with every field, each filter against a row that fits and one that does not.

use crate::commands::{ClientFilter, ClientKind};
use std::fmt::Write;

/// One client as CLIENT LIST shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    /// CLIENT ID.
    pub id: u64,
    /// `ip:port`, `[ip6]:port`, or `path:0` for a Unix socket.
    pub addr: String,
    /// The address it connected to.
    pub laddr: String,
    /// Its file descriptor.
    pub fd: i32,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// Seconds connected.
    pub age_s: i64,
    /// Seconds since it last said anything.
    pub idle_s: i64,
    /// What kind of client it is.
    pub kind: ClientKind,
    /// `flags` letters other than `N`, in any order: see [`flags_text`].
    pub flags: ClientFlags,
    /// Selected database.
    pub db: u16,
    /// Channels, patterns and shard channels subscribed to.
    pub subscriptions: [u32; 3],
    /// Commands queued by MULTI, -1 outside of it.
    pub multi_count: i64,
    /// Keys watched.
    pub watch_count: u32,
    /// Bytes waiting in the query buffer.
    pub query_bytes: u64,
    /// Room left in the query buffer.
    pub query_free_bytes: u64,
    /// Bytes of the words of the current request.
    pub argv_bytes: u64,
    /// Bytes of what MULTI queued.
    pub multi_bytes: u64,
    /// Size of the fixed reply buffer and the most of it that was used recently.
    pub reply_buffer_bytes: u64,
    /// See `reply_buffer_bytes`.
    pub reply_buffer_peak_bytes: u64,
    /// Bytes in the fixed reply buffer.
    pub output_buffer_bytes: u64,
    /// Replies queued behind it.
    pub output_list_count: u64,
    /// Bytes queued behind it.
    pub output_bytes: u64,
    /// All memory the client takes.
    pub total_bytes: u64,
    /// Whether the socket is being read, and written.
    pub events: (bool, bool),
    /// Full name of the last command, empty for none.
    pub command: &'static str,
    /// Its user.
    pub user: Vec<u8>,
    /// CLIENT CAPA REDIRECT.
    pub can_redirect: bool,
    /// Whom it redirects invalidations to: 0 nobody, -1 where it tracks nothing.
    pub redirect: i64,
    /// 2 or 3.
    pub resp: u8,
    /// CLIENT SETINFO.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO.
    pub lib_ver: Vec<u8>,
    /// The core that serves it, from 0.
    pub core: u16,
    /// Bytes received from it.
    pub bytes_in: u64,
    /// Bytes sent to it.
    pub bytes_out: u64,
    /// Requests that it has been answered, or has queued.
    pub commands_count: u64,
}

/// What a client's flags say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFlags {
    /// `b`: waits in a blocking command.
    pub blocked: bool,
    /// `x`: inside MULTI.
    pub multi: bool,
    /// `d`: a watched key was changed.
    pub dirty: bool,
    /// `c`: closes after its reply.
    pub close_after_reply: bool,
    /// `A`: closes as soon as possible.
    pub close_soon: bool,
    /// `U`: came by a Unix socket.
    pub unix_socket: bool,
    /// `e`: CLIENT NO-EVICT.
    pub no_evict: bool,
    /// `T`: CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// `O`: MONITOR.
    pub monitoring: bool,
    /// `t`: CLIENT TRACKING.
    pub tracking: bool,
    /// `R`: the client it redirects to is gone.
    pub tracking_broken: bool,
    /// `B`: in BCAST mode.
    pub tracking_broadcast: bool,
}

/// The letters of a client's flags; `N` where there are none.
pub fn flags_text(kind: ClientKind, flags: ClientFlags) -> String {
    let letters = [
        (flags.monitoring, 'O'),
        (kind == ClientKind::Replica, 'S'),
        (kind == ClientKind::Primary, 'M'),
        (kind == ClientKind::PubSub, 'P'),
        (flags.multi, 'x'),
        (flags.blocked, 'b'),
        (flags.tracking, 't'),
        (flags.tracking_broken, 'R'),
        (flags.tracking_broadcast, 'B'),
        (flags.dirty, 'd'),
        (flags.close_after_reply, 'c'),
        (flags.close_soon, 'A'),
        (flags.unix_socket, 'U'),
        (flags.no_evict, 'e'),
        (flags.no_touch, 'T'),
    ];
    let text: String = letters
        .iter()
        .filter(|(is_set, _)| *is_set)
        .map(|(_, letter)| letter)
        .collect();
    if text.is_empty() {
        "N".to_string()
    } else {
        text
    }
}

/// Appends the row, with its line end.
pub fn render_row(row: &ClientRow, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(320);
    let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let _ = write!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} watch={} \
         qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={}{} cmd={} \
         user={} redir={} resp={} lib-name={} lib-ver={} io-thread={} capa={} tot-net-in={} \
         tot-net-out={} tot-cmds={}",
        row.id,
        row.addr,
        row.laddr,
        row.fd,
        text_of(&row.name),
        row.age_s,
        row.idle_s,
        flags_text(row.kind, row.flags),
        row.db,
        row.subscriptions[0],
        row.subscriptions[1],
        row.subscriptions[2],
        row.multi_count,
        row.watch_count,
        row.query_bytes,
        row.query_free_bytes,
        row.argv_bytes,
        row.multi_bytes,
        row.reply_buffer_bytes,
        row.reply_buffer_peak_bytes,
        row.output_buffer_bytes,
        row.output_list_count,
        row.output_bytes,
        row.total_bytes,
        if row.events.0 { "r" } else { "" },
        if row.events.1 { "w" } else { "" },
        if row.command.is_empty() {
            "NULL"
        } else {
            row.command
        },
        text_of(&row.user),
        row.redirect,
        row.resp,
        text_of(&row.lib_name),
        text_of(&row.lib_ver),
        row.core,
        // Valkey's, behind Redis's: who reads the line by its names finds them.
        if row.can_redirect { "r" } else { "" },
        row.bytes_in,
        row.bytes_out,
        row.commands_count,
    );
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

/// Whether `filter`, asked by client `asker_id`, means the client of `row`.
pub fn matches(filter: &ClientFilter, row: &ClientRow, asker_id: u64) -> bool {
    if filter.skip_me && row.id == asker_id {
        return false;
    }
    let ip = row.addr.rsplit_once(':').map_or("", |(ip, _)| ip);
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    let flags = flags_text(row.kind, row.flags);
    let has_all = |letters: &Vec<u8>| {
        letters
            .iter()
            .all(|letter| flags.as_bytes().contains(letter))
    };
    // There is one letter.
    let can_all = |letters: &Vec<u8>| row.can_redirect || letters.is_empty();
    let texts = [
        (&filter.user, &filter.not_user, row.user.as_slice()),
        (&filter.addr, &filter.not_addr, row.addr.as_bytes()),
        (&filter.laddr, &filter.not_laddr, row.laddr.as_bytes()),
        (&filter.ip, &filter.not_ip, ip.as_bytes()),
        (&filter.name, &filter.not_name, row.name.as_slice()),
        (
            &filter.lib_name,
            &filter.not_lib_name,
            row.lib_name.as_slice(),
        ),
        (&filter.lib_ver, &filter.not_lib_ver, row.lib_ver.as_slice()),
    ];
    texts.iter().all(|(wanted, unwanted, value)| {
        wanted.as_ref().is_none_or(|wanted| wanted == value)
            && unwanted.as_ref().is_none_or(|unwanted| unwanted != value)
    }) && filter.ids.as_ref().is_none_or(|ids| ids.contains(&row.id))
        && filter
            .not_ids
            .as_ref()
            .is_none_or(|ids| !ids.contains(&row.id))
        && filter.kind.is_none_or(|kind| kind == row.kind)
        && filter.not_kind.is_none_or(|kind| kind != row.kind)
        && filter.age_s_min.is_none_or(|age| row.age_s >= age)
        && filter.idle_s_min.is_none_or(|idle| row.idle_s >= idle)
        && filter.flags.as_ref().is_none_or(has_all)
        && filter
            .not_flags
            .as_ref()
            .is_none_or(|letters| !has_all(letters))
        && filter.db.is_none_or(|db| db == row.db)
        && filter.not_db.is_none_or(|db| db != row.db)
        && filter.capa.as_ref().is_none_or(can_all)
        && filter
            .not_capa
            .as_ref()
            .is_none_or(|letters| !can_all(letters))
}
