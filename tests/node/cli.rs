//! The command line, compared with redis-server's reading of the same words.

use rondo::commands::identity::RONDO_VERSION;
use rondo::node::Options;
use rondo::node::cli::{Stop, from_command_line, threads_available};

fn start_with(words: &[&str], input: &str) -> Result<Options, Stop> {
    let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
    from_command_line(&words, std::iter::empty(), &mut input.as_bytes()).map(|start| start.options)
}

fn start(words: &[&str]) -> Options {
    match start_with(words, "") {
        Ok(options) => options,
        Err(stop) => panic!("{stop:?}"),
    }
}

fn failure(words: &[&str]) -> String {
    match start_with(words, "") {
        Err(Stop::Failed(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn options_are_read_from_words() {
    let options = start(&[
        "--port",
        "7777",
        "--save",
        "",
        "--bind",
        "10.0.0.1",
        "::1",
        "--threads",
        "3",
    ]);
    assert_eq!(options.port, 7777);
    assert_eq!(options.bind, ["10.0.0.1", "::1"]);
    assert_eq!(options.threads, 3);
    assert_eq!(start(&["--port 7777"]).port, 7777);
    assert_eq!(start(&["--PORT", "7777"]).port, 7777);
    assert_eq!(start(&["--port", "1", "--port", "2"]).port, 2);
    // A first value may look like an option.
    assert_eq!(
        start(&["--requirepass", "--x", "--port", "9"]).requirepass,
        "--x"
    );
    assert_eq!(start(&["--save", "--port", "9"]).port, 9);
    assert_eq!(start(&["--port", "9", "--save"]).port, 9);
}

fn start_in(environment: &[(&str, &str)], words: &[&str]) -> Result<Options, Stop> {
    let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
    let environment = environment
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    from_command_line(&words, environment, &mut "timeout 3\nport 5\n".as_bytes())
        .map(|start| start.options)
}

/// The environment stands between the file and the command line.
#[test]
fn variables_are_options() {
    let environment = [
        ("PATH", "/bin"),
        ("RONDO_PORT", "7777"),
        ("RONDO_REQUIREPASS", "a \"b\""),
        ("RONDO_MAXCLIENTS", "100"),
    ];
    let options = start_in(&environment, &["-", "--maxclients", "200"]).unwrap();
    assert_eq!((options.port, options.timeout), (7777, 3));
    assert_eq!(options.maxclients, 200);
    assert_eq!(options.requirepass, "a \"b\"");
    // What Kubernetes and Docker tell of services that are called rondo and rondo-main.
    let services = [
        ("RONDO_SERVICE_HOST", "10.0.0.1"),
        ("RONDO_SERVICE_PORT", "6379"),
        ("RONDO_SERVICE_PORT_REDIS", "6379"),
        ("RONDO_PORT", "tcp://10.0.0.1:6379"),
        ("RONDO_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
        ("RONDO_PORT_6379_TCP_PROTO", "tcp"),
        ("RONDO_PORT_6379_TCP_PORT", "6379"),
        ("RONDO_PORT_6379_TCP_ADDR", "10.0.0.1"),
        ("RONDO_MAIN_SERVICE_HOST", "10.0.0.1"),
        ("RONDO_NAME", "/web/rondo"),
        ("RONDO_ENV_LANG", "C"),
        ("RONDO_MAIN_PORT", "tcp://10.0.0.1:6379"),
        ("RONDO_MAXCLIENTS", "100"),
    ];
    let options = start_in(&services, &[]).unwrap();
    assert_eq!((options.port, options.maxclients), (6379, 100));
    assert_eq!(
        start_in(&[("RONDO_PROT", "1")], &[]),
        Err(Stop::Failed(
            "RONDO_PROT: there is no option 'prot'".to_string()
        ))
    );
}

/// A configuration that asks Redis for threads gets as many here; its default asks for nothing.
#[test]
fn io_threads_and_cpus_say_how_many_threads() {
    assert_eq!(start(&["--io-threads", "3"]).threads, 3);
    assert_eq!(start(&["--io-threads", "1"]).threads, threads_available());
    assert_eq!(start(&["--io-threads", "3", "--threads", "2"]).threads, 2);
    assert_eq!(start(&["--server-cpulist", "0-6:2,9"]).threads, 5);
    let options = start(&["--server_cpulist", "0-6:2,9"]);
    assert_eq!(options.server_cpus(), [0, 2, 4, 6, 9]);
    for list in ["a", "3-1", "0-9:0", "1024", "1,,2", "-1"] {
        assert!(failure(&["--server-cpulist", list]).contains("must be a list of CPUs"));
    }
}

#[test]
fn threads_default_to_the_cores_there_are() {
    assert_eq!(start(&[]).threads, threads_available());
    assert!(threads_available() >= 1);
}

#[test]
fn hz_is_brought_into_its_range() {
    assert_eq!(start(&["--hz", "0"]).hz, 1);
    assert_eq!(start(&["--hz", "100000"]).hz, 500);
}

#[test]
fn standard_input_is_read_before_the_words() {
    let options = start_with(&["-", "--timeout", "5"], "port 7001\ntimeout 4").unwrap();
    assert_eq!((options.port, options.timeout), (7001, 5));
    let options = start_with(&["--timeout", "5", "-"], "timeout 4").unwrap();
    assert_eq!(options.timeout, 5);
}

#[test]
fn a_file_comes_before_the_words() {
    let path = std::env::temp_dir().join(format!("rondo-cli-{}.conf", std::process::id()));
    std::fs::write(&path, "port 7002\ntimeout 4\n").unwrap();
    let name = path.display().to_string();
    let words = [name.clone(), "--timeout".to_string(), "6".to_string()];
    let started = from_command_line(&words, std::iter::empty(), &mut std::io::empty()).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((started.options.port, started.options.timeout), (7002, 6));
    assert_eq!(started.config_file, name);
    assert_eq!(
        failure(&["/nonexist.conf"]),
        "Fatal error, can't open config file '/nonexist.conf': No such file or directory"
    );
}

// Line numbers and quoting as redis-server shows them: the words come after an empty line.
#[test]
fn errors_are_shown_as_lines() {
    let fatal = |text: &str, reason: &str| {
        format!(
            "\n*** FATAL CONFIG FILE ERROR (rondo {RONDO_VERSION}) ***\nReading the configuration file, at line 2\n>>> \
             '{text}'\n{reason}"
        )
    };
    assert_eq!(
        failure(&["--port", "a"]),
        fatal("port \"a\"", "argument couldn't be parsed into an integer")
    );
    assert_eq!(
        failure(&["--port", "1", "2"]),
        fatal("port \"1\" \"2\"", "wrong number of arguments")
    );
    let one_of = "argument(s) must be one of the following: default, save, nosave, now, force";
    assert_eq!(
        failure(&["--shutdown-on-sigint"]),
        fatal("shutdown-on-sigint", one_of)
    );
    assert_eq!(
        failure(&["--port", "--bla", "--loglevel", "verbose"]),
        fatal(
            "port \"--bla\"",
            "argument couldn't be parsed into an integer"
        )
    );
    assert_eq!(
        failure(&["--port"]),
        fatal("port", "wrong number of arguments")
    );
    assert_eq!(
        failure(&["--foo", "bar"]),
        fatal("foo \"bar\"", "Bad directive or wrong number of arguments")
    );
    assert_eq!(
        failure(&["--enable-module-command", "yes"]),
        fatal("enable-module-command \"yes\"", "rondo loads no modules")
    );
}

#[test]
fn help_and_version_are_told() {
    let told = |words: &[&str]| match start_with(words, "") {
        Err(Stop::Told(text)) => text,
        other => panic!("{other:?}"),
    };
    for word in ["-v", "--version"] {
        // Scripts take the first number for the release, others what is between the fifth and the sixth blank.
        let text = told(&[word]);
        assert!(text.starts_with("Redis server v=8.0."), "{text}");
        let names: Vec<&str> = text
            .split(' ')
            .filter_map(|part| Some(part.split_once('=')?.0))
            .collect();
        assert_eq!(names, ["v", "sha", "malloc", "bits", "build", "rondo"]);
        let own = format!(" rondo={}", env!("CARGO_PKG_VERSION"));
        assert!(text.ends_with(&own), "{text}");
    }
    for word in ["-h", "--help"] {
        let help = told(&[word]);
        assert!(
            help.contains("Network:") && help.contains("--port"),
            "{help}"
        );
        // What has no effect is listed, with why.
        assert!(
            help.contains("dynamic-hz\n          the sweep over clients"),
            "{help}"
        );
    }
    assert_eq!(
        told(&["--check-config", "--port", "1"]),
        "The configuration is good."
    );
    assert_eq!(
        failure(&["--check-config", "--dir", "/nonexistent"]),
        "dir /nonexistent: No such file or directory"
    );
    assert_eq!(
        failure(&["--check-config", "--tls-port", "1"]),
        "tls-cert-file is not set, and tls-port is"
    );
    assert!(failure(&["--check-config", "--port", "x"]).contains("couldn't be parsed"));
}
