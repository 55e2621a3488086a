//! Executors: one thread a core, a glommio executor on it, and that core's loop as its root future.
//!
//! Promises  the listeners are bound before any thread starts, so a port in use is an error at start; a core that
//!           cannot have its ring ends the start with the setting that fixes it; all cores leave together.
//! Not here  the loop: `node/event_loop.rs`; which CPUs threads have: `node/affinity.rs`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use glommio::{LocalExecutorBuilder, Placement};

use super::backup_dir::{self, Found};
use super::core::{Core, CoreParts};
use super::event_loop::CoreLoop;
use super::http::{self, Questions};
use super::listeners::{Listeners, Way};
use super::load::{Load, LoadPlan};
use super::log_load::LogLoad;
use super::mesh::{self, Board, GATE_LOADING, Mesh};
use super::options::Options;
use super::recover::{self, Opened};
use super::ring::Ring;
use super::stopping::Signals;
use super::supervisor::{Supervisor, detach};
use super::{affinity, give_back, log, process, spare};
use crate::base::hash::KeyHasher;
use crate::commands::acl::Users;
use crate::keyspace::Keyspace;
use crate::shard::{Ledger, Shard};

/// What glommio may lock for its own file I/O on each core.
const GLOMMIO_IO_BYTES: usize = 16 * 1024;
/// Entries of glommio's own rings: they carry background work only.
const GLOMMIO_RING_DEPTH: usize = 32;
/// A limit of the address space below this is told of: the allocator, stacks and what grows without being copied reserve more of it
/// than they use, some 2 GiB where nothing is stored.
const ADDRESS_BYTES_MIN: u64 = 4 << 30;
/// What has a thread of its own: for each core its executor, the executor's helper and what writes its files; memory, pages, signals and
/// what loads, and tells how far it has got, beside them.
const THREADS_PER_CORE: usize = 3;
const THREADS_BESIDE: usize = 5;
/// The end of the process waits so long for files that are given up.
const FILES_END_MAX: Duration = Duration::from_secs(1);
/// A disk that does not answer has so long beyond the clients' time. With these supervisors' 90 s are not over.
const DISK_MS: u64 = 60_000;

/// So often somebody looks whether all is loaded.
const LOADED_EVERY: Duration = Duration::from_millis(2);

/// The end of the process, as its cores see it.
pub struct Ending {
    begun: AtomicBool,
    arrived_count: AtomicUsize,
    arrived: Vec<AtomicBool>,
    /// Milliseconds from `start` to the moment nobody waits any longer; 0 while not begun.
    deadline_ms: AtomicU64,
    start: Instant,
    /// A second SIGINT has cut it short: the process exits with 1.
    pub is_impatient: AtomicBool,
    /// SHUTDOWN FORCE: a log that cannot be written keeps nobody.
    pub is_forced: AtomicBool,
    /// A log lacks what clients were told is in it: the process exits with 1.
    pub has_lost: AtomicBool,
    /// Signals that core 0 has not looked at.
    unread_signals: Arc<AtomicUsize>,
}

