//! What scripts can say and get, error texts with their places, several scripts at once.

use super::runner::{Runner, words};
use rondo::resp::Protocol;
use rondo::script::{Answer, Context, Origin, ScriptId, Step};

/// Each script's reply in RESP2.
fn check(cases: &[(&str, &str)]) {
    let mut runner = Runner::new();
    for (script, reply) in cases {
        assert_eq!(
            &runner.eval(script, &["k1", "k2"], &["a1"]),
            reply,
            "{script}"
        );
    }
}

#[test]
fn results_become_replies() {
    check(&[
        ("return 1", ":1\r\n"),
        ("return 3.99", ":3\r\n"),
        ("return -3.99", ":-3\r\n"),
        ("return 'x'", "$1\r\nx\r\n"),
        ("return", "$-1\r\n"),
        ("return nil", "$-1\r\n"),
        ("return true", ":1\r\n"),
        ("return false", "$-1\r\n"),
        (
            "return {1, 2, {3, 'x'}}",
            "*3\r\n:1\r\n:2\r\n*2\r\n:3\r\n$1\r\nx\r\n",
        ),
        ("return {1, nil, 3}", "*1\r\n:1\r\n"),
        ("return {}", "*0\r\n"),
        ("return {ok='fine'}", "+fine\r\n"),
        ("return {err='MY error'}", "-MY error\r\n"),
        (
            "return {KEYS[1], KEYS[2], ARGV[1], #KEYS, #ARGV}",
            "*5\r\n$2\r\nk1\r\n$2\r\nk2\r\n$2\r\na1\r\n:2\r\n:1\r\n",
        ),
        ("return {double=3.5}", "$3\r\n3.5\r\n"),
        ("return {map={a=1}}", "*2\r\n$1\r\na\r\n:1\r\n"),
        ("return {set={a=true}}", "*1\r\n$1\r\na\r\n"),
        (
            "return {map={a={1,{set={b=1}}}}}",
            "*2\r\n$1\r\na\r\n*2\r\n:1\r\n*1\r\n$1\r\nb\r\n",
        ),
        ("return redis.status_reply('FINE')", "+FINE\r\n"),
        ("return redis.error_reply('FINE')", "-ERR FINE\r\n"),
        ("return redis.error_reply('MY FINE')", "-MY FINE\r\n"),
        ("return redis.error_reply('-MY FINE')", "-MY FINE\r\n"),
        (
            "return redis.sha1hex('')",
            "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n",
        ),
    ]);
}

#[test]
fn commands_reply_and_fail() {
    check(&[
        ("return redis.call('set', 'x', 5)", "+OK\r\n"),
        ("return redis.call('get', 'x')", "$1\r\n5\r\n"),
        ("return redis.call('get', 'none')", "$-1\r\n"),
        ("return redis.call('get', 'none') == false", ":1\r\n"),
        (
            "return redis.call('words', 1, 1.5, 1e15, -0.0, 1e300)",
            "*5\r\n$1\r\n1\r\n$3\r\n1.5\r\n$16\r\n1000000000000000\r\n$1\r\n0\r\n$6\r\n1e+300\r\n",
        ),
        (
            "return redis.pcall('fail')",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "return redis.pcall('fail').err",
            "$65\r\nWRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        (
            "return redis.pcall('nosuch').err",
            "$44\r\nERR Unknown Redis command called from script\r\n",
        ),
        (
            "return {pcall(redis.call, 'nosuch')}",
            "*2\r\n$-1\r\n$44\r\nERR Unknown Redis command called from script\r\n",
        ),
        (
            "return redis.pcall().err",
            "$64\r\nERR Please specify at least one argument for this redis lib call\r\n",
        ),
        ("return redis.acl_check_cmd('get', 'x')", ":1\r\n"),
        ("return redis.acl_check_cmd('flushall')", "$-1\r\n"),
    ]);
}

