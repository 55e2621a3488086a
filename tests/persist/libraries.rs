//! Changes of libraries are read back as they were logged; what is something else is none.

use rondo::persist::libraries::LibraryChange;
use rondo::resp::args::OwnedArgs;

fn read(words: &[Vec<u8>]) -> Option<(u64, LibraryChange)> {
    let args: OwnedArgs = words.iter().map(Vec::as_slice).collect();
    LibraryChange::from_words(&args.as_args())
}

#[test]
fn changes_are_read_back() {
    let (name, code) = (b"lib".to_vec(), b"#!lua name=lib\nreturn".to_vec());
    let changes = [
        LibraryChange::Put {
            name: name.clone(),
            code: code.clone(),
        },
        LibraryChange::Drop { name },
        LibraryChange::Are(vec![code.clone(), code]),
        LibraryChange::Are(Vec::new()),
    ];
    for (version, change) in changes.into_iter().enumerate() {
        let words = change.words(version as u64);
        assert_eq!(read(&words), Some((version as u64, change)));
    }
}

#[test]
fn what_is_no_change_is_none() {
    let lines = [
        "FUNCTION",
        "FUNCTION ARE",
        "FUNCTION PUT 1 name",
        "FUNCTION PUT 1 name code more",
        "FUNCTION DROP 1",
        "FUNCTION DROP x name",
        "FUNCTION LOAD 1 code",
        "SET ARE 1",
    ];
    for line in lines {
        let words: Vec<Vec<u8>> = line
            .split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect();
        assert_eq!(read(&words), None, "{line}");
    }
}
