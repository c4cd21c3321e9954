//! basicAuth.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

const BOB: &str = "'bob:$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1'";

fn basic(text: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(text))
}

/// The fields that come out, or the status of the answer.
fn run(filter: &Middleware, fields: &[&str]) -> Result<Vec<String>, u16> {
    let mut exchange = Exchange::new("GET /", fields);
    match Shard::new().request(std::slice::from_ref(filter), &mut exchange) {
        None => Ok(lines(&exchange.rq.fields)),
        Some(answer) => Err(answer.status),
    }
}

#[test]
fn only_the_right_name_and_password_pass() {
    let filter = middleware(&format!("{{basicAuth: {{users: [{BOB}]}}}}"));
    let header = |text: &str| format!("Authorization: {text}");
    let good = basic("bob:pw");
    for (fields, passes) in [
        (vec![], false),
        (vec![good.clone()], true),
        (vec![basic("bob:nope")], false),
        (vec![basic("eve:pw")], false),
        (vec![basic("bob:")], false),
        (vec![basic("bob:pw:x")], false),
        (vec![basic("bob")], false),
        (vec![basic("")], false),
        (vec![header("basic Ym9iOnB3")], true),
        (vec![header("Basic  Ym9iOnB3")], false),
        (vec![header("Basic !!!")], false),
        (vec![header("Basic")], false),
        (vec![header("Basic Ym9iOnB3eA")], false),
        (vec![header("Bearer Ym9iOnB3")], false),
        // The first field counts.
        (vec![good.clone(), basic("bob:zz")], true),
        (vec![basic("bob:zz"), good.clone()], false),
        (
            vec![header(&format!("Basic {}", "A".repeat(100_000)))],
            false,
        ),
    ] {
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        assert_eq!(run(&filter, &fields).is_ok(), passes, "{fields:?}");
    }
}

#[test]
fn the_refusal_asks_for_the_realm() {
    for (realm, expected) in [
        ("", "Basic realm=\"traefik\""),
        ("realm: 'hé llo'", "Basic realm=\"hé llo\""),
        // Traefik does not quote, so that the field is malformed.
        ("realm: 'a\"b\\c'", "Basic realm=\"a\\\"b\\\\c\""),
    ] {
        let filter = middleware(&format!("{{basicAuth: {{users: [{BOB}], {realm}}}}}"));
        let answer = Shard::new()
            .request(&[filter], &mut Exchange::new("GET /", &[]))
            .unwrap();
        assert_eq!(
            (answer.status, &*answer.body),
            (401, &b"401 Unauthorized\n"[..])
        );
        let expected = format!("www-authenticate: {expected}");
        assert_eq!(
            lines(&answer.fields),
            ["content-type: text/plain", expected.as_str()]
        );
    }
}

#[test]
fn the_server_sees_what_the_options_say() {
    let good = basic("bob:pw");
    let seen = "authorization: Basic Ym9iOnB3";
    for (options, fields, expected) in [
        ("", &[][..], &[seen][..]),
        ("removeHeader: true", &[], &[]),
        (
            "headerField: X-User",
            &["X-User: evil", "x-user: e2"],
            &[seen, "x-user: bob"],
        ),
        // A server that reads `_` and `.` as `-` must not be told another user by the client.
        (
            "headerField: x-user",
            &["X_User: evil", "X.User: evil", "X-Users: ok"],
            &[seen, "x-user: bob", "x-users: ok"],
        ),
        ("headerField: Authorization", &[], &["authorization: bob"]),
        ("headerField: Authorization, removeHeader: true", &[], &[]),
    ] {
        let filter = middleware(&format!("{{basicAuth: {{users: [{BOB}], {options}}}}}"));
        let fields: Vec<_> = fields.iter().copied().chain([good.as_str()]).collect();
        assert_eq!(run(&filter, &fields).unwrap(), expected, "{options}");
    }
}

#[test]
fn every_kind_of_hash_is_understood() {
    for (user, passes) in [
        ("bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", true),
        ("bob:{SHA}Hhzt50eWZsUlUIL+0QZ0jXPjVjg=", false),
        ("bob:$1$abcdefgh$G//4keteveJp0qb8z2DxG/", true),
        (
            "bob:$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
            true,
        ),
        (" bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g= ", true),
        ("bob:password", false),
        ("bob:", false),
        ("bob:$5$abcdefgh$xxxx", false),
    ] {
        let filter = middleware(&format!("{{basicAuth: {{users: ['{user}']}}}}"));
        assert_eq!(
            run(&filter, &[&basic("bob:password")]).is_ok(),
            passes,
            "{user}"
        );
    }
}

#[test]
fn the_last_entry_of_a_user_counts_those_of_the_file_first() {
    let twice = middleware(&format!(
        "{{basicAuth: {{users: [{BOB}, 'bob:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=']}}}}"
    ));
    assert!(run(&twice, &[&basic("bob:password")]).is_ok());
    assert!(run(&twice, &[&basic("bob:pw")]).is_err());
    let file = middleware("{basicAuth: {usersFile: users}}");
    assert!(run(&file, &[&basic("bob:pw")]).is_ok());
    let both = middleware(
        "{basicAuth: {usersFile: users, users: ['bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=']}}",
    );
    assert!(run(&both, &[&basic("bob:password")]).is_ok());
}

#[test]
fn a_user_that_does_not_exist_costs_what_one_that_does_costs() {
    let filter = middleware(&format!("{{basicAuth: {{users: [{BOB}, 'dud:none']}}}}"));
    let mut shard = Shard::new();
    for user in ["bob", "eve", "dud"] {
        let mut exchange = Exchange::new("GET /", &[&basic(&format!("{user}:wrong"))]);
        let (path, username) = (&mut exchange.path, &mut exchange.username);
        let verdict = filter.request(&mut exchange.rq, &mut context(&mut shard, path, username));
        assert!(matches!(verdict, Verdict::Verify(_)), "{user}: {verdict:?}");
    }
}

#[test]
fn the_name_is_known_to_the_log_whether_or_not_it_passes() {
    let filter = middleware(&format!("{{basicAuth: {{users: [{BOB}]}}}}"));
    for (credentials, name) in [("bob:pw", "bob"), ("eve:pw", "eve")] {
        let mut exchange = Exchange::new("GET /", &[&basic(credentials)]);
        Shard::new().request(std::slice::from_ref(&filter), &mut exchange);
        assert_eq!(exchange.username, name);
    }
}

#[test]
fn a_password_does_not_stay_in_the_shards_memory() {
    let filter = [middleware(
        "{basicAuth: {users: ['bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=']}}",
    )];
    let mut shard = Shard::new();
    assert!(
        shard
            .request(
                &filter,
                &mut Exchange::new("GET /", &[&basic("bob:password")])
            )
            .is_none()
    );
    assert!(shard.memory.scratch.source.iter().all(|&byte| byte == 0));
}

#[test]
fn a_user_who_cannot_log_in_is_a_warning() {
    let filter = middleware(&format!("{{basicAuth: {{users: [{BOB}, 'eve:plain']}}}}"));
    let warnings = filter.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("\"eve\"") && !warnings[0].contains("plain"),
        "{warnings:?}"
    );
}
