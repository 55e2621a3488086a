mod affinity; // which thread has a CPU for itself
mod cli; // the command line
mod client_log; // what is shown of bad requests and errors
mod clients; // rows of CLIENT LIST, and filters
mod compaction; // when memory is worth a walk
mod config_file; // redis.conf and its errors
mod config_rewrite; // CONFIG REWRITE: what changes in the file and what stays
mod connection; // the order of replies
mod data_dir; // what a segment's name stands for, whenever one looks
mod directory; // which cores have subscribers
mod doctor; // what a host is told to change
mod durable_way; // which way writes become durable
mod file_writer; // snapshots, past the page cache
mod folder; // folders that are renamed while they are held
mod functions; // libraries of functions after a recovery
mod info; // sections from figures
mod latency; // samples, drawings and reports of slow events
mod log_lines; // times and values in lines of the log
mod log_turns; // who writes in bulk waits for the logs
mod log_way; // how far a load has got
mod look_out; // how long a core looks out for others
mod metrics; // INFO for Prometheus and for the page
mod options; // the table: defaults, GET, SET
mod outgoing; // parts of a send
mod patience; // for how many requests a core sleeps
mod process; // what to change where the operating system gives too little
mod recent_peaks; // which seconds still count
mod redis_manifest; // which of Redis's files count
mod removal; // who keeps what of a file that goes
mod script_store; // which texts of scripts make room for others
mod seldom; // how often a line may be written
mod spare; // whose file is written over
mod subscriptions; // patterns by what they begin or end with
mod syslog; // what the system's log is sent
mod title; // process titles
mod tls; // records in pieces, and bytes that are not what they were
mod tool_progress; // percent on the terminal
mod unread; // bytes taken from the front
