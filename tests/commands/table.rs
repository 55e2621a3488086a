//! Lookup by name, and the texts for what is not there.

use super::say::{check_replies, say};
use rondo::commands::{CommandError, table};
use rondo::resp::args::OwnedArgs;

// Every name is found as it is, in lower case and with the case of its letters mixed; and finds its own row.
#[test]
fn every_name_is_found_in_any_case() {
    for entry in table().entries() {
        let name = entry.command.name;
        let mixed: String = name
            .chars()
            .enumerate()
            .map(|(index, letter)| match index % 2 {
                0 => letter.to_ascii_lowercase(),
                _ => letter,
            })
            .collect();
        for word in [name, &name.to_ascii_lowercase(), &mixed] {
            let found = table().find(word.as_bytes()).expect(word);
            assert!(
                std::ptr::eq(found, entry),
                "{word} finds {}",
                found.full_name
            );
        }
    }
}

// Names that differ from a real one in a byte, a bit that case folding clears included, or in length.
#[test]
fn near_misses_are_not_found() {
    for entry in table().entries() {
        let name = entry.command.name.as_bytes();
        for at in 0..name.len() {
            for bit in [0x01, 0x40, 0x80] {
                let mut word = name.to_vec();
                word[at] ^= bit;
                let found = table()
                    .find(&word)
                    .map(|entry| entry.command.name.as_bytes());
                assert!(found.is_none_or(|found| found.eq_ignore_ascii_case(&word)));
            }
        }
        assert!(
            table()
                .find(&name[..name.len() - 1])
                .is_none_or(|found| found.index != entry.index)
        );
        assert!(table().find(&[name, b"Y"].concat()).is_none());
    }
    assert!(table().find(b"").is_none());
    // A digit and the letter it folds onto must not be confused: 'S' is 0x53, 0x73 and '3' is 0x33.
    assert!(table().find(b"3ET").is_none());
}

#[test]
fn rows_are_numbered_in_order() {
    let indexes: Vec<usize> = table()
        .rows()
        .map(|entry| usize::from(entry.index))
        .collect();
    assert_eq!(indexes, (0..table().len()).collect::<Vec<_>>());
}

#[test]
fn full_names_are_lower_case_with_the_container() {
    assert_eq!(
        table().find_full(b"Config|SET").unwrap().full_name,
        "config|set"
    );
    assert_eq!(table().find_full(b"get").unwrap().full_name, "get");
    assert!(table().find_full(b"config|nosuch").is_none());
    assert!(table().find_full(b"get|x").is_none());
}

fn refusal(words: &[&[u8]]) -> String {
    let owned: OwnedArgs = words.iter().copied().collect();
    match table().resolve(&owned.as_args()) {
        Ok(entry) => panic!("{} runs", entry.full_name),
        Err(error) => error.text().replace(['\r', '\n'], " "),
    }
}

// Recorded from Redis 8.0.6; words are cut so that the list of them ends near 128 bytes.
#[test]
fn unknown_commands_are_quoted_with_limits() {
    assert_eq!(
        refusal(&[b"foo"]),
        "ERR unknown command 'foo', with args beginning with: "
    );
    assert_eq!(
        refusal(&[b"foo", b"a", b"b c"]),
        "ERR unknown command 'foo', with args beginning with: 'a' 'b c' "
    );
    assert_eq!(
        refusal(&[b"foo", b"a\r\nb"]),
        "ERR unknown command 'foo', with args beginning with: 'a  b' "
    );
    // What is no UTF-8 is repeated as it is, and a NUL ends a word.
    let bytes: OwnedArgs = [b"f\xffo".as_slice(), b"\xfe\x80\x00x"]
        .into_iter()
        .collect();
    let Err(error) = table().resolve(&bytes.as_args()) else {
        panic!("there is no such command");
    };
    assert_eq!(
        *error.line(),
        *b"ERR unknown command 'f\xffo', with args beginning with: '\xfe\x80' "
    );
    let long = [b'z'; 100];
    assert_eq!(
        refusal(&[b"foo", &long, &long, &long]),
        format!(
            "ERR unknown command 'foo', with args beginning with: '{}' '{}' ",
            "z".repeat(100),
            "z".repeat(25)
        )
    );
    let long = [b'q'; 200];
    assert_eq!(
        refusal(&[&long]),
        format!(
            "ERR unknown command '{}', with args beginning with: ",
            "q".repeat(128)
        )
    );
}

#[test]
fn subcommands_and_arity_are_refused_as_a_real_server_does() {
    check_replies(
        "config => -ERR wrong number of arguments for 'config' command
        config foo => -ERR unknown subcommand 'foo'. Try CONFIG HELP.
        config get => -ERR wrong number of arguments for 'config|get' command
        config set a => -ERR wrong number of arguments for 'config|set' command
        config resetstat x => -ERR wrong number of arguments for 'config|resetstat' command
        client => -ERR wrong number of arguments for 'client' command
        client foo => -ERR unknown subcommand 'foo'. Try CLIENT HELP.
        client id x => -ERR wrong number of arguments for 'client|id' command
        object => -ERR wrong number of arguments for 'object' command
        object foo => -ERR unknown subcommand 'foo'. Try OBJECT HELP.
        echo => -ERR wrong number of arguments for 'echo' command
        ping a b => -ERR wrong number of arguments for 'ping' command
        reset x => -ERR wrong number of arguments for 'reset' command
        time x => -ERR wrong number of arguments for 'time' command
        debug foo => -ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP.
        debug sleep => -ERR unknown subcommand or wrong number of arguments for 'sleep'. Try DEBUG HELP.
        cluster => -ERR wrong number of arguments for 'cluster' command
        cluster foo => -ERR unknown subcommand 'foo'. Try CLUSTER HELP.
        cluster info => -ERR This instance has cluster support disabled
        cluster migrateslots slotsrange 0 1 => -ERR This instance has cluster support disabled
        cluster slot-stats orderby x => -ERR This instance has cluster support disabled
        clusterscan 0 => -ERR This instance has cluster support disabled
        cluster slots => -ERR This instance has cluster support disabled
        readonly => -ERR This instance has cluster support disabled
        readwrite => -ERR This instance has cluster support disabled
        asking => -ERR This instance has cluster support disabled",
    );
}

#[test]
fn an_arity_error_is_a_kind_of_its_own() {
    let owned: OwnedArgs = [b"GET".as_slice()].into_iter().collect();
    let error = table().resolve(&owned.as_args()).err();
    assert_eq!(error, Some(CommandError::Arity("get")));
}

#[test]
fn help_lists_what_the_table_has() {
    let help = say(&["config", "help"]);
    assert!(
        help.starts_with("*11 +CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are: ")
    );
    assert!(help.contains("+GET parameter [parameter ...] "));
    assert!(help.contains("+SET parameter value [parameter value ...] "));
    assert!(help.contains("+HELP "));
}
