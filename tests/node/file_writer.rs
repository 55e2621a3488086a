//! A file is what was written to it, whatever its size and in whatever pieces it came.

use rondo::node::file_writer::FileWriter;

const MIB: usize = 1 << 20;

#[test]
fn a_file_is_as_long_as_what_was_written() {
    let path = std::env::temp_dir().join(format!("rondo-file-writer-{}", std::process::id()));
    for size in [
        0,
        1,
        4095,
        4096,
        4097,
        MIB - 1,
        MIB,
        MIB + 1,
        3 * MIB + 5000,
    ] {
        for piece in [1000, 4096, 3 * MIB] {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
            // What a longer one has left is gone.
            std::fs::write(&path, vec![b'x'; size + 9000]).expect("a file");
            let mut out = FileWriter::create(&path, 0o600).expect("a file");
            for part in bytes.chunks(piece) {
                out.write_all(part).expect("room");
            }
            assert_eq!(out.finish().expect("room"), size as u64);
            assert!(
                std::fs::read(&path).expect("a file") == bytes,
                "{size}, {piece}"
            );
        }
    }
    std::fs::remove_file(&path).expect("a file");
}

#[test]
fn a_file_that_is_written_over_is_as_long_as_what_was_written() {
    let path = std::env::temp_dir().join(format!("rondo-file-over-{}", std::process::id()));
    for before in [0, 1, 4096, MIB + 1, 5 * MIB + 77] {
        for size in [0, 1, 4096, 4097, MIB, 3 * MIB + 5000] {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
            std::fs::write(&path, vec![b'x'; before]).expect("a file");
            let mut out = FileWriter::over(&path).expect("a file");
            out.write_all(&bytes).expect("room");
            assert_eq!(out.finish().expect("room"), size as u64);
            assert!(
                std::fs::read(&path).expect("a file") == bytes,
                "{size} over {before}"
            );
        }
    }
    std::fs::remove_file(&path).expect("a file");
}
