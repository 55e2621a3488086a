use rondo::persist::manifest::{Base, Epoch, Manifest};

fn manifest() -> Manifest {
    let epoch = |number, cores, groups: &str, base, ends| Epoch {
        number,
        cores,
        seed: u64::MAX - number,
        is_begun: number > 4,
        groups: groups.to_string(),
        base,
        ends,
    };
    let base = Base {
        number: 3,
        lsns: vec![12, 40],
    };
    Manifest {
        epochs: vec![
            epoch(4, 2, "bull:* base", Some(base), Some(vec![310, 0])),
            epoch(5, 1, "", None, Some(vec![7])),
            epoch(6, 4, "ends", None, None),
        ],
    }
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    for manifest in [Manifest::default(), manifest()] {
        assert_eq!(Manifest::from_text(&manifest.to_text()), Ok(manifest));
    }
    assert_eq!(manifest().next_number(), 7);
    assert_eq!(Manifest::default().next_number(), 1);
}

#[test]
fn a_changed_byte_or_a_cut_is_refused() {
    let text = manifest().to_text();
    for at in 0..text.len() - 1 {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let text = String::from_utf8(bytes).expect("ascii");
        assert!(Manifest::from_text(&text).is_err(), "byte {at}");
    }
    for end in 0..text.len() - 1 {
        assert!(Manifest::from_text(&text[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn another_version_is_told() {
    let told = Manifest::from_text("rondo-log 2\nanything\n");
    let text = "it is of another version (\"rondo-log 2\", this is \"rondo-log 1\")";
    assert_eq!(told, Err(text.to_string()));
}

/// What is counted on from a number leads nowhere else.
#[test]
fn numbers_of_records_that_no_log_has_are_refused() {
    let with = |lsn| {
        let mut manifest = manifest();
        manifest.epochs[1].ends = Some(vec![lsn]);
        Manifest::from_text(&manifest.to_text())
    };
    assert!(with(i64::MAX as u64).is_ok());
    for lsn in [1 << 63, u64::MAX] {
        assert_eq!(with(lsn), Err("a line of it cannot be read".to_string()));
        let mut manifest = manifest();
        manifest.epochs[2].number = lsn;
        assert!(Manifest::from_text(&manifest.to_text()).is_err());
    }
}

#[test]
fn more_cores_than_there_may_be_are_refused() {
    let with = |cores| {
        let mut manifest = manifest();
        manifest.epochs[2].cores = cores;
        Manifest::from_text(&manifest.to_text())
    };
    assert!(with(1024).is_ok());
    for cores in [0, 1025, u16::MAX] {
        assert_eq!(with(cores), Err("a line of it cannot be read".to_string()));
    }
}
