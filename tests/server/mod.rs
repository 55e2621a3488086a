//! The built binary as a client sees it: one server for each test, on a port of its own.

mod abuse; // malformed and oversized input, with the errors of a real server
mod acl; // users and what they are denied
mod acl_attempts; // every command, by those without rights
mod acl_files; // users in files and in the configuration
mod adoption; // what Redis has left becomes the log
mod atomicity; // several shards, one step
mod backup; // BACKUP, its states and what a server finds in it
mod backup_faults; // BACKUP on a disk that fails
mod blocking; // clients that wait for keys
mod blocking_kills; // and are killed meanwhile
mod blocking_streams; // and for entries of streams
mod breadth; // much at once: floods, wide requests, databases, deadlines, scans
mod busy; // scripts and functions that run for long
mod bytes; // requests in any pieces, of any size
mod churn; // clients that go at the worst moment
mod client; // a small blocking client
mod client_log; // loglevel verbose and debug
mod compaction; // active defragmentation
mod config; // CONFIG REWRITE
mod connections; // they come, move between cores, and go; how the process starts and ends
mod copies; // a snapshot for one who asks for it with SYNC
mod daemon; // in the background, under a supervisor
mod damaged; // what is in the way of files, and numbers in them that are too large
mod dashboards; // what exporters and dashboards ask, and the shape of the answers
mod debugging; // DEBUG's switches
mod durability; // killed and started again: what was acknowledged is there
mod figures; // what INFO counts of commands and errors
mod folders; // the working directory renamed, or another one
mod functions; // libraries on several cores, FUNCTION and FCALL
mod harness; // starts the binary, waits for it, ends it
mod himport; // HIMPORT over several cores, in blocks, on connections that move
mod hotkeys; // sessions that find the most expensive keys of all cores
mod http; // figures on a port of their own
mod key_groups; // keys that live together because of how they begin
mod lane;
mod leaving; // clients that go before or while they are served
mod limits; // what one client may take
mod listeners; // CONFIG SET port and bind
mod long_reads; // replies in pieces
mod long_values; // strings that are sent from where they lie
mod memory; // maxmemory, maxmemory-clients, MEMORY
mod mending; // disks that fail, disks that are full
mod migrate; // keys that go to another server
mod multi; // MULTI blocks and watches
mod notify; // keyspace notifications, as recorded
mod order; // replies in order, against a plain map
mod overlap; // transactions of one pipeline beside each other
mod parts; // how much of a pipeline runs before others have their turns
mod pubsub; // publishers and subscribers on several cores
mod replay_order;
mod rewrite; // the log is rewritten, begun and ended while clients write
mod sandbox; // under the profile of system calls for containers
mod scripts; // EVAL and its relatives
mod searches; // CLIENT LIST and CLIENT KILL beside clients that move
mod snapshot;
mod stopping; // SHUTDOWN and signals
mod storm; // everything at once, against models
mod stuck; // ways to wait for ever
mod tls; // TLS, and certificates that are wrong
mod tls_kernel; // TLS whose records the kernel seals and opens
mod tools; // rondo check, dump and import on files that servers have left
mod tracking; // clients that keep copies
mod wait_aof; // until writes are on disk, or on replicas that are not there
mod watching; // slow calls, latencies, monitors
mod wire;
mod withheld; // what others learn of a write that is not durable // the connection's own commands
