//! A connection as CLIENT LIST shows it.
//!
//! Not here  the row's text: `node/clients.rs`. Which connections are shown: `node/search.rs`.
//! Tests     tests/server/client.rs.

use super::clients::{ClientFlags, ClientRow};
use super::connection::{Blocked, Connection, Large};
use crate::commands::Session;
use crate::commands::client_filter::ClientKind;
use crate::commands::client_tracking::redirect;
use crate::resp::Protocol;

/// What of a client's replies CLIENT LIST shows as `obl`; the rest is `omem`, in `oll` pieces of this size.
const REPLY_BUFFER_BYTES: usize = 16 * 1024;

/// Where a connection is: on which of how many cores.
#[derive(Clone, Copy)]
pub struct Place {
    pub(super) core: u16,
    pub(super) cores_count: usize,
}

/// A connection's row of CLIENT LIST.
pub fn row(connection: &Connection, now_ms: i64, place: Place) -> ClientRow {
    use std::os::fd::AsRawFd;
    let words_bytes = match connection.blocked {
        Some(Blocked::UntilReply | Blocked::OnDisks | Blocked::Paused) => connection.words_bytes,
        _ => 0,
    };
    // Nor has a request that runs its bytes in a buffer of its client's here; Redis cuts it off first where it has threads.
    let running_bytes = match (connection.blocked, place.cores_count) {
        (Some(Blocked::UntilReply), 1) => connection.request_bytes,
        _ => 0,
    };
    // What of a request is understood counts as its words, as in Redis, which has cut that off.
    let understood_bytes = match connection.blocked {
        Some(Blocked::Paused) => connection.request_bytes,
        _ => connection.parse.parsed_bytes(),
    };
    let unread_bytes = connection.input.len()
        + connection.large.as_ref().map_or(0, Large::bytes_count)
        + connection.held.as_ref().map_or(0, |held| held.len());
    // Redis has a buffer of fixed size, and a list of such for what does not fit.
    let own_bytes = connection.output.len() + connection.lent_bytes();
    let in_buffer_bytes = own_bytes.min(REPLY_BUFFER_BYTES);
    let behind_bytes = connection.output_bytes() - in_buffer_bytes;
    let block = connection.block.as_deref();
    let open_block = block.filter(|block| block.is_open);
    let watched = block.and_then(|block| block.watched.as_ref());
    let is_touched = watched.is_some_and(|watched| watched.watch.is_touched());
    // As in Redis, a watch that was touched watches nothing any more.
    let watched = watched.filter(|_| !is_touched);
    let Session {
        id,
        protocol,
        db,
        name,
        lib_name,
        lib_ver,
        no_touch,
        no_evict,
        can_redirect,
        subscribed,
        user,
        monitoring,
        tracking,
        ..
    } = &connection.session;
    let tracking = tracking.as_deref();
    ClientRow {
        id: *id,
        addr: connection.peer.address.clone(),
        laddr: connection.peer.local.clone(),
        fd: connection.socket.as_raw_fd(),
        name: name.clone(),
        age_s: (now_ms - connection.created_ms) / 1000,
        idle_s: (now_ms - connection.last_active_ms) / 1000,
        kind: match (connection.is_copied_to, *subscribed) {
            (true, _) => ClientKind::Replica,
            (false, true) => ClientKind::PubSub,
            (false, false) => ClientKind::Normal,
        },
        flags: ClientFlags {
            blocked: connection.waits_at_length(),
            multi: open_block.is_some(),
            dirty: is_touched,
            close_after_reply: connection.close_after_output,
            unix_socket: connection.peer.is_unix,
            no_evict: *no_evict,
            no_touch: *no_touch,
            monitoring: *monitoring,
            tracking: tracking.is_some(),
            tracking_broken: tracking.is_some_and(|tracking| tracking.is_broken),
            tracking_broadcast: tracking.is_some_and(|tracking| tracking.options.is_broadcast),
            ..ClientFlags::default()
        },
        can_redirect: *can_redirect,
        db: *db,
        subscriptions: connection
            .subscriptions
            .as_ref()
            .map_or([0; 3], |subscriptions| subscriptions.counts()),
        multi_count: open_block.map_or(-1, |block| block.queued_count as i64),
        watch_count: watched.map_or(0, |watched| watched.keys.len() as u32),
        query_bytes: (unread_bytes + running_bytes).saturating_sub(understood_bytes) as u64,
        query_free_bytes: (connection.input.capacity() - connection.input.len()) as u64,
        argv_bytes: (words_bytes + connection.parse.words_bytes() + connection.waits_bytes) as u64,
        multi_bytes: connection.queued_bytes() as u64,
        reply_buffer_bytes: connection.output.capacity() as u64,
        reply_buffer_peak_bytes: connection.reply_bytes_peak as u64,
        output_buffer_bytes: in_buffer_bytes as u64,
        output_list_count: behind_bytes.div_ceil(REPLY_BUFFER_BYTES) as u64,
        output_bytes: behind_bytes as u64,
        total_bytes: connection.memory_bytes() as u64,
        events: (connection.receiving, connection.sending),
        command: connection
            .last_command
            .map_or("NULL", |entry| entry.full_name),
        user: user.name().to_vec(),
        redirect: redirect(tracking),
        resp: if *protocol == Protocol::Resp3 { 3 } else { 2 },
        lib_name: lib_name.clone(),
        lib_ver: lib_ver.clone(),
        core: place.core,
        bytes_in: connection.bytes_in,
        bytes_out: connection.bytes_out,
        commands_count: connection.commands_count,
    }
}

/// Bytes of replies that Redis would have in a list of buffers: what its buffer of fixed size does not hold.
pub(super) fn listed_output_bytes(connection: &Connection) -> usize {
    connection.output_bytes().saturating_sub(REPLY_BUFFER_BYTES)
}
