//! Many shards, one thread, a mesh of seeded delays: histories of random clients are strictly serialisable.
//!
//!     SEED=7 cargo test sim                replays one seed
//!     SIM_SEEDS=10000 cargo test sim       looks at more (make sim); SIM_FIRST=10000 begins there

mod blocks; // WATCH and EXEC, as their cores know them
mod checker; // is there an order of the whole history that one server could have answered
mod cluster; // cores, their shards and the mesh between them
mod collections; // lists, sets, sorted sets, hashes and streams of that server
mod figures; // what the seeds reached
mod model; // one server, plainly
mod scripts; // scripts, as their cores know them
mod waiting; // clients that wait, as their cores know them
mod workload; // what clients send

use cluster::{Cluster, Mutant};
use figures::Figures;
use rondo::base::rng::Rng;
use workload::Family;

/// What a seed decides before its clients start.
pub struct Scenario {
    pub seed: u64,
    pub shards_count: u16,
    pub clients_count: usize,
    pub operations_count: usize,
    /// Requests a client may have under way.
    pub window: usize,
    pub mutant: Mutant,
    /// What its keys hold besides strings.
    pub family: Family,
}

impl Scenario {
    fn of_seed(seed: u64, mutant: Mutant) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x51ed_270b);
        let clients_count = 2 + rng.below(3) as usize;
        Self {
            seed,
            shards_count: 2 + rng.below(4) as u16,
            clients_count,
            operations_count: 24 / clients_count,
            window: if rng.below(3) == 0 { 3 } else { 1 },
            mutant,
            family: Family::of_seed(seed),
        }
    }
}

/// Runs one seed; what went wrong, if anything.
fn run(seed: u64, mutant: Mutant) -> Result<Figures, String> {
    let mut cluster = Cluster::new(Scenario::of_seed(seed, mutant));
    let history = cluster.run()?;
    checker::check(&history)?;
    Ok(cluster.figures())
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    match (number("SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => {
            let first = number("SIM_FIRST").unwrap_or(0);
            first..first + count
        }
        (None, None) => 0..300,
    }
}

#[test]
fn histories_are_strictly_serialisable() {
    let mut total = Figures::default();
    for seed in seeds() {
        match run(seed, Mutant::None) {
            Ok(figures) => total.add(&figures),
            Err(problem) => panic!("SEED={seed}\n{problem}"),
        }
    }
    println!("{total:?}");
    // The seeds are worth nothing unless they reach what they are for.
    if seeds().count() >= 300 {
        assert!(total.transactions_count > 1000, "{total:?}");
        assert!(total.retries_count > 10, "{total:?}");
        assert!(total.deferred_count > 100, "{total:?}");
        assert!(total.blocks_count > 500, "{total:?}");
        assert!(total.watched_blocks_count > 50, "{total:?}");
        assert!(total.refused_blocks_count > 20, "{total:?}");
        assert!(total.scripts_count > 500, "{total:?}");
        assert!(total.in_place_count > 50, "{total:?}");
        assert!(total.left_count > 5, "{total:?}");
        assert!(total.anew_count > 20, "{total:?}");
        assert!(total.in_line_count > 20, "{total:?}");
        assert!(total.seizures_count > 200, "{total:?}");
        assert!(total.wounds_count > 5, "{total:?}");
        assert!(total.waited_count > 200, "{total:?}");
        assert!(total.served_count > 100, "{total:?}");
        assert!(total.timeouts_count > 20, "{total:?}");
        assert!(total.asked_count > 20, "{total:?}");
        assert!(total.vain_looks_count > 1, "{total:?}");
        assert!(total.overlapping_count > 100, "{total:?}");
        assert!(total.hopped_blocks_count > 20, "{total:?}");
        assert!(total.deferred_blocks_count > 1, "{total:?}");
    }
}

/// Replies come an element at a time, while others write, wait, run blocks and scripts on the same keys.
#[test]
fn long_replies_are_strictly_serialisable() {
    let mut total = Figures::default();
    for seed in seeds() {
        let mut cluster = Cluster::new(Scenario {
            family: Family::Reads,
            ..Scenario::of_seed(seed, Mutant::None)
        });
        let checked = cluster.run().and_then(|history| checker::check(&history));
        if let Err(problem) = checked {
            panic!("SEED={seed}\n{problem}");
        }
        total.add(&cluster.figures());
    }
    println!("{total:?}");
    if seeds().count() >= 300 {
        assert!(total.long_count > 200, "{total:?}");
    }
}

/// Seeds beyond those of every run that found something once.
#[test]
fn what_was_found_once_stays_mended() {
    for seed in [5430, 5637, 18_693, 19_802, 24_035, 42_659] {
        if let Err(problem) = run(seed, Mutant::None) {
            panic!("SEED={seed}\n{problem}");
        }
    }
}

/// Forty clients on six keys: nobody waits for ever, and nobody is turned away over and over by those who came later.
/// Too many for the checker; what is checked is that all of them get their replies and nothing is left behind.
#[test]
fn a_crowd_on_few_keys_gets_through() {
    for seed in 0..6 {
        let mut cluster = Cluster::new(Scenario {
            seed,
            shards_count: 2 + seed as u16,
            clients_count: 40,
            operations_count: 60,
            window: 1 + seed as usize % 3,
            mutant: Mutant::None,
            family: Family::of_seed(seed),
        });
        if let Err(problem) = cluster.run() {
            panic!("seed {seed}: {problem}");
        }
        println!("{:?}", cluster.figures());
    }
}

/// Seeds a broken server may survive at most.
const MUTANT_SEEDS_MAX: u64 = 300;

#[test]
fn a_server_without_locks_is_found_out() {
    check_found_out(Mutant::WithoutLocks);
}

#[test]
fn a_server_that_releases_before_the_last_phase_is_found_out() {
    check_found_out(Mutant::ReleasesBeforeLastPhase);
}

#[test]
fn a_server_that_lets_go_what_it_has_read_is_found_out() {
    check_found_out(Mutant::ReleasesAfterRead);
}

#[test]
fn a_server_that_ignores_watches_is_found_out() {
    check_found_out(Mutant::IgnoresWatches);
}

#[test]
fn a_server_whose_scripts_lock_nothing_more_is_found_out() {
    check_found_out(Mutant::SeizesNothing);
}

#[test]
fn a_server_that_serves_the_last_to_come_first_is_found_out() {
    check_found_out(Mutant::ServesLastFirst);
}

#[test]
fn a_server_that_forgets_who_was_asked_in_vain_is_found_out() {
    check_complaint(Mutant::RestsNobody, cluster::LEFT_BEHIND);
}

#[test]
fn a_server_that_does_not_look_what_is_under_way_is_found_out() {
    check_found_out(Mutant::KeepsNoOrder);
}

fn check_found_out(mutant: Mutant) {
    check_complaint(mutant, checker::NOT_SERIALISABLE);
}

fn check_complaint(mutant: Mutant, complaint: &str) {
    let is_found_out = |seed| match run(seed, mutant) {
        Ok(_) => false,
        Err(problem) => problem.starts_with(complaint),
    };
    let first = (0..MUTANT_SEEDS_MAX).find(|&seed| is_found_out(seed));
    println!("{mutant:?}: found out by seed {first:?}");
    assert!(
        first.is_some(),
        "{mutant:?} survives {MUTANT_SEEDS_MAX} seeds"
    );
}