#[test]
fn an_error_tells_its_script_and_line() {
    let mut runner = Runner::new();
    let mut check = |script: &str, expected: &str| {
        let id = ScriptId::of(script.as_bytes());
        let name = std::str::from_utf8(id.as_bytes()).expect("digits");
        let expected = expected.replace("SHA", name);
        assert_eq!(runner.eval(script, &[], &[]), expected, "{script}");
    };
    check(
        "return print",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'print' script: SHA, on @user_script:1.\r\n",
    );
    check(
        "\n\nredis.call('fail')",
        "-WRONGTYPE Operation against a key holding the wrong kind of value script: SHA, on @user_script:3.\r\n",
    );
    check(
        "x = 1",
        "-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    );
    check(
        "redis.call = 1",
        "-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    );
    check(
        "rawset(_G, 'x', 1)",
        "-ERR Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    );
    check(
        "getmetatable('').__index = 1",
        "-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    );
    check(
        "setmetatable(_G, {})",
        "-ERR Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    );
    check(
        "error('boo')",
        "-ERR user_script:1: boo script: SHA, on @user_script:1.\r\n",
    );
    check(
        "error({err='MY boo'})",
        "-MY boo script: SHA, on @user_script:1.\r\n",
    );
    check(
        "redis.call()",
        "-ERR Please specify at least one argument for this redis lib call script: SHA, on @user_script:1.\r\n",
    );
    check(
        "redis.call({})",
        "-ERR Lua redis lib command arguments must be strings or integers script: SHA, on @user_script:1.\r\n",
    );
    check(
        "return 1 +",
        "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'\r\n",
    );
    check(
        "#!lua flags=bad\nreturn 1",
        "-ERR Unexpected flag in script shebang: bad\r\n",
    );
    check(
        "while true do end",
        "-ERR Script killed by user with SCRIPT KILL... script: SHA, on @user_script:1.\r\n",
    );
    check(
        "while true do pcall(function() while true do end end) end",
        "-ERR Script killed by user with SCRIPT KILL... script: SHA, on @user_script:1.\r\n",
    );
    check(
        "return string.find(string.rep('a', 100), string.rep('a*', 50) .. 'b')",
        "-ERR Script killed by user with SCRIPT KILL... script: SHA, on @user_script:1.\r\n",
    );
    check(
        "local t = {} while true do t[#t + 1] = {} end",
        "-ERR Error running script SHA, not enough memory\r\n",
    );
}

/// RESP3 in both directions.
#[test]
fn types_of_resp3_pass() {
    let mut runner = Runner::new();
    runner.protocol = Protocol::Resp3;
    let mut check =
        |script: &str, reply: &str| assert_eq!(runner.eval(script, &[], &[]), reply, "{script}");
    check("return true", ":1\r\n");
    check("redis.setresp(3) return true", "#t\r\n");
    check("redis.setresp(3) return false", "#f\r\n");
    check("return false", "_\r\n");
    check("return {double=1.5}", ",1.5\r\n");
    check("return {big_number='123\\r4'}", "(123 4\r\n");
    check(
        "return {verbatim_string={format='txt', string='hello'}}",
        "=9\r\ntxt:hello\r\n",
    );
    check("return {map={a=1}}", "%1\r\n$1\r\na\r\n:1\r\n");
    check("return {set={a=1}}", "~1\r\n$1\r\na\r\n");
    for raw in [
        "%1\r\n$1\r\na\r\n:1\r\n",
        "~1\r\n:5\r\n",
        ",1.5\r\n",
        "(1234\r\n",
        "=9\r\ntxt:hello\r\n",
        "#t\r\n",
        "_\r\n",
        "*1\r\n_\r\n",
        "-ERR x\r\n",
        "+x\r\n",
    ] {
        let back = runner.eval(
            &format!("redis.setresp(3) return redis.pcall('raw', {raw:?})"),
            &[],
            &[],
        );
        let expected = if raw == "*1\r\n_\r\n" { "*0\r\n" } else { raw };
        assert_eq!(back, expected);
    }
}

/// Scripts in the middle of commands do not see each other's KEYS or protocol, and end in any order.
#[test]
fn several_scripts_are_under_way() {
    let mut runner = Runner::new();
    let script = b"redis.setresp(tonumber(ARGV[1])) local ok, v = pcall(function() return redis.call('get', KEYS[1]) end) return {KEYS[1], ARGV[1], v}";
    let id = runner
        .engine
        .load(script, Origin::Load)
        .expect("it compiles");
    let mut runs: Vec<_> = (0..20)
        .map(|index| {
            let keys = words(&[&format!("k{index}")]);
            let argv = words(&[if index % 2 == 0 { "2" } else { "3" }]);
            let context = Context::default();
            runner
                .engine
                .start(&id, &keys.as_args(), &argv.as_args(), context)
                .expect("it is there")
        })
        .collect();
    for (index, run) in runs.iter_mut().enumerate() {
        let protocol = if index % 2 == 0 {
            Protocol::Resp2
        } else {
            Protocol::Resp3
        };
        assert_eq!(run.resume(Answer::Begin), Step::Call { protocol });
        assert_eq!(run.words().get(1), format!("k{index}").as_bytes());
    }
    // The cache is emptied meanwhile; those under way are not.
    runner.engine.flush();
    assert!(!runner.engine.exists(&id));
    let last = runs.len() - 1;
    let killed = runs.remove(last);
    drop(killed);
    for (index, mut run) in runs.into_iter().enumerate().rev() {
        let Step::Done(reply) = run.resume(Answer::Reply(b"$1\r\nv\r\n")) else {
            panic!("one command only");
        };
        let protocol = if index % 2 == 0 { "2" } else { "3" };
        let expected = format!(
            "*3\r\n${}\r\nk{index}\r\n$1\r\n{protocol}\r\n$1\r\nv\r\n",
            format!("k{index}").len()
        );
        assert_eq!(String::from_utf8_lossy(&reply), expected);
    }
}