impl Ending {
    fn new(cores_count: usize, unread_signals: Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self {
            begun: AtomicBool::new(false),
            arrived_count: AtomicUsize::new(0),
            arrived: (0..cores_count).map(|_| AtomicBool::new(false)).collect(),
            deadline_ms: AtomicU64::new(0),
            start: Instant::now(),
            is_impatient: AtomicBool::new(false),
            is_forced: AtomicBool::new(false),
            has_lost: AtomicBool::new(false),
            unread_signals,
        })
    }

    /// Begins the end, giving clients `drain` to read what is theirs; false if it had begun.
    pub fn begin(&self, drain: Duration) -> bool {
        let begins = !self.begun.swap(true, Ordering::SeqCst);
        if begins {
            let deadline = self.start.elapsed() + drain;
            self.deadline_ms
                .store(deadline.as_millis() as u64, Ordering::SeqCst);
        }
        begins
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// Whether clients have had their time.
    pub fn is_overdue(&self) -> bool {
        let deadline_ms = self.deadline_ms.load(Ordering::SeqCst);
        deadline_ms != 0 && self.start.elapsed().as_millis() as u64 > deadline_ms
    }

    /// Whether a core may not be kept any longer by what a client has it do: the end goes on without, or somebody sends one signal
    /// after another to core 0.
    #[inline]
    pub fn is_pressing(&self, core: u16) -> bool {
        let is_asked_again = || self.unread_signals.load(Ordering::Relaxed) > 1;
        self.is_impatient.load(Ordering::Relaxed)
            || core == 0 && is_asked_again()
            || self.is_overdue()
    }

    /// A core has no clients left.
    pub fn arrive(&self, core: u16) {
        if !self.arrived[usize::from(core)].swap(true, Ordering::SeqCst) {
            self.arrived_count.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether the disk has had its time, too, which is longer.
    pub fn is_long_overdue(&self) -> bool {
        let deadline_ms = self.deadline_ms.load(Ordering::SeqCst);
        let elapsed_ms = self.start.elapsed().as_millis() as u64;
        deadline_ms != 0 && elapsed_ms > deadline_ms + DISK_MS
    }

    /// Whether all have arrived; only then may a core's shard go.
    pub fn all_arrived(&self) -> bool {
        self.arrived_count.load(Ordering::SeqCst) == self.arrived.len()
    }
}

/// Serves until SHUTDOWN, SIGTERM or SIGINT.
///
/// Errors are told to the operator.
pub fn serve(options: Options, config_file: &str) -> ExitCode {
    match serve_until_end(options, config_file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            log::tell_failure(&reason);
            ExitCode::FAILURE
        }
    }
}

fn serve_until_end(mut options: Options, config_file: &str) -> Result<(), String> {
    let supervised = options.held.get("supervised").map_or("no", String::as_str);
    let supervisor = Supervisor::find(supervised, |name| std::env::var(name).ok());
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    // Before it goes into the background: who starts it hears what is wrong with these. A log file without a folder of its own is in
    // the working directory.
    super::settings::enter_dir(&mut options)
        .map_err(|reason| format!("cannot use dir '{}': {reason}", options.dir))?;
    log::start(&options)
        .map_err(|error| format!("cannot open the log file '{}': {error}", options.logfile))?;
    let is_done = detach(&options, &supervisor, &here)
        .map_err(|error| format!("cannot go into the background: {error}"))?;
    if is_done {
        return Ok(());
    }
    if let Err(error) = process::allow_huge_pages(&options) {
        tracing::info!(%error, "tables get no huge pages: transparent_hugepage=madvise would give them some");
    }
    super::report::remember_start(supervisor.name());
    affinity::confine(&options);
    if let Err(error) = process::outlive_large_files() {
        tracing::warn!(%error, "a file over RLIMIT_FSIZE will end the process");
    }
    if let Some(limit_bytes) = process::address_limit().filter(|&limit| limit < ADDRESS_BYTES_MIN) {
        tracing::warn!(
            limit_bytes,
            "RLIMIT_AS limits the address space, of which more is reserved than used: the process may end for want of it. Lift it \
             (`ulimit -v unlimited`, systemd LimitAS=infinity); maxmemory limits what is stored"
        );
    }
    // The executors' own rings, which come first, end the process without a word that helps.
    super::ring::try_out().map_err(|error| error.to_string())?;
    if !options.renames.is_empty() && !crate::commands::table::rename(&options.renames) {
        return Err("commands were used before they were renamed".to_string());
    }
    let users = Arc::new(super::acl::users_at_start(&options)?);
    let cores_count = usize::try_from(options.threads).unwrap_or(1).max(1);
    let clients_max = process::raise_open_files(options.maxclients as u32, cores_count);
    if clients_max == 0 {
        let error = std::io::Error::from_raw_os_error(libc::EMFILE);
        let remedy = process::core_remedy(&error, process::address_limit().is_some());
        return Err(format!("there is no room for clients: {remedy}"));
    }
    if i64::from(clients_max) < options.maxclients {
        tracing::warn!(
            maxclients = clients_max,
            "the limit of open files (ulimit -n) allows fewer clients than maxclients"
        );
        options.maxclients = i64::from(clients_max);
    }
    let listeners = Listeners::open(&options)?;
    let questions = open_http(&options)?;
    let hasher = match options.hash_seed.as_str() {
        "" => KeyHasher::random(),
        seed => KeyHasher::of_text(seed),
    };
    backup_dir::refuse_misplaced(&options)?;
    let opened = options.appendonly.then(|| recover::open(&options));
    let opened = opened.transpose()?;
    let loaders_count = opened
        .as_ref()
        .map_or(0, |it| it.loaders_count(cores_count));
    let threads_count = THREADS_PER_CORE * cores_count + THREADS_BESIDE + loaders_count;
    process::try_out_threads(threads_count).map_err(|error| {
        let remedy = process::core_remedy(&error, process::address_limit().is_some());
        format!("not enough threads can begin: {error}; {remedy}")
    })?;
    let backup = backup_dir::look(&options)?;
    let signals = Signals::catch()?;
    if let Err(error) = super::title::begin(&options, config_file) {
        tracing::warn!(%error, "cannot set the process title");
    }
    write_pidfile(&options);
    if let Err(error) = process::adjust_oom_score(&options) {
        tracing::warn!(%error, "cannot write the OOM score");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        cores = cores_count,
        pid = std::process::id(),
        "rondo is starting"
    );
    super::settings::warn_of_little_memory(&options);
    tracing::info!("Server initialized");
    spare::remove_left(Path::new(&options.dir));
    let options = Arc::new(options);
    let result = run_cores(
        cores_count,
        (&options, &users),
        config_file,
        (listeners, signals),
        &supervisor,
        questions,
        (hasher, opened, backup),
    );
    if !options.pidfile.is_empty() {
        // Gone already is as good.
        let _ = std::fs::remove_file(&options.pidfile);
    }
    spare::SPARES.remove_all();
    result
}

/// Listens for HTTP where an option says so.
fn open_http(options: &Options) -> Result<Arc<Questions>, String> {
    let questions = Arc::<Questions>::default();
    let port = options.metrics_port as u16;
    if port > 0 {
        let bind = options.metrics_bind.as_str();
        let listener = std::net::TcpListener::bind((bind, port))
            .map_err(|error| format!("cannot listen for HTTP on {bind} port {port}: {error}"))?;
        http::serve(listener, questions.clone())
            .map_err(|error| format!("cannot serve HTTP: {error}"))?;
        tracing::info!(port, "figures over HTTP");
    }
    Ok(questions)
}

fn run_cores(
    cores_count: usize,
    (options, users): (&Arc<Options>, &Arc<Users>),
    config_file: &str,
    first: (Listeners, Signals),
    supervisor: &Supervisor,
    questions: Arc<Questions>,
    (hasher, opened, backup): (KeyHasher, Option<Opened>, Option<Found>),
) -> Result<(), String> {
    let board = Board::new(cores_count);
    if let Some(found) = backup {
        super::snapshot::lock(&board.backup).adopt(found);
    }
    let gate = Arc::downgrade(&board);
    let is_serving = move || {
        let gate = gate
            .upgrade()
            .map(|board| board.gate.load(Ordering::Relaxed));
        gate.is_some_and(|gate| gate & GATE_LOADING == 0)
    };
    if let Err(error) = process::prepare_huge_pages(options, is_serving) {
        tracing::warn!(%error, "no thread for huge pages");
    }
    let load = begin_load(options, &board)?;
    let log_load =
        opened.map(|opened| LogLoad::begin(opened, options.clone(), hasher.clone(), &board, true));
    let ending = Ending::new(cores_count, first.1.unread_count());
    let ledger = Ledger::new(cores_count);
    let failure: Arc<Mutex<Option<String>>> = Arc::default();
    let (listed, allowed) = (options.server_cpus(), process::allowed_cpus());
    let pins = affinity::pins(options.pin_threads, cores_count, &listed, &allowed);
    let has_address_limit = process::address_limit().is_some();
    // glommio places a core by the machine's topology, and panics where that says nothing: a package of -1, as on some ARM boards
    // and virtual machines. It does so as well where the placement is refused.
    let can_place = glommio::CpuSet::online().is_ok() && process::may_keep_on(&allowed);
    give_back::start();
    let ways = first.0.ways();
    let mut first = Some(first);
    let config_file: Arc<str> = config_file.into();
    let mut threads = Vec::new();
    let (ready, started) = mpsc::channel();
    for (id, mesh) in mesh::build(cores_count, &board).into_iter().enumerate() {
        let own_cpu = pins.get(id).copied();
        let placement = match own_cpu.filter(|_| can_place) {
            Some(cpu) => Placement::Fixed(cpu),
            None => Placement::Unbound,
        };
        let (listeners, signals) = match first.take() {
            Some((listeners, signals)) => (listeners, Some(signals)),
            None => (Listeners::default(), None),
        };
        let seat = Seat {
            id,
            mesh,
            listeners,
            signals,
            options: options.clone(),
            users: users.clone(),
            hasher: hasher.clone(),
            ending: ending.clone(),
            ledger: ledger.clone(),
            config_file: config_file.clone(),
            questions: questions.clone(),
            ready: ready.clone(),
            load: load.clone().filter(|_| id == 0),
            log_load: log_load.clone().filter(|_| id == 0),
        };
        let failed = failure.clone();
        let thread = LocalExecutorBuilder::new(placement)
            .name(&format!("rondo-{id}"))
            .io_memory(GLOMMIO_IO_BYTES)
            .ring_depth(GLOMMIO_RING_DEPTH)
            .spawn(move || async move {
                super::time_slice::shorten();
                if let Some(cpu) = own_cpu {
                    let pinned = match can_place {
                        true => Ok(()),
                        false => process::keep_on(&[cpu]),
                    };
                    match pinned {
                        Ok(()) => process::note_pinned(cpu),
                        Err(error) => {
                            tracing::warn!(core = id, cpu, %error, "a core is not pinned");
                        }
                    }
                }
                if let Err(text) = seat.run().await {
                    failed
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .get_or_insert(text);
                    // The other cores cannot serve without this one's shard.
                    std::process::exit(fail(&failed));
                }
            })
            .map_err(|error| match error {
                glommio::GlommioError::IoError(error) => {
                    let remedy = process::core_remedy(&error, has_address_limit);
                    format!("core {id} cannot start: {error}; {remedy}")
                }
                error => format!("core {id} cannot start: {error}"),
            })?;
        threads.push(thread);
    }
    drop(ready);
    // What was loaded holds the lock of its directory: cores let go of that when logs begin elsewhere.
    drop((load, log_load));
    let missing = wait_for_all(&started, cores_count);
    if let Some(id) = missing {
        // The other cores cannot serve without this one's shard, and nobody would ever tell them to stop.
        let reason = match threads.swap_remove(id).join() {
            Err(glommio::GlommioError::IoError(error)) => {
                let remedy = process::core_remedy(&error, has_address_limit);
                format!("core {id} cannot start: {error}; {remedy}")
            }
            Err(error) => format!("core {id} cannot start: {error}"),
            Ok(()) => format!("core {id} cannot start"),
        };
        log::tell_failure(&reason);
        std::process::exit(1);
    }
    if wait_until_loaded(&board, &ending) {
        ways.iter().for_each(Way::tell);
        supervisor.tell_ready();
    }
    for thread in threads {
        thread
            .join()
            .map_err(|error| format!("a core ended early: {error}"))?;
    }
    // What was given up leaves no file behind.
    board.background.wait(FILES_END_MAX);
    supervisor.tell_stopping();
    if ending.is_impatient.load(Ordering::SeqCst) {
        return Err("a second SIGINT: the final RDB snapshot is not saved".to_string());
    }
    if ending.has_lost.load(Ordering::SeqCst) {
        return Err("an append-only log could not be written to its end".to_string());
    }
    tracing::info!("rondo is now ready to exit, bye bye...");
    Ok(())
}

/// Begins to load the RDB file, where there is one.
fn begin_load(options: &Options, board: &Arc<Board>) -> Result<Option<Arc<Load>>, String> {
    // The log is the whole truth, or becomes that of this file: `node/adoption.rs`. And a file without a name is none.
    if options.appendonly || options.dbfilename.is_empty() {
        return Ok(None);
    }
    let plan = LoadPlan {
        path: Path::new(&options.dir).join(&options.dbfilename),
        map: options.slot_map(board.cores.len()),
        checks: options.rdbchecksum,
        flushes: false,
        replaces: false,
    };
    Load::begin(plan, board).map_err(|reason| format!("cannot load {reason}"))
}

/// Waits until every core serves; names one that will not, whose end of the channel went without a word.
fn wait_for_all(started: &mpsc::Receiver<usize>, cores_count: usize) -> Option<usize> {
    let mut has_started = vec![false; cores_count];
    while let Ok(id) = started.recv() {
        has_started[id] = true;
    }
    has_started.iter().position(|has_started| !has_started)
}

fn fail(failure: &Mutex<Option<String>>) -> i32 {
    let text = failure
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take();
    log::tell_failure(&text.unwrap_or_default());
    1
}

/// Waits until commands are run; false: the process ends instead. A load that fails ends it, too.
fn wait_until_loaded(board: &Board, ending: &Ending) -> bool {
    while board.gate.load(Ordering::Acquire) & GATE_LOADING != 0 {
        if ending.has_begun() {
            return false;
        }
        std::thread::sleep(LOADED_EVERY);
    }
    true
}

/// What one core starts with.
struct Seat {
    id: usize,
    mesh: Mesh,
    listeners: Listeners,
    signals: Option<Signals>,
    options: Arc<Options>,
    users: Arc<Users>,
    hasher: KeyHasher,
    ending: Arc<Ending>,
    ledger: Arc<Ledger>,
    config_file: Arc<str>,
    questions: Arc<Questions>,
    /// Told once, when the core can serve.
    ready: mpsc::Sender<usize>,
    /// What is loaded first; core 0 only.
    load: Option<Arc<Load>>,
    /// Or these; core 0 only.
    log_load: Option<Arc<LogLoad>>,
}

impl Seat {
    async fn run(self) -> Result<(), String> {
        let ring = Ring::new(process::lockable_bytes_per_core(self.mesh.cores_count()))
            .map_err(|error| error.to_string())?;
        let slots = self.options.slot_map(self.mesh.cores_count());
        let keys =
            super::settings::keyspace_options(&self.options, &self.hasher, slots, self.id as u16);
        let mut shard = Shard::new(self.id as u16, Keyspace::new(keys));
        shard.share_ledger(self.ledger);
        let mut core = Core::new(CoreParts {
            id: self.id as u16,
            shard,
            mesh: self.mesh,
            options: self.options,
            users: self.users,
            hasher: self.hasher,
            ending: self.ending,
            config_file: self.config_file,
            questions: self.questions,
            listeners: self.listeners,
        });
        if let Some(load) = self.load {
            core.adopt_load(load);
        }
        if let Some(load) = self.log_load {
            core.adopt_log_load(load);
        }
        let core_loop = CoreLoop::new(core, ring, self.signals);
        let ready = self.ready;
        // Nobody listens any more only where the start has failed already.
        let _ = ready.send(self.id);
        drop(ready);
        core_loop.run().await;
        Ok(())
    }
}

/// A pidfile that cannot be written is no reason not to serve: many configurations name a folder of a package that is not there.
fn write_pidfile(options: &Options) {
    if options.pidfile.is_empty() {
        return;
    }
    if let Err(error) = std::fs::write(&options.pidfile, format!("{}\n", std::process::id())) {
        tracing::warn!(%error, path = options.pidfile, "cannot write the pidfile");
    }
}
